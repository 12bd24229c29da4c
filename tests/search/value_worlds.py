"""Tenants in which words, versions, hierarchies and pairs collide, and questions about them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.search.worlds import (
    AMOUNTS,
    CODES,
    DATES,
    MISSING,
    NAMES,
    PATIENTS,
    PEOPLE,
    SYSTEMS,
    THREADS,
    UNITS,
    Strategy,
    dates,
    identifiers,
    lists_of,
    metas,
    numbers,
    question,
    targets,
    texts,
    tokens,
)

DOCUMENTS = tuple(f"DocumentReference/r{n}" for n in range(3))
PLACES = tuple(f"Location/l{n}" for n in range(2))
URLS = (
    "http://h", "http://h/", "http://h/a", "http://h/a/", "http://h/a/b", "http://h/ab", "urn:a",
)  # fmt: skip
CANONICALS = (
    "http://q",
    "http://q|1",
    "http://q|1.2",
    "http://q|1.20",
    "http://q|1.2.3",
    "urn:q|1",
)
WORDS = ("lab", "result", "Résultat", "علي", "على", "کابل", "كابل", "12", "۱۲", "or", "a_b")
VALUE_SETS = ("http://vs/a", "http://vs/b", "ValueSet/a")


def concepts() -> Strategy:
    coding = st.fixed_dictionaries(
        {"code": st.sampled_from(CODES)},
        optional={"system": st.sampled_from(SYSTEMS), "display": st.sampled_from(NAMES)},
    )
    return st.fixed_dictionaries(
        {"coding": st.lists(coding, min_size=1, max_size=2)},
        optional={"text": st.sampled_from(NAMES)},
    )


def references(*names: str) -> Strategy:
    words = st.sampled_from(NAMES)
    literal = st.fixed_dictionaries(
        {"reference": st.sampled_from(names)}, optional={"display": words}
    )
    logical = st.fixed_dictionaries(
        {"identifier": identifiers()},
        optional={"type": st.sampled_from(["Patient", "Group"]), "display": words},
    )
    return st.one_of(literal, literal, logical)


def sentences() -> Strategy:
    return st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


def narratives() -> Strategy:
    def text(words: str) -> dict[str, str]:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p title="lab">{words}&amp;</p></div>'
        return {"status": "generated", "div": div}

    return sentences().map(text)


def typed_identifiers() -> Strategy:
    kind = {"coding": [{"system": "http://a", "code": "x"}], "text": "Zahra"}
    return st.one_of(identifiers(), identifiers().map(lambda i: {**i, "type": kind}))


def communications() -> Strategy:
    return st.fixed_dictionaries(
        {"resourceType": st.just("Communication"), "meta": metas()},
        optional={
            "status": st.sampled_from(["in-progress", "completed"]),
            "priority": st.sampled_from(["routine", "stat", "else"]),
            "subject": references(*PATIENTS, "Group/g0"),
            "partOf": st.lists(references(*THREADS), min_size=1, max_size=2),
            "sender": references(*PEOPLE, *PATIENTS),
            "category": st.lists(concepts(), min_size=1, max_size=2),
            "identifier": st.lists(typed_identifiers(), min_size=1, max_size=2),
            "instantiatesUri": st.lists(st.sampled_from(URLS), min_size=1, max_size=2),
            "instantiatesCanonical": st.lists(st.sampled_from(CANONICALS), min_size=1, max_size=2),
            "text": narratives(),
            "payload": st.lists(
                sentences().map(lambda words: {"contentString": words}), min_size=1, max_size=2
            ),
        },
    )


def documents() -> Strategy:
    relation = st.builds(
        lambda code, target: {"code": code, "target": target},
        st.sampled_from(["replaces", "appends"]),
        references(*DOCUMENTS),
    )
    return st.fixed_dictionaries(
        {"resourceType": st.just("DocumentReference"), "meta": metas()},
        optional={
            "relatesTo": st.lists(relation, min_size=1, max_size=3),
            "description": sentences(),
        },
    )


def groups() -> Strategy:
    quantity = st.builds(
        lambda value, unit: {"valueQuantity": {"value": value, **unit}},
        st.sampled_from(AMOUNTS),
        st.sampled_from(UNITS),
    )
    value = st.one_of(
        quantity,
        quantity,
        concepts().map(lambda c: {"valueCodeableConcept": c}),
        st.booleans().map(lambda b: {"valueBoolean": b}),
    )
    characteristic = st.builds(lambda code, value: {"code": code, **value}, concepts(), value)
    return st.fixed_dictionaries(
        {"resourceType": st.just("Group"), "meta": metas()},
        optional={"characteristic": st.lists(characteristic, min_size=1, max_size=3)},
    )


def encounters() -> Strategy:
    place = st.builds(
        lambda place, start: {"location": place, "period": {"start": start, "end": start}},
        st.sampled_from(PLACES).map(lambda p: {"reference": p}),
        st.sampled_from(DATES),
    )
    return st.fixed_dictionaries(
        {"resourceType": st.just("Encounter"), "meta": metas()},
        optional={"location": st.lists(place, min_size=1, max_size=3)},
    )


def patients() -> Strategy:
    names = st.fixed_dictionaries(
        {"family": st.sampled_from(NAMES)},
        optional={"given": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2)},
    )
    return st.fixed_dictionaries(
        {"resourceType": st.just("Patient"), "meta": metas()},
        optional={"name": st.lists(names, min_size=1, max_size=3)},
    )


KINDS = {
    "c": communications, "r": documents, "g": groups, "e": encounters, "p": patients,
}  # fmt: skip


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Words, phrases, `or` and `-`, as a person types them."""
    word = st.sampled_from([w for w in WORDS if w != "or"])
    phrase = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(
        lambda words: f'"{" ".join(words)}"'
    )
    term = st.one_of(word, word, phrase)
    side = st.builds(
        lambda some, none: " ".join([*some, *(f"-{one}" for one in none)]),
        st.lists(term, min_size=1, max_size=2),
        st.lists(term, max_size=1),
    )
    return draw(st.lists(side, min_size=1, max_size=2).map(" or ".join))


def pairs(*parts: Strategy) -> Strategy:
    one = st.tuples(*(part.map(lambda text: text.split(",")[0]) for part in parts)).map("$".join)
    return lists_of(one)


def systems_and_codes() -> Strategy:
    return lists_of(st.sampled_from([r"http://a|x", "http://a|y", r"http://a|x\|y", "http://a|X"]))


VALUE_SET = lists_of(st.sampled_from(VALUE_SETS))
URL = lists_of(st.sampled_from([url for url in URLS if url != "urn:a"]))
CANONICAL = lists_of(st.sampled_from(CANONICALS))
QUERY = lists_of(queries())

COMMUNICATION = (
    question("category:text", texts()),
    question("identifier:text", texts()),
    question("subject:text", texts()),
    question("patient:text", texts()),
    question("sender:text", texts()),
    question("subject:identifier", tokens()),
    question("patient:identifier", tokens()),
    question("identifier:of-type", lists_of(st.sampled_from(["http://a|x|y", r"http://a|x|x\|y"]))),
    question("identifier:not", tokens()),
    question("identifier:not", st.just("http://a|")),
    question("category:in", VALUE_SET),
    question("category:not-in", VALUE_SET),
    question("category:above", systems_and_codes()),
    question("category:below", systems_and_codes()),
    question("priority:in", st.just("http://hl7.org/fhir/ValueSet/request-priority")),
    question("priority:not-in", st.just("http://hl7.org/fhir/ValueSet/request-priority")),
    question("instantiates-uri", lists_of(st.sampled_from(URLS))),
    question("instantiates-uri:above", URL),
    question("instantiates-uri:below", URL),
    question("instantiates-canonical:above", CANONICAL),
    question("instantiates-canonical:below", CANONICAL),
    question(
        "status-uri", pairs(st.sampled_from(["completed", "|in-progress"]), st.sampled_from(URLS))
    ),
    question("status-uri:missing", MISSING),
    question("_content", QUERY),
    question("_text", QUERY),
    question("_has:Communication:part-of:_id:not", st.just("null")),
    question("_has:Communication:part-of:category:in", VALUE_SET),
    question("part-of._content", QUERY),
    question("part-of.category:below", systems_and_codes()),
)
DOCUMENT = (
    question("relationship", pairs(st.sampled_from(["replaces", "|appends"]), targets(*DOCUMENTS))),
    question("relationship:missing", MISSING),
    question("_content", QUERY),
    question(
        "_has:DocumentReference:relatesto:relationship",
        pairs(st.just("replaces"), targets(*DOCUMENTS)),
    ),
)
GROUP = (
    question("characteristic-value", pairs(tokens(), tokens())),
    question("characteristic-quantity", pairs(tokens(), numbers())),
    question(
        "characteristic-quantity",
        pairs(tokens(), st.builds("{}||min".format, numbers())),
    ),
    question("characteristic-quantity:missing", MISSING),
)
ENCOUNTER = (
    question("place-when", pairs(targets(*PLACES), dates())),
    question("place-when:missing", MISSING),
)
PATIENT = (
    question("whole-name", pairs(texts(), texts())),
    question("_has:Communication:subject:category:below", systems_and_codes()),
    question("_has:Communication:patient:_content", QUERY),
    question("_has:Communication:subject:sender:text", texts()),
)
ASKED = {
    "Communication": COMMUNICATION,
    "DocumentReference": DOCUMENT,
    "Group": GROUP,
    "Encounter": ENCOUNTER,
    "Patient": PATIENT,
}


@st.composite
def worlds(draw: st.DrawFn, *prefixes: str) -> tuple[list[dict[str, Any]], list[Any]]:
    """Resources of some kinds, each with an id of its own, and of each kind of question one."""
    world = [
        {**resource, "id": f"{prefix}{n}"}
        for prefix in prefixes
        for n, resource in enumerate(draw(st.lists(KINDS[prefix](), min_size=2, max_size=4)))
    ]
    types = sorted({resource["resourceType"] for resource in world})
    return world, [(name, draw(one)) for name in types for one in ASKED[name]]
