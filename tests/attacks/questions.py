"""Hypothesis strategies: searches that try to learn something of what the searcher may not see.

Values are taken from resources of the world, hidden ones as well, so the questions hit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st

from fhir_server.definitions.model import SearchParameter, ServedType
from tests.attacks.world import World
from tests.search.naive import Naive

Pair = tuple[str, str]
PLAIN = ("string", "token", "reference", "date")
# Types of which much is hidden from somebody.
CLINICAL = (
    "Communication",
    "DocumentReference",
    "Encounter",
    "List",
    "Patient",
    "Practitioner",
    "Task",
)
MISSING = st.sampled_from(["true", "false"])
# Parameters that decide what an answer shows and counts.
SHAPES: tuple[Pair, ...] = (
    ("_total", "accurate"),
    ("_total", "estimate"),
    ("_summary", "count"),
    ("_count", "1"),
    ("_count", "3"),
    ("_include", "*"),
    ("_revinclude", "*"),
    ("_include:iterate", "*"),
    ("_revinclude:iterate", "*"),
    ("_sort", "_lastUpdated,-_id"),
)


@dataclass(eq=False)
class Ground:
    """What is asked about: the declared types, and the world that holds the answers."""

    types: Mapping[str, ServedType]
    world: World

    @cache  # noqa: B019 - there is one, for as long as the tests run
    def held(self, kind: str, code: str) -> list[str]:
        """What resources of the type have for a parameter: texts, codes, references."""
        if "resolve()" in (text := self.types[kind].search[code].expression) or "%" in text:
            return []  # fhirpathpy cannot
        naive = Naive(self.types, ())
        listed = [one for one in self.world.resources.values() if one["resourceType"] == kind]
        found = [v for one in listed for v in naive.values(one, code)]
        return sorted({text for value in found for text in _texts_of(value)})


@st.composite
def searches(draw: st.DrawFn, ground: Ground) -> tuple[str, list[Pair]]:
    """A path below the face, and parameters."""
    kind = draw(st.sampled_from([*sorted(ground.types), *CLINICAL * 3]))
    ways = st.one_of(_ways(ground, kind))
    criteria = draw(st.lists(ways, min_size=1, max_size=draw(st.sampled_from([1, 1, 2]))))
    shapes = draw(st.lists(st.sampled_from((*SHAPES, *_own_shapes(ground, kind))), max_size=3))
    path = kind
    if kind == "Communication" and draw(st.integers(0, 5)) == 0:
        path = f"{draw(_references(ground, 'Patient'))}/Communication"
    return path, [*criteria, *shapes]


def _ways(ground: Ground, kind: str) -> list[st.SearchStrategy[Pair]]:
    plain = _plain(ground, kind)
    return [
        plain,
        plain,
        _chained(ground, kind, 2),
        _reversed(ground, kind, 2),
        _filtered(ground, kind),
        st.tuples(st.just("_list"), _references(ground, "List").map(_id)),
        st.tuples(st.sampled_from(["_id", "_id:not"]), _references(ground, kind).map(_id)),
        *([_worded(ground, kind)] if "_content" in ground.types[kind].search else []),
    ]


def _own_shapes(ground: Ground, kind: str) -> Iterator[Pair]:
    for one in _usable(ground, kind):
        yield "_sort", one.code
        yield "_sort", f"-{one.code}"
        if one.type == "reference":
            yield "_include", f"{kind}:{one.code}"
    for other in ground.types:
        for one in ground.types[other].search.values():
            if one.type == "reference" and kind in one.targets:
                yield "_revinclude", f"{other}:{one.code}"


def _usable(ground: Ground, kind: str) -> list[SearchParameter]:
    listed = ground.types[kind].search.values()
    return [p for p in listed if p.type in PLAIN and p.expression and not p.code.startswith("_")]


@st.composite
def _plain(draw: st.DrawFn, ground: Ground, kind: str) -> Pair:
    one = draw(st.sampled_from(_usable(ground, kind) or [_ID]))
    if draw(st.integers(0, 9)) == 0:
        return f"{one.code}:missing", draw(MISSING)
    if one.type == "date":
        return one.code, draw(st.sampled_from(["ge2025", "2026-01-31", "lt2026-01-01"]))
    if one.type == "reference" and draw(st.booleans()):
        target = draw(st.sampled_from(sorted({*one.targets} & {*ground.types}) or ["Patient"]))
        return one.code, draw(_references(ground, target))
    value = draw(st.sampled_from(ground.held(kind, one.code) or ["none"]))
    if one.type == "string":
        cut = value[: draw(st.integers(2, 7))]
        return draw(st.sampled_from([(one.code, cut), (f"{one.code}:contains", value[1:])]))
    modifiers = ["", "", "", ":not", ":text"] if one.type == "token" else [""]
    return one.code + draw(st.sampled_from(modifiers)), value


_ID = SearchParameter("_id", "token", "Resource.id")


def _links(ground: Ground, kind: str) -> list[tuple[str, str]]:
    """Parameter and target type of each reference that something in the world has, or may have."""
    listed = (p for p in ground.types[kind].search.values() if p.type == "reference")
    found = [(p.code, t) for p in listed for t in p.targets if t in ground.types]
    used = [(c, t) for c, t in found if any(h.startswith(t + "/") for h in ground.held(kind, c))]
    return used or found


@st.composite
def _chained(draw: st.DrawFn, ground: Ground, kind: str, depth: int) -> Pair:
    links = _links(ground, kind)
    if not links:
        return draw(_plain(ground, kind))
    code, target = draw(st.sampled_from(links))
    name, value = draw(_further(ground, target, depth))
    return f"{code}:{target}.{name}", value


@st.composite
def _reversed(draw: st.DrawFn, ground: Ground, kind: str, depth: int) -> Pair:
    links = [
        (o, code) for o in ground.types for code, target in _links(ground, o) if target == kind
    ]
    if not links:
        return draw(_plain(ground, kind))
    other, code = draw(st.sampled_from(links))
    name, value = draw(_further(ground, other, depth))
    return f"_has:{other}:{code}:{name}", value


def _further(ground: Ground, kind: str, depth: int) -> st.SearchStrategy[Pair]:
    plain = _plain(ground, kind)
    if depth == 1:
        return plain
    chained = _chained(ground, kind, depth - 1)
    return st.one_of(plain, plain, chained, _reversed(ground, kind, depth - 1))


@st.composite
def _filtered(draw: st.DrawFn, ground: Ground, kind: str) -> Pair:
    terms = draw(st.lists(_term(ground, kind), min_size=1, max_size=2))
    text = draw(st.sampled_from([" and ", " or "])).join(terms)
    return "_filter", draw(st.sampled_from(["{}", "not ({})"])).format(text)


@st.composite
def _term(draw: st.DrawFn, ground: Ground, kind: str) -> str:
    links, linked = _links(ground, kind), draw(st.booleans())
    if links and linked:
        code, target = draw(st.sampled_from(links))
        return f"{code}:{target}.{draw(_term(ground, target))}"
    usable = [p for p in _usable(ground, kind) if p.type in ("string", "token")]
    if not usable:
        return f"_id eq {_id(draw(_references(ground, kind)))}"
    one = draw(st.sampled_from(usable))
    operator = draw(st.sampled_from(["sw", "co", "ne"] if one.type == "string" else ["eq", "ne"]))
    return f"{one.code} {operator} {draw(_words(ground, kind))}"


def _worded(ground: Ground, kind: str) -> st.SearchStrategy[Pair]:
    return st.tuples(st.sampled_from(["_text", "_content"]), _words(ground, kind))


def _references(ground: Ground, kind: str) -> st.SearchStrategy[str]:
    listed = [name for name in ground.world.resources if name.startswith(f"{kind}/")]
    return st.sampled_from(listed or [f"{kind}/none"])


def _words(ground: Ground, kind: str) -> st.SearchStrategy[str]:
    held = [
        t
        for one in ground.world.resources.values()
        if one["resourceType"] == kind
        for t in texts(one)
    ]
    return st.sampled_from(sorted(set(held)) or ["zq"])


def texts(node: Any) -> Iterator[str]:
    """Words and codes of a resource; no markup, no references."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("div", "reference", "resourceType", "system", "url", "data"):
                yield from texts(value)
    elif isinstance(node, list):
        for one in node:
            yield from texts(one)
    elif isinstance(node, str) and node.isalnum():
        yield node


def _texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and "reference" in value:
        yield value["reference"]
    else:
        yield from [value] if isinstance(value, str) else texts(value)


def _id(reference: str) -> str:
    return reference.partition("/")[2]
