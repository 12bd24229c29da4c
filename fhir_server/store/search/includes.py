"""`_include` and `_revinclude`: the resources that matches refer to, or that refer to them.

References are read from the matches' bodies; one further statement fetches all includes of a
round, each type bound by what the caller may see of it. `:iterate` goes on from what was found.
https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from fhir_server.definitions.model import SearchParameter
from fhir_server.fhir.path import compile
from fhir_server.problems import Problem
from fhir_server.store.keys import hot_reference, reference_key
from fhir_server.store.search.asking import Asking, NotSupported
from fhir_server.store.search.node import Node, all_of, keys
from fhir_server.store.search.order import complete
from fhir_server.store.search.statement import Drive, SearchShape
from fhir_server.store.stored import Stored
from fhir_server.store.values.references import targets

MOST_INCLUDED = 5_000
MOST_ROUNDS = 5
# A search of a round and its values.
Asked = tuple[SearchShape, list[Any]]
Ask = Callable[[list[Asked]], Any]


class Include(NamedTuple):
    """`Source:code[:Target]`: followed from source to target, or back when `reverse`."""

    source: str
    parameter: SearchParameter
    target: str
    reverse: bool
    iterate: bool


def include(asking: Asking, name: str, value: str) -> list[Include]:
    """The includes that one parameter asks for; NotSupported where there is no such reference."""
    word, _, modifier = name.partition(":")
    if modifier not in {"", "iterate", "recurse"}:
        raise NotSupported(f"{word}:{modifier[:64]} is not supported")
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    served = asking.served(source)
    if target:
        asking.served(target)
    if code == "*":
        found = [p for p in served.search.values() if p.type == "reference" and p.expression]
    else:
        found = [asking.parameter(source, code)]
    if any(parameter.type != "reference" for parameter in found):
        raise NotSupported(f"{source}:{code[:64]} is not a reference")
    reverse, iterate = word == "_revinclude", bool(modifier)
    return [Include(source, p, target or p.alias_type or "", reverse, iterate) for p in found]


async def included(
    asking: Asking, includes: Sequence[Include], matches: Sequence[Stored], ask: Ask
) -> list[Stored]:
    """Everything `includes` reach from `matches`, without the matches themselves."""
    known = {stored.reference for stored in matches}
    found: list[Stored] = []
    fresh, wanted = list(matches), list(includes)
    for _ in range(MOST_ROUNDS):
        asked = _asked(asking, wanted, fresh, known)
        rows = await ask(asked) if asked else []
        fresh = _new(rows, known)
        found += fresh
        if len(found) > MOST_INCLUDED:
            raise Problem(400, "too-costly", f"more than {MOST_INCLUDED} included resources")
        wanted = [one for one in includes if one.iterate]
        if not fresh or not wanted:
            break
    return found


def _new(rows: Iterable[tuple[Any, ...]], known: set[str]) -> list[Stored]:
    fresh = []
    for row in rows:
        stored = Stored(*row)
        if stored.reference not in known:
            known.add(stored.reference)
            fresh.append(stored)
    return fresh


def _asked(
    asking: Asking, includes: Sequence[Include], fresh: Sequence[Stored], known: set[str]
) -> list[Asked]:
    by_type: dict[str, list[str]] = {}
    parsed = {s.reference: orjson.loads(s.body) for s in fresh} if includes else {}
    for one in includes:
        if not one.reverse:
            for reference in _referred(asking, one, fresh, parsed):
                target, _, target_id = reference.partition("/")
                if target in asking.types and reference not in known:
                    by_type.setdefault(target, []).append(target_id)
    forward = [_by_id(asking, target, ids) for target, ids in sorted(by_type.items())]
    reverse = [_referring(asking, one, fresh) for one in includes if one.reverse and fresh]
    return [*forward, *(one for one in reverse if one)]


def _referred(
    asking: Asking, one: Include, fresh: Sequence[Stored], parsed: dict[str, Any]
) -> Iterable[str]:
    path = compile(one.parameter.expression)
    for stored in fresh:
        if stored.type != one.source:
            continue
        for element in path.values(parsed[stored.reference]):
            for reference in targets(element, asking.base):
                if not one.target or reference.startswith(one.target + "/"):
                    yield reference


def _by_id(asking: Asking, target: str, ids: list[str]) -> Asked:
    node = all_of([Node(("id",), (list(dict.fromkeys(ids)),)), asking.policy(target)])
    return _search(target, node), list(node.values)


def _referring(asking: Asking, one: Include, fresh: Sequence[Stored]) -> Asked | None:
    wanted = [s.reference for s in fresh if not one.target or s.type == one.target]
    if not wanted:
        return None
    code = one.parameter.alias_of or one.parameter.code
    served = asking.types[one.source]
    seen = asking.policy(one.source)
    if any(index.columns[0][0] == code for index in served.indexes):
        drive = Drive(code, many=True, single=served.search[code].single)
        driven = [hot_reference(reference) for reference in wanted]
        return _search(one.source, seen, drive), [driven, *seen.values]
    node = all_of([keys([reference_key(asking.tenant, code, r) for r in wanted]), seen])
    return _search(one.source, node), list(node.values)


def _search(resource_type: str, node: Node, drive: Drive | None = None) -> SearchShape:
    return SearchShape(
        resource_type, node.shape, drive=drive, order=complete(()), limit=MOST_INCLUDED + 1
    )
