"""`_include` and `_revinclude`: the resources that matches refer to, or that refer to them.

References are read from the matches' bodies; one further statement fetches all includes of a
round, each type bound by what the caller may see of it. `:iterate` goes on from what was found.
https://hl7.org/fhir/R4/search.html#include
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from fhir_server.definitions.model import SearchParameter, ServedType
from fhir_server.fhir.path import Path, compile
from fhir_server.problems import Problem
from fhir_server.store.keys import hot_reference, reference_key
from fhir_server.store.search.asking import Asking, NotSupported
from fhir_server.store.search.drive import filtering
from fhir_server.store.search.literals import checked
from fhir_server.store.search.node import Node, all_of, keys
from fhir_server.store.search.order import complete
from fhir_server.store.search.page import Pair
from fhir_server.store.search.referring import MOST_INCLUDED, Referring
from fhir_server.store.search.statement import SearchShape
from fhir_server.store.stored import Stored
from fhir_server.store.values.references import targets

MOST_ROUNDS = 5
# Types that an `_include` may lead to within the statement of its search.
MOST_TARGETS = 3
# References that includes follow, those of a `*` counted one by one. Backwards each is a search of
# its own; forwards there is one for each type that they lead to.
MOST_FORWARD = 128
MOST_REVERSE = 48
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


def includes_of(
    asking: Asking, types: Sequence[str], asked: Sequence[Pair]
) -> tuple[list[Include], list[Pair], list[str]]:
    """The includes of a search of `types`, the parameters that ask for them, and what is wrong
    with the others."""
    found: dict[Include, None] = {}
    used, unknown = [], []
    for name, value in asked:
        checked(name, value)
        try:
            found |= dict.fromkeys(include(asking, types, name, value))
        except NotSupported as error:
            unknown.append(error.diagnostics)
        else:
            used.append((name, value))
    reverse = sum(one.reverse for one in found)
    if reverse > MOST_REVERSE or len(found) - reverse > MOST_FORWARD:
        raise Problem(400, "too-costly", "too many references to include: name them")
    return list(found), used, unknown


def include(asking: Asking, types: Sequence[str], name: str, value: str) -> list[Include]:
    """The includes that one parameter asks for; NotSupported where there is no such reference."""
    word, _, modifier = name.partition(":")
    if modifier not in {"", "iterate", "recurse"}:
        raise NotSupported(f"{word}:{modifier[:64]} is not supported")
    reverse, iterate = word == "_revinclude", bool(modifier)
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    if source == "*":
        return _every(asking, types, code or "*", reverse=reverse, iterate=iterate)
    served = asking.served(source)
    if target:
        asking.served(target)
    found = _references(served) if code == "*" else [asking.parameter(source, code)]
    if any(parameter.type != "reference" for parameter in found):
        raise NotSupported(f"{source}:{code[:64]} is not a reference")
    return [Include(source, p, target or p.alias_type or "", reverse, iterate) for p in found]


def _every(
    asking: Asking, types: Sequence[str], code: str, *, reverse: bool, iterate: bool
) -> list[Include]:
    """`*`: every reference of the types searched, or every one that may point at them."""
    if code != "*":
        raise NotSupported("* stands for every reference of every type")
    sources = asking.types if reverse or iterate else types
    found = [(name, p) for name in sources for p in _references(asking.types[name])]
    if reverse and not iterate:
        found = [(name, p) for name, p in found if not p.targets or {*p.targets} & {*types}]
    return [Include(name, p, "", reverse, iterate) for name, p in found]


def _references(served: ServedType) -> list[SearchParameter]:
    """Without those that another one holds: `patient` beside `subject`."""
    return [
        parameter
        for parameter in served.search.values()
        if parameter.type == "reference" and parameter.expression and not parameter.alias_of
    ]


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
            raise _too_many()
        wanted = [one for one in includes if one.iterate]
        if not fresh or not wanted:
            break
    return found


def at_once(
    asking: Asking, includes: Sequence[Include], matches: str
) -> list[tuple[Referring, list[Any]]]:
    """What refers to matches and its values, where the statement that finds the matches can find
    all that `includes` ask for; else nothing."""
    found = [_at_once(asking, one, matches) for one in includes]
    return [one for several in found for one in several] if all(found) else []


def only_new(rows: Sequence[tuple[Any, ...]], matches: Sequence[Stored]) -> list[Stored]:
    """What was included at once, without the matches themselves."""
    found = _new(rows, {stored.reference for stored in matches})
    if len(found) > MOST_INCLUDED:
        raise _too_many()
    return found


def _at_once(asking: Asking, one: Include, matches: str) -> list[tuple[Referring, list[Any]]]:
    code = one.parameter.alias_of or one.parameter.code
    served = asking.types[one.source]
    single = served.search[code].single
    hot = any(index.columns[0][0] == code for index in served.indexes)
    if one.iterate or not hot or (one.target if one.reverse else one.source) not in {"", matches}:
        return []
    types = [one.source] if one.reverse else _targets(asking, one)
    if not one.reverse and not (single and len(types) <= MOST_TARGETS):
        return []
    seen = [(name, filtering(asking.policy(name))) for name in types]
    return [
        (Referring(name, code, single, node.shape, not one.reverse), list(node.values))
        for name, node in seen
    ]


def _targets(asking: Asking, one: Include) -> list[str]:
    named = (one.target,) if one.target else one.parameter.targets
    return [name for name in named if name in asking.types]


def _too_many() -> Problem:
    return Problem(400, "too-costly", f"more than {MOST_INCLUDED} included resources")


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
    for reference in _referred(asking, [one for one in includes if not one.reverse], fresh):
        target, _, target_id = reference.partition("/")
        if target in asking.types and reference not in known:
            by_type.setdefault(target, []).append(target_id)
    forward = [_by_id(asking, target, ids) for target, ids in sorted(by_type.items())]
    reverse = [_referring(asking, one, fresh) for one in includes if one.reverse and fresh]
    return [*forward, *(one for one in reverse if one)]


def _referred(
    asking: Asking, includes: Sequence[Include], fresh: Sequence[Stored]
) -> dict[str, None]:
    """What the resources refer to, each once."""
    found: dict[str, None] = {}
    by_source: dict[str, list[tuple[Path, str]]] = {}
    for one in includes:
        start = f"{one.target}/" if one.target else ""
        by_source.setdefault(one.source, []).append((compile(one.parameter.expression), start))
    for stored in fresh:
        paths = by_source.get(stored.type)
        if paths is None:
            continue
        resource = orjson.loads(stored.body)
        for path, start in paths:
            for element in path.values(resource):
                for reference in targets(element, asking.base):
                    if reference.startswith(start):
                        found[reference] = None
    return found


def _by_id(asking: Asking, target: str, ids: list[str]) -> Asked:
    node = all_of([Node(("id",), (ids,)), asking.policy(target)])
    return _search(target, node), list(node.values)


def _referring(asking: Asking, one: Include, fresh: Sequence[Stored]) -> Asked | None:
    wanted = [s.reference for s in fresh if not one.target or s.type == one.target]
    if not wanted:
        return None
    code = one.parameter.alias_of or one.parameter.code
    served = asking.types[one.source]
    seen = asking.policy(one.source)
    if any(index.columns[0][0] == code for index in served.indexes):
        shape = ("refers", code, served.search[code].single)
        refers = Node(shape, ([hot_reference(reference) for reference in wanted],))
    else:
        refers = keys([reference_key(asking.tenant, code, r) for r in wanted])
    node = all_of([refers, filtering(seen)])
    return _search(one.source, node), list(node.values)


def _search(resource_type: str, node: Node) -> SearchShape:
    return SearchShape(resource_type, node.shape, order=complete(()), limit=MOST_INCLUDED + 1)
