"""Hypothesis strategies: small tenants in which much collides, and questions about them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

SYSTEMS = ("http://a", "http://b")
CODES = ("x", "y", "X", "x|y")
NAMES = ("Zahra", "zahrá", "ZA", "Müller", "Straße", "o'Neil; --", "100%", "a_b", "من")
DATES = (
    "2025", "2026", "2026-01", "2026-02", "2026-01-31", "2026-02-01", "2026-01-31T23:59:59Z",
    "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00+01:00", "2026-02-01T00:00:00.000Z",
)  # fmt: skip
AMOUNTS = (0, 5, 5.4, 5.45, 100, 99.5, -1.5, 1e3)
UNITS: tuple[dict[str, str], ...] = (
    {},
    {"unit": "min"},
    {"unit": "minutes", "system": "http://u", "code": "min"},
)
PEOPLE = tuple(f"Practitioner/d{n}" for n in range(3))
PATIENTS = tuple(f"Patient/p{n}" for n in range(3))
THREADS = tuple(f"Communication/c{n}" for n in range(3))
RESTRICTED = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"

Strategy = st.SearchStrategy[Any]


def some(strategy: Strategy, most: int = 2) -> Strategy:
    """A list, or nothing at all where it would be empty."""
    return st.lists(strategy, max_size=most)


def codings() -> Strategy:
    return st.fixed_dictionaries(
        {"code": st.sampled_from(CODES)}, optional={"system": st.sampled_from(SYSTEMS)}
    )


def concepts() -> Strategy:
    return st.one_of(
        st.fixed_dictionaries({"coding": st.lists(codings(), min_size=1, max_size=2)}),
        st.just({"text": "only words"}),
    )


def identifiers() -> Strategy:
    return st.fixed_dictionaries(
        {"value": st.sampled_from(CODES)}, optional={"system": st.sampled_from(SYSTEMS)}
    )


def references(*targets: str) -> Strategy:
    literal = st.sampled_from(targets).map(lambda t: {"reference": t})
    logical = identifiers().map(lambda i: {"identifier": i})
    return st.one_of(literal, literal, logical)


def metas() -> Strategy:
    return st.fixed_dictionaries(
        {"lastUpdated": st.sampled_from([d for d in DATES if d.endswith(("59.999Z", "00.000Z"))])},
        optional={"security": st.just([{"system": RESTRICTED, "code": "R"}])},
    )


def communications() -> Strategy:
    return st.fixed_dictionaries(
        {"resourceType": st.just("Communication"), "meta": metas()},
        optional={
            "status": st.sampled_from(["in-progress", "completed"]),
            "subject": references(*PATIENTS, "Group/g0"),
            "partOf": st.lists(references(*THREADS), min_size=1, max_size=2),
            "sender": references(*PEOPLE, *PATIENTS),
            "recipient": st.lists(references(*PEOPLE, *PATIENTS), min_size=1, max_size=3),
            "sent": st.sampled_from(DATES),
            "received": st.sampled_from(DATES),
            "category": st.lists(concepts(), min_size=1, max_size=2),
            "identifier": st.lists(identifiers(), min_size=1, max_size=2),
            "instantiatesUri": st.lists(st.sampled_from(["urn:a", "urn:b"]), min_size=1),
        },
    )


def patients() -> Strategy:
    names = st.fixed_dictionaries(
        {},
        optional={
            "family": st.sampled_from(NAMES),
            "given": st.lists(st.sampled_from(NAMES), min_size=1, max_size=2),
        },
    )
    return st.fixed_dictionaries(
        {"resourceType": st.just("Patient"), "meta": metas()},
        optional={
            "name": st.lists(names.filter(bool), min_size=1, max_size=2),
            "birthDate": st.sampled_from([d for d in DATES if "T" not in d]),
            "active": st.booleans(),
            "identifier": st.lists(identifiers(), min_size=1, max_size=2),
            "generalPractitioner": st.lists(references(*PEOPLE), min_size=1, max_size=2),
        },
    )


def encounters() -> Strategy:
    amounts = st.builds(
        lambda value, unit: {"value": value, **unit},
        st.sampled_from(AMOUNTS),
        st.sampled_from(UNITS),
    )
    period = st.fixed_dictionaries(
        {}, optional={"start": st.sampled_from(DATES), "end": st.sampled_from(DATES)}
    ).filter(bool)
    return st.fixed_dictionaries(
        {"resourceType": st.just("Encounter"), "meta": metas()},
        optional={
            "status": st.sampled_from(["planned", "finished"]),
            "class": codings(),
            "subject": references(*PATIENTS),
            "period": period.filter(_in_order),
            "length": amounts,
        },
    )


def _in_order(period: dict[str, str]) -> bool:
    return "start" not in period or "end" not in period or period["start"][:4] < period["end"][:4]


@st.composite
def worlds(draw: st.DrawFn) -> list[dict[str, Any]]:
    """The resources of a tenant, each with an id of its own."""
    found = []
    for prefix, kinds in (("c", communications()), ("p", patients()), ("e", encounters())):
        for n, resource in enumerate(draw(st.lists(kinds, max_size=4))):
            found.append({**resource, "id": f"{prefix}{n}"})
    found += [{"resourceType": "Practitioner", "id": f"d{n}", "active": n > 0} for n in range(3)]
    return found


PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")


def lists_of(values: Strategy) -> Strategy:
    return st.lists(values, min_size=1, max_size=3).map(",".join)


def dates() -> Strategy:
    return lists_of(st.builds(str.__add__, st.sampled_from(PREFIXES), st.sampled_from(DATES)))


def tokens() -> Strategy:
    code = st.sampled_from([c.replace("|", r"\|") for c in CODES])
    system = st.sampled_from(SYSTEMS)
    return lists_of(
        st.one_of(
            code,
            st.builds("{}|{}".format, system, code),
            code.map(lambda c: f"|{c}"),
            system.map(lambda s: f"{s}|"),
        )
    )


def texts() -> Strategy:
    parts = st.sampled_from(NAMES).flatmap(lambda n: st.integers(1, len(n)).map(lambda i: n[:i]))
    return lists_of(parts)


def numbers() -> Strategy:
    amounts = st.sampled_from(["0", "5", "5.4", "5.40", "100", "1e3", "-1.5"])
    return st.builds(str.__add__, st.sampled_from((*PREFIXES, "ap")), amounts)


def quantities() -> Strategy:
    units = st.sampled_from(["", "||min", "||minutes", "|http://u|min", "|http://v|min"])
    return lists_of(st.builds(str.__add__, numbers(), units))


def targets(*names: str) -> Strategy:
    return lists_of(st.sampled_from([*names, *(name.partition("/")[2] for name in names)]))


MISSING = st.sampled_from(["true", "false"])


def question(name: str, values: Strategy) -> Strategy:
    return st.tuples(st.just(name), values)


COMMUNICATION = st.one_of(
    question("_id", lists_of(st.sampled_from(["c0", "c1", "zz"]))),
    question("_lastUpdated", dates()),
    question("_security", tokens()),
    question("status", lists_of(st.sampled_from(["in-progress", "completed", "bad"]))),
    question("category", tokens()),
    question("category:not", tokens()),
    question("identifier", tokens()),
    question("instantiates-uri", lists_of(st.sampled_from(["urn:a", "urn:b", "urn"]))),
    question("subject", targets(*PATIENTS, "Group/g0")),
    question("subject:Patient", targets(*PATIENTS)),
    question("subject:identifier", tokens()),
    question("patient", targets(*PATIENTS)),
    question("part-of", targets(*THREADS)),
    question("recipient", targets(*PEOPLE)),
    question("participant", targets(*PEOPLE, *PATIENTS)),
    question("sent", dates()),
    question("received", dates()),
    question("patient:missing", MISSING),
    question("subject:missing", MISSING),
    question("sent:missing", MISSING),
    question("category:missing", MISSING),
    question("received:missing", MISSING),
    question("subject:Patient.name", texts()),
    question("patient.birthdate", dates()),
    question("recipient:Practitioner.active", st.sampled_from(["true", "false"])),
    question("part-of.sent", dates()),
    question("part-of.subject:Patient.active", st.just("true")),
    question("_has:Communication:part-of:recipient", targets(*PEOPLE)),
    question("_has:Communication:part-of:_has:Communication:part-of:status", st.just("completed")),
    question("_has:Communication:part-of:category", tokens()),
    question("_has:Communication:part-of:sender:Patient.name", texts()),
    question("_has:Communication:part-of:recipient:Practitioner.active", st.just("true")),
    question("_has:Communication:part-of:_id", lists_of(st.sampled_from(["c0", "c1", "zz"]))),
    question("_has:Communication:part-of:_id:not", st.sampled_from(["null", "c0", "c0,c1"])),
    question("_has:Communication:part-of:identifier:not", tokens()),
    question("part-of:Communication._has:Communication:part-of:sent:missing", MISSING),
    question("subject:Patient._has:Communication:sender:category", tokens()),
    question("_id:not", lists_of(st.sampled_from(["c0", "c1", "zz"]))),
)
PATIENT = st.one_of(
    question("name", texts()),
    question("name:contains", texts()),
    question("name:exact", texts()),
    question("family", texts()),
    question("birthdate", dates()),
    question("active", st.sampled_from(["true", "false"])),
    question("identifier", tokens()),
    question("general-practitioner", targets(*PEOPLE)),
    question("general-practitioner.active", st.just("true")),
    question("_has:Communication:patient:sent", dates()),
    question("_has:Communication:subject:category:not", tokens()),
    question("_has:Encounter:patient:length", quantities()),
    question("_has:Communication:recipient:status", st.just("completed")),
)
ENCOUNTER = st.one_of(
    question("date", dates()),
    question("length", quantities()),
    question("length-value", lists_of(numbers())),
    question("class", tokens()),
    question("status:not", st.just("planned")),
    question("date:missing", MISSING),
    question("length:missing", MISSING),
    question("patient.general-practitioner", targets(*PEOPLE)),
)
QUESTIONS = st.one_of(
    st.tuples(st.just("Communication"), st.lists(COMMUNICATION, min_size=1, max_size=3)),
    st.tuples(st.just("Patient"), st.lists(PATIENT, min_size=1, max_size=3)),
    st.tuples(st.just("Encounter"), st.lists(ENCOUNTER, min_size=1, max_size=3)),
)


def care_teams() -> Strategy:
    """Of one patient; some are over, and some members have left or are to leave."""
    period = {"period": st.sampled_from([{"start": "2025"}, {"end": "2026"}, {"end": "2126"}])}
    participants = st.fixed_dictionaries(
        {"member": st.sampled_from(PEOPLE).map(lambda person: {"reference": person})},
        optional=period,
    )
    return st.fixed_dictionaries(
        {
            "resourceType": st.just("CareTeam"),
            "subject": st.sampled_from(PATIENTS).map(lambda one: {"reference": one}),
            "participant": st.lists(participants, min_size=1, max_size=3),
        },
        optional={"status": st.sampled_from(["active", "active", "inactive"]), **period},
    )


@st.composite
def access_worlds(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Patients, some restricted or missing; care teams; communications among them."""
    found: list[dict[str, Any]] = []
    security = st.sampled_from([[], [], [{"system": RESTRICTED, "code": "R"}], [{"code": "V"}]])
    for patient in draw(st.sets(st.sampled_from(PATIENTS))):
        meta = {"security": draw(security), "lastUpdated": DATES[-1]}
        found.append({"resourceType": "Patient", "id": patient.partition("/")[2], "meta": meta})
    for n, team in enumerate(draw(st.lists(care_teams(), max_size=2))):
        found.append({**team, "id": f"t{n}"})
    for n, communication in enumerate(draw(st.lists(communications(), max_size=6))):
        found.append({**communication, "id": f"c{n}"})
    return found
