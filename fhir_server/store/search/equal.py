"""Parameters that ask for equality, answered by hashed keys: reference, uri, `_id`.

https://hl7.org/fhir/R4/search.html#reference, https://hl7.org/fhir/R4/search.html#uri
"""

from __future__ import annotations

from fhir_server.definitions.model import SearchParameter
from fhir_server.fhir.reference import parse
from fhir_server.store.keys import (
    hot_reference,
    name_below,
    name_identifier,
    name_text,
    reference_key,
    value_key,
)
from fhir_server.store.search.asking import Asking, NotSupported, bad_value
from fhir_server.store.search.coded import token_form, value_keys
from fhir_server.store.search.compared import starting
from fhir_server.store.search.literals import unescaped
from fhir_server.store.search.node import NOTHING, Node, keys
from fhir_server.store.values.uris import above, versions_above

THIS = "$this"


def uri(
    asking: Asking,
    _resource_type: str,
    parameter: SearchParameter,
    modifier: str,
    values: list[str],
) -> Node:
    """The whole URI; `:above` and `:below` by path, which only a URL has."""
    wanted = [unescaped(value) for value in values]
    if not modifier:
        return value_keys(asking, parameter.code, wanted)
    if modifier not in {"above", "below"}:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    places = [above(value) for value in wanted]
    if not all(places):
        bad_value(parameter.code, f":{modifier} asks for a URL")
    if modifier == "below":
        return value_keys(asking, name_below(parameter.code), [place[-1] for place in places])
    whole = [form for place in places for one in place for form in (one, one + "/")]
    return value_keys(asking, parameter.code, whole + wanted)


def identity(_asking: Asking, values: list[str]) -> Node:
    """`_id`."""
    return Node(("id",), (values,)) if values else NOTHING


def reference(
    asking: Asking, resource_type: str, parameter: SearchParameter, modifier: str, values: list[str]
) -> Node:
    """`Type/id`, `id`, URL; `:Type`; `:identifier`; `:text`; `:above` and `:below` by version."""
    if modifier in {"above", "below"}:
        return _versions(asking, parameter, modifier, [unescaped(value) for value in values])
    if modifier == "text":
        return starting(name_text(parameter.alias_of or parameter.code), parameter, values)
    if modifier == "identifier":
        return _identified(asking, parameter, values)
    return _to(asking, resource_type, parameter, modifier, values)


def _to(
    asking: Asking, resource_type: str, parameter: SearchParameter, modifier: str, values: list[str]
) -> Node:
    code = parameter.alias_of or parameter.code
    if modifier and modifier not in asking.types and modifier not in parameter.targets:
        raise NotSupported(f"{parameter.code}:{modifier[:64]} is not supported")
    narrowed = modifier or parameter.alias_type
    if values == [THIS] and asking.variables is not None:
        return Node(("this", code))
    types = [narrowed] if narrowed else list(parameter.targets)
    wanted = [t for value in values for t in pointed_at(asking, types, unescaped(value))]
    if narrowed:
        wanted = [target for target in wanted if target.startswith(f"{narrowed}/")]
    if not wanted:
        return NOTHING
    found = keys([reference_key(asking.tenant, code, target) for target in wanted])
    if not _is_hot(asking, resource_type, code):
        return found
    return found._replace(hot=(code, [hot_reference(target) for target in wanted]))


def pointed_at(asking: Asking, types: list[str], text: str) -> list[str]:
    """What `text` may point at: a bare id at any of `types`."""
    if "/" not in text and ":" not in text:
        return [f"{target}/{text}" for target in types]
    found = parse(text, asking.base)
    return [found.local or text]


def _identified(asking: Asking, parameter: SearchParameter, values: list[str]) -> Node:
    """The reference has the identifier; of a narrowed parameter, to that type as far as the
    reference tells."""
    code = parameter.alias_of or parameter.code
    forms = [token_form(parameter.code, value) for value in values]
    names = [name_identifier(code)]
    if parameter.alias_type:
        names = [name_identifier(code, kind) for kind in (parameter.alias_type, "")]
    return keys([value_key(asking.tenant, name, form) for name in names for form in forms])


def _versions(asking: Asking, parameter: SearchParameter, modifier: str, values: list[str]) -> Node:
    """Canonical urls: `url|1.2` is above `url|1.2.3`; a url alone stands for every version."""
    if any("://" not in value and not value.startswith("urn:") for value in values):
        why = f"{parameter.code}:{modifier} is supported for versions of canonical urls only"
        raise NotSupported(why)
    code = parameter.alias_of or parameter.code
    whole = [value for value in values if "|" not in value]
    versions = [value for value in values if "|" in value]
    if modifier == "above":
        whole += [one for value in versions for one in versions_above(value)]
        versions = []
    below = name_below(code)
    return keys([
        *(reference_key(asking.tenant, code, one) for one in whole),
        *(value_key(asking.tenant, below, one) for one in versions),
    ])  # fmt: skip


def _is_hot(asking: Asking, resource_type: str, code: str) -> bool:
    indexes = asking.types[resource_type].indexes
    return any(index.columns[0][0] == code for index in indexes)
