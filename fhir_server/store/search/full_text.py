"""`_text` and `_content`: words of the narrative, or of all that is to be read in a resource.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from fhir_server.definitions.model import SearchParameter
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.literals import unescaped
from fhir_server.store.search.node import Node
from fhir_server.store.values.asked_words import WordsError, tsquery

LONGEST = 1_000


def full_text(
    _asking: Asking,
    _resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    values: list[str],
) -> Node:
    """Any of the values; all words of one value."""
    if modifier:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    wanted = [_query(parameter.code, unescaped(value)) for value in values]
    return Node(("words", parameter.code), (" | ".join(f"({one})" for one in wanted),))


def _query(code: str, text: str) -> str:
    if len(text) > LONGEST:
        bad_value(code, f"longer than {LONGEST} characters")
    try:
        return tsquery(text)
    except WordsError as error:
        bad_value(code, str(error))
