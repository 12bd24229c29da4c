"""What scopes allow; the laws say that no scope ever widens another."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.context import Context
from fhir_server.definitions.facts import load_facts
from fhir_server.http.auth import compartment, scopes, smart
from fhir_server.http.auth.scopes import Interaction, allows, narrowing, require, require_scope
from fhir_server.problems import Problem

INTERACTIONS: list[Interaction] = [
    "create", "read", "vread", "history-instance", "update",
    "patch", "delete", "search-type", "history-type", "validate",
]  # fmt: skip
TYPES = ["Communication", "Patient", "Encounter", "Practitioner", "Subscription"]


def holder(
    *held: str, user: str | None = "Practitioner/amina", patient: str | None = None, role: str = ""
) -> Context:
    return Context(
        "demo", "someone", user, patient, frozenset({role} if role else ()), frozenset(held)
    )


def allowed(ctx: Context, resource_type: str = "Communication") -> set[str]:
    return {i for i in INTERACTIONS if narrowing(ctx, resource_type, i) is not None}


READS = {"read", "vread", "history-instance", "search-type", "history-type", "validate"}
WRITES = {"create", "update", "patch", "delete", "validate"}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("user/Communication.read", READS),
        ("user/Communication.write", WRITES),
        ("user/Communication.*", set(INTERACTIONS)),
        ("user/*.read", READS),
        ("user/*.cruds", set(INTERACTIONS)),
        ("user/Communication.rs", READS),
        ("user/Communication.r", READS - {"search-type", "history-type"}),
        ("user/Communication.s", {"search-type", "history-type"}),
        ("user/Communication.c", {"create", "validate"}),
        ("user/Communication.u", {"update", "patch", "validate"}),
        ("user/Communication.d", {"delete"}),
        ("user/Patient.cruds", set()),
    ],
)
def test_smart_scope_allows_its_interactions(scope: str, expected: set[str]) -> None:
    assert allowed(holder(scope)) == expected


@pytest.mark.parametrize(
    "scope",
    [
        "openid", "fhirUser", "profile", "offline_access", "launch", "launch/patient",
        "messaging:read", "user/Communication", "user/Communication.", "user/Communication.sr",
        "user/Communication.rr", "user/Communication.READ", "user/communication.read",
        "User/Communication.read", "user/Communication.reads", "user/Communication.rs?",
        "user/Communication.rs?category", "user/Communication.rs?category=",
        "user/Communication.read?category=a", "user/Communication.rs?_include=*",
        "user/Communication.rs?patient.name=x", "user/Communication.rs?_has:Group:member:_id=1",
        "user/Communication.rs?_count=1", "user/Communication.rs?a=%ff", "user//Communication.rs",
        "user/Commu*.rs", "user/**.rs", "*/*.*", "user/*.rs\n", "patient/*.rs", "system/*.rs",
    ],
)  # fmt: skip
def test_other_scopes_grant_nothing(scope: str) -> None:
    assert allowed(holder(scope)) == set()


def test_system_scopes_are_for_services_only() -> None:
    assert allowed(holder("system/*.*", role="ADMIN")) == set()
    assert allowed(holder("system/*.*", user=None, role="SERVICE")) == set(INTERACTIONS)


def test_user_scopes_need_a_user() -> None:
    assert allowed(holder("user/*.*", user=None)) == set()
    assert allowed(holder("user/*.*", user=None, role="SERVICE")) == set(INTERACTIONS)


def test_patient_scopes_are_held_to_the_patient() -> None:
    ctx = holder("patient/*.cruds", patient="Patient/zahra")
    assert require(ctx, "Communication", "search-type") == (("patient", "Patient/zahra"),)
    assert require(ctx, "Patient", "read") == (("_id", "zahra"),)
    assert require(ctx, "Practitioner", "read") == ()
    assert narrowing(ctx, "Practitioner", "update") is None
    assert narrowing(ctx, "Subscription", "read") is None
    assert not allows(ctx, "Communication", "read")


def test_query_narrows() -> None:
    ctx = holder("user/Communication.rs?category=http://x|alert&status=completed")
    expected = (("category", "http://x|alert"), ("status", "completed"))
    assert require(ctx, "Communication", "search-type") == expected
    assert not allows(ctx, "Communication", "read")
    assert narrowing(ctx, "Communication", "create") is None


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (["?category=a", ""], ()),
        (["?category=a", "?category=a&status=b"], (("category", "a"),)),
        (["?category=a", "?category=b"], (("category", "a,b"),)),
        (
            ["?category=a&status=x", "?category=b&status=x"],
            (("status", "x"), ("category", "a,b")),
        ),
        (["?category=a", "?status=b"], None),
        (["?category:not=a", "?category:not=b"], None),
        (["?category=a&status=x", "?category=b&status=y"], None),
    ],
)
def test_several_queries_join_or_are_refused(held: list[str], expected: object) -> None:
    ctx = holder(*(f"user/Communication.rs{query}" for query in held))
    assert narrowing(ctx, "Communication", "read") == expected


def test_user_scope_beside_patient_scope_is_the_wider() -> None:
    ctx = holder("patient/*.rs", "user/Communication.r", patient="Patient/zahra")
    assert require(ctx, "Communication", "read") == ()
    assert require(ctx, "Communication", "search-type") == (("patient", "Patient/zahra"),)


def test_types_passed_through_must_be_allowed_whole() -> None:
    ctx = holder("patient/*.rs", "user/Encounter.rs", patient="Patient/zahra")
    scopes.require_whole(ctx, ["Encounter", "Practitioner"], "read")
    for resource_type in ("Patient", "Communication", "Subscription"):
        with pytest.raises(Problem) as refused:
            scopes.require_whole(ctx, ["Encounter", resource_type], "search-type")
        assert refused.value.status == 403


def test_v1_scope_is_exact() -> None:
    require_scope(holder("messaging:read"), "messaging:read")
    for held in ("messaging:readx", "messaging:write", "Messaging:read", "messaging:*", "user/*.*"):
        with pytest.raises(Problem) as refused:
            require_scope(holder(held), "messaging:read")
        assert refused.value.status == 403
        assert 'scope="messaging:read"' in refused.value.headers["WWW-Authenticate"]


def test_refusal_names_a_scope_that_would_do() -> None:
    with pytest.raises(Problem) as refused:
        require(holder("openid"), "Communication", "search-type")
    assert (refused.value.status, refused.value.v1_code) == (403, "FORBIDDEN")
    header = refused.value.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in header
    assert 'scope="user/Communication.s"' in header


def test_compartment_parameters_exist_and_refer_to_patients() -> None:
    facts = load_facts()
    for resource_type, code in compartment.PARAMETER.items():
        parameter = facts.search_parameters[resource_type][code]
        assert code == "_id" or "Patient" in parameter["target"], resource_type


LEVELS = st.sampled_from(["user", "patient", "system"])
QUERY = st.sampled_from(["", "?category=a", "?category=b", "?status=x&category=a", "?sent=gt2020"])
SMART = st.builds(
    "{}/{}.{}{}".format,
    LEVELS,
    st.sampled_from(["*", *TYPES]),
    st.sampled_from(["c", "r", "rs", "cruds", "ud"]),
    QUERY,
)
HOLDERS = st.builds(
    lambda held, patient, role: holder(*held, patient=patient, role=role),
    st.lists(SMART, max_size=5),
    st.sampled_from([None, "Patient/zahra"]),
    st.sampled_from(["", "SERVICE"]),
)
COMMUNICATIONS = [
    dict(zip(("category", "status", "sent", "patient"), values, strict=True))
    for values in [
        (c, s, d, p)
        for c in "abz"
        for s in "xy"
        for d in ("2019", "2021")
        for p in ("Patient/zahra", "Patient/omid")
    ]
]


def meets(resource: dict[str, str], criteria: scopes.Criteria) -> bool:
    """An independent reading of the few criteria used here."""
    return all(
        resource[name] > value.removeprefix("gt")
        if value.startswith("gt")
        else resource[name] in value.split(",")
        for name, value in criteria
    )


@given(HOLDERS, st.sampled_from(INTERACTIONS))
def test_together_scopes_reach_no_more_than_each_alone(ctx: Context, what: Interaction) -> None:
    together = narrowing(ctx, "Communication", what)
    if together is None:
        return
    alone = [
        narrowing(
            holder(scope, patient=ctx.patient, role="".join(ctx.roles)), "Communication", what
        )
        for scope in ctx.scopes
    ]
    for resource in COMMUNICATIONS:
        reached = any(part is not None and meets(resource, part) for part in alone)
        assert meets(resource, together) == reached


@given(st.text(max_size=60) | SMART.map(lambda scope: scope + "!"))
def test_any_text_parses_without_error(text: str) -> None:
    found = smart.parse(text)
    assert found is None or found.letters <= set("cruds")


def test_v2_letters_are_read_in_order_only() -> None:
    letters = "cruds"
    for size in range(1, 6):
        for chosen in combinations(letters, size):
            found = smart.parse(f"user/Patient.{''.join(chosen)}")
            assert found is not None
            assert found.letters == set(chosen)
            if size > 1:
                assert smart.parse(f"user/Patient.{''.join(reversed(chosen))}") is None
