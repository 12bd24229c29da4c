"""Filter expressions from a grammar, their text, and what they mean: by the words of
https://hl7.org/fhir/R4/search_filter.html, with no code of the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from tests.search.naive import (
    FUTURE,
    PAST,
    Naive,
    Resource,
    codings_of,
    date_meets,
    number_meets,
    pointed_at,
    reference_text,
    span,
    texts_of,
)
from tests.search.naive_values import fold
from tests.search.worlds import (
    AMOUNTS,
    CODES,
    DATES,
    NAMES,
    PATIENTS,
    PEOPLE,
    SYSTEMS,
    THREADS,
    Strategy,
)


@dataclass(frozen=True)
class Term:
    """`path` is names, each with what is asked in brackets behind it."""

    path: tuple[tuple[str, Any], ...]
    operator: str
    value: str


@dataclass(frozen=True)
class Not:
    of: Any


@dataclass(frozen=True)
class Chain:
    """`first word second word third …`, from left to right."""

    first: Any
    rest: tuple[tuple[str, Any], ...]


Draw = Callable[[Strategy], Any]


def text(draw: Draw, tree: Any) -> str:
    """The filter as someone may write it: with more space than needed, quoted or not."""
    match tree:
        case Term(path, operator, value):
            steps = [name + (f"[{text(draw, inner)}]" if inner else "") for name, inner in path]
            return f"{'.'.join(steps)} {operator}{draw(SPACE)}{_value(draw, value)}"
        case Not(of):
            return (
                f"not{draw(SPACE)}{text(draw, of) if isinstance(of, Term) else _within(draw, of)}"
            )
        case Chain(first, rest):
            parts = [_within(draw, first)]
            for word, part in rest:
                parts.append(f"{draw(SPACE)}{word}{draw(SPACE)}{_within(draw, part)}")
            return "".join(parts)
    raise TypeError(tree)


def _within(draw: Draw, tree: Any) -> str:
    if isinstance(tree, Term) and draw(st.booleans()):
        return text(draw, tree)
    pad = draw(st.sampled_from(["", " "]))
    return f"({pad}{text(draw, tree)}{pad})"


def _value(draw: Draw, value: str) -> str:
    plain = value and not any(c in value for c in ' )]"') and not value.startswith('"')
    if plain and draw(st.booleans()):
        return value
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


SPACE = st.sampled_from([" ", " ", "  ", "\n"])


def term(names: tuple[str, ...], operators: str, values: Strategy) -> Strategy:
    paths = st.sampled_from(names).map(lambda n: tuple((step, None) for step in n.split(".")))
    return st.builds(Term, paths, st.sampled_from(operators.split()), values)


ORDERED = "eq ne gt lt ge le sa eb"
DATE = st.sampled_from(DATES)
TOKEN = st.one_of(
    st.sampled_from([c for c in CODES if "|" not in c]),
    st.builds("{}|{}".format, st.sampled_from(["", *SYSTEMS]), st.sampled_from(CODES)),
    st.sampled_from([f"{s}|" for s in SYSTEMS]),
)
PART = st.sampled_from(NAMES).flatmap(
    lambda n: st.tuples(st.integers(0, len(n) - 1), st.integers(1, len(n))).map(
        lambda cut: n[cut[0] : cut[0] + cut[1]]
    )
).filter(lambda part: bool(fold(part)))  # fmt: skip
BOOLEAN = st.sampled_from(["true", "false"])


def target(*names: str) -> Strategy:
    return st.sampled_from([*names, *(name.partition("/")[2] for name in names)])


def name_and_more(inner: Strategy) -> Strategy:
    """A name behind a reference that itself must meet a filter."""
    return st.builds(
        lambda code, inner, operator, part: Term(((code, inner), ("name", None)), operator, part),
        st.sampled_from(["subject:Patient", "patient"]),
        inner,
        st.sampled_from(["eq", "co", "sw", "ew"]),
        PART,
    )


PATIENT_TERMS = st.one_of(
    term(("name", "family", "given"), "eq ne co sw ew", PART),
    term(("birthdate", "_lastUpdated"), ORDERED + " po", DATE),
    term(("identifier",), "eq ne", TOKEN),
    term(("active",), "eq ne", BOOLEAN),
    term(("general-practitioner",), "eq ne re", target(*PEOPLE)),
    term(("name", "active", "_id"), "pr", BOOLEAN),
)
COMMUNICATION_TERMS = st.one_of(
    term(("status",), "eq ne", st.sampled_from(["in-progress", "completed", "bad"])),
    term(("category", "identifier"), "eq ne", TOKEN),
    term(("sent", "received", "_lastUpdated"), ORDERED + " po", DATE),
    term(("subject", "subject:Patient", "patient"), "eq ne re", target(*PATIENTS)),
    term(("recipient", "participant"), "eq ne re", target(*PEOPLE)),
    term(("part-of",), "eq ne re", target(*THREADS)),
    term(("_id",), "eq ne", st.sampled_from(["c0", "c1", "zz"])),
    term(("instantiates-uri",), "eq ne", st.sampled_from(["urn:a", "urn:b"])),
    term(("sent", "received", "subject", "category", "part-of"), "pr", BOOLEAN),
    term(("subject:Patient.name", "patient.family"), "eq ne co sw ew", PART),
    term(("part-of.sent",), ORDERED + " po", DATE),
    term(("part-of:Communication.patient.active",), "eq pr", BOOLEAN),
    name_and_more(PATIENT_TERMS),
)
ENCOUNTER_TERMS = st.one_of(
    term(("date",), ORDERED + " po", DATE),
    term(
        ("length",),
        ORDERED + " ap",
        st.builds(
            "{}{}".format,
            st.sampled_from([f"{amount:g}" for amount in AMOUNTS if amount >= 0]),
            st.sampled_from(["", "||min", "||minutes", "|http://u|min"]),
        ),
    ),
    term(("class",), "eq ne", TOKEN),
    term(("patient.general-practitioner",), "eq", target(*PEOPLE)),
)


def trees(leaves: Strategy) -> Strategy:
    words = st.sampled_from(["and", "or"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(Not),
            st.builds(
                Chain,
                inner,
                st.lists(st.tuples(words, inner), min_size=1, max_size=3).map(tuple),
            ),
        ),
        max_leaves=6,
    )


FILTERS = st.one_of(
    st.tuples(st.just("Communication"), trees(COMMUNICATION_TERMS)),
    st.tuples(st.just("Patient"), trees(PATIENT_TERMS)),
    st.tuples(st.just("Encounter"), trees(ENCOUNTER_TERMS)),
)


class Meaning:
    """What of `naive` meets a tree."""

    def __init__(self, naive: Naive) -> None:
        self.naive = naive

    def search(self, kind: str, tree: Any) -> set[str]:
        everything = self.naive.resources.values()
        return {r["id"] for r in everything if r["resourceType"] == kind and self.meets(r, tree)}

    def meets(self, resource: Resource, tree: Any) -> bool:
        match tree:
            case Not(of):
                return not self.meets(resource, of)
            case Chain(first, rest):
                found = self.meets(resource, first)
                for word, part in rest:
                    held = self.meets(resource, part)
                    found = (found and held) if word == "and" else (found or held)
                return found
        return self._path(resource, tree.path, tree)

    def _path(self, resource: Resource, path: Any, term: Term) -> bool:
        (name, inner), *rest = path
        code, _, kind = name.partition(":")
        if not rest:
            return self._term(resource, code, kind, term)
        return any(
            (inner is None or self.meets(one, inner)) and self._path(one, rest, term)
            for one in self.naive.referred(resource, code)
            if not kind or one["resourceType"] == kind
        )

    def _term(self, resource: Resource, code: str, kind: str, term: Term) -> bool:
        type_, values = self._values(resource, code)
        if term.operator == "pr":
            return bool(values) is (term.value == "true")
        if type_ == "date":
            return any(_date(value, term) for value in values)
        if type_ == "quantity":
            return any(number_meets(value, term.operator + term.value) for value in values)
        if type_ == "reference":
            parameter = self.naive.parameter(resource, code)
            targets = [kind or parameter.alias_type or ""]
            pointed = pointed_at(term.value, targets if any(targets) else parameter.targets)
            pointed = [p for p in pointed if not any(targets) or p.startswith(f"{targets[0]}/")]
            held = [reference_text(value) in pointed for value in values]
        else:
            held = [_MEETS[type_](value, term) for value in values]
        if term.operator == "ne":
            return bool(values) and not any(held)
        return any(held)

    def _values(self, resource: Resource, code: str) -> tuple[str, list[Any]]:
        if code == "_id":
            return "uri", [resource["id"]]
        if code == "_lastUpdated":
            return "date", [resource["meta"]["lastUpdated"]]
        return self.naive.parameter(resource, code).type, self.naive.values(resource, code)


def _date(value: Any, term: Term) -> bool:
    if term.operator != "po":
        return date_meets(value, term.operator + term.value)
    low, high = span(term.value)
    since, until = _covered(value)
    return since < high and low < until


def _covered(value: Any) -> tuple[datetime, datetime]:
    if isinstance(value, str):
        return span(value)
    since = span(value["start"])[0] if "start" in value else PAST
    return since, span(value["end"])[1] if "end" in value else FUTURE


def _token(value: Any, term: Term) -> bool:
    system, bar, code = term.value.partition("|")
    for held_system, held_code in codings_of(value):
        if not bar and held_code == system:
            return True
        if bar and code and (held_system or "") == system and held_code == code:
            return True
        if bar and not code and held_system == system:
            return True
    return False


def _string(value: Any, term: Term) -> bool:
    asked = fold(term.value)
    for held in map(fold, texts_of(value)):
        if term.operator in {"eq", "ne"} and held == asked:
            return True
        if term.operator == "co" and asked in held:
            return True
        if term.operator == "sw" and held.startswith(asked):
            return True
        if term.operator == "ew" and held.endswith(asked):
            return True
    return False


_MEETS: Mapping[str, Callable[[Any, Term], bool]] = {
    "token": _token,
    "string": _string,
    "uri": lambda value, term: bool(value == term.value),
}
