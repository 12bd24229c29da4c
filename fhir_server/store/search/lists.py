"""`_list`: the members of a stored List, as a reverse chain from it, bound by what the caller
may see of lists. What a member is, is declared: profiles/SearchParameter-List-member.json.

https://hl7.org/fhir/R4/search.html#list
"""

from __future__ import annotations

from fhir_server.fhir.ids import is_id
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.literals import alternatives

MEMBERS = "_has:List:member:_id"


def membership(asking: Asking, text: str) -> tuple[str, str]:
    """Name and value of the criterion that says the same."""
    for value in alternatives(text):
        if value.startswith("$"):
            raise NotSupported("_list: functional lists ($current-problems …) are not supported")
        if not is_id(value):
            bad_value("_list", "not the id of a List")
    asking.budget.link(1)
    return MEMBERS, text
