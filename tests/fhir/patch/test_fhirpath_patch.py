"""FHIRPath Patch: the official cases, and what holds for every patch."""

from __future__ import annotations

from copy import deepcopy
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.shapes import R4Shapes
from fhir_server.fhir.patch import fhirpath_patch
from fhir_server.problems import Problem
from tests.support.official import needs_shared, patches

Json = dict[str, Any]
SHAPES = R4Shapes(load_facts())
CASES = patches("fhirpath-patch.json")
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "birthDate": "1970-01-01",
    "_birthDate": {"extension": [{"url": "urn:time", "valueString": "noon"}]},
    "name": [
        {"use": "official", "family": "Z", "given": ["A", "B", "C"], "_given": [None, {"id": "b"}]},
        {"use": "nickname", "text": "Zed"},
    ],
    "contact": [{"name": {"text": "N"}, "telecom": [{"system": "phone", "value": "1"}]}],
    "deceasedBoolean": False,
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
    "managingOrganization": {"reference": "#o"},
}


def operation(kind: str, path: str, **more: Any) -> Json:
    """One operation; `valueX=…` is its value, whole numbers are indexes."""
    parts: list[Json] = [
        {"name": "type", "valueCode": kind},
        {"name": "path", "valueString": path},
    ]
    for name, content in more.items():
        if name.startswith("value"):
            parts.append({"name": "value", name: content})
        elif name == "part":
            parts.append({"name": "value", "part": content})
        else:
            key = "valueInteger" if isinstance(content, int) else "valueString"
            parts.append({"name": name, key: content})
    return {"name": "operation", "part": parts}


def patch(*operations: Json) -> Json:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def patched(*operations: Json) -> Json:
    before = deepcopy(PATIENT)
    found = fhirpath_patch(patch(*operations), SHAPES)(PATIENT)
    assert before == PATIENT
    return found


def refused(*operations: Json) -> Problem:
    with pytest.raises(Problem) as caught:
        patched(*operations)
    return caught.value


@needs_shared
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_official_case(case: Json) -> None:
    assert fhirpath_patch(case["diff"], SHAPES)(case["input"]) == case["output"]


def test_an_element_is_found_by_what_it_says() -> None:
    path = "Patient.name.where(use = 'official').family"
    assert patched(operation("replace", path, valueString="Y"))["name"][0]["family"] == "Y"
    path = "name.where(use = 'nickname' and given.empty()).first()"
    assert patched(operation("delete", path))["name"] == PATIENT["name"][:1]
    path = "Patient.contact.where(telecom.where(value = '1').exists()).name.text"
    assert patched(operation("replace", path, valueString="M"))["contact"][0]["name"]["text"] == "M"


def test_a_choice_takes_the_key_of_its_type() -> None:
    found = patched(operation("replace", "Patient.deceased", valueDateTime="2020"))
    assert found["deceasedDateTime"] == "2020"
    assert "deceasedBoolean" not in found
    assert "deceasedBoolean" not in patched(operation("delete", "Patient.deceased.ofType(boolean)"))
    assert patched(operation("delete", "Patient.deceased.ofType(dateTime)")) == PATIENT
    found = patched(
        operation("delete", "Patient.deceased"),
        operation("add", "Patient", name="deceased", valueBoolean=True),
    )
    assert found["deceasedBoolean"] is True
    problem = refused(operation("replace", "Patient.deceased", valueString="yes"))
    assert (problem.status, problem.issues[0].code) == (422, "value")


def test_what_extends_a_primitive_stays_beside_it() -> None:
    found = patched(operation("delete", "Patient.name[0].given[0]"))
    assert (found["name"][0]["given"], found["name"][0]["_given"]) == (
        ["B", "C"],
        [{"id": "b"}, None],
    )
    found = patched(operation("move", "Patient.name[0].given", source=1, destination=2))
    assert found["name"][0]["given"] == ["A", "C", "B"]
    assert found["name"][0]["_given"] == [None, None, {"id": "b"}]
    assert "_birthDate" not in patched(operation("delete", "Patient.birthDate"))
    found = patched(operation("delete", "Patient.birthDate.extension('urn:time')"))
    assert "_birthDate" not in found
    assert found["birthDate"] == "1970-01-01"


def test_a_primitive_can_be_extended() -> None:
    extension = {"url": "urn:x", "valueCode": "x"}
    found = patched(
        operation("add", "Patient.active", name="extension", valueExtension=extension),
        operation("add", "Patient.name[0].given[2]", name="extension", valueExtension=extension),
    )
    assert found["_active"] == {"extension": [extension]}
    assert found["name"][0]["_given"] == [None, {"id": "b"}, {"extension": [extension]}]


def test_parts_make_an_element_without_a_type_of_its_own() -> None:
    parts = [
        {"name": "relationship", "valueCodeableConcept": {"text": "friend"}},
        {"name": "telecom", "valueContactPoint": {"value": "1"}},
        {"name": "telecom", "valueContactPoint": {"value": "2"}},
        {"name": "gender", "valueCode": "male"},
    ]
    found = patched(operation("insert", "Patient.contact", index=0, part=parts))["contact"]
    assert found[0] == {
        "relationship": [{"text": "friend"}],
        "telecom": [{"value": "1"}, {"value": "2"}],
        "gender": "male",
    }
    assert found[1] == PATIENT["contact"][0]


def test_a_list_need_not_be_there_to_be_inserted_in() -> None:
    found = patched(
        operation("insert", "Patient.identifier", index=0, valueIdentifier={"value": "1"})
    )
    assert found["identifier"] == [{"value": "1"}]
    problem = refused(operation("insert", "Patient.photo", index=1, valueAttachment={}))
    assert problem.issues[0].code == "value"


def test_a_contained_resource_is_its_own_type() -> None:
    found = patched(operation("replace", "Patient.contained[0].name", valueString="P"))
    assert found["contained"][0]["name"] == "P"
    assert refused(operation("delete", "Patient.contained[0].birthDate")).status == 422


def test_what_is_not_there_is_deleted_already() -> None:
    assert patched(operation("delete", "Patient.gender")) == PATIENT
    assert patched(operation("delete", "Patient.name.where(use = 'old')")) == PATIENT


@pytest.mark.parametrize(
    "step",
    [
        operation("replace", "Patient.gender", valueCode="male"),
        operation("replace", "Patient.name.given", valueString="X"),
        operation("delete", "Patient.name"),
        operation("delete", "Patient"),
        operation("replace", "Patient", valueString="X"),
        operation("replace", "Patient.id", valueId="q"),
        operation("delete", "Patient.id"),
        operation("add", "Patient", name="birthDate", valueDate="2000"),
        operation("add", "Patient", name="colour", valueString="red"),
        operation("delete", "Patient.colour"),
        operation("delete", "Practitioner.active"),
        operation("insert", "Patient.active", index=0, valueBoolean=True),
        operation("move", "Patient.name", source=2, destination=0),
        operation("move", "Patient.photo", source=0, destination=0),
    ],
)
def test_what_does_not_fit_the_resource_is_422(step: Json) -> None:
    assert refused(operation("delete", "Patient.gender"), step).status == 422


@pytest.mark.parametrize(
    "step",
    [
        operation("zap", "Patient.gender"),
        operation("delete", ""),
        operation("delete", "Patient..gender"),
        operation("delete", "Patient.name.where(given.matches('(a+)+b'))"),
        operation("delete", "Patient.name.where(%resource.name.exists())"),
        operation("delete", "Patient.descendants()"),
        operation("delete", "Patient.name | Patient.contact"),
        operation("delete", "Patient.name[use.length()]"),
        operation("delete", "Patient.name.where('a' & 'b' = 'ab')"),
        operation("delete", "Patient.managingOrganization.resolve().name"),
        operation("delete", "(" * 240 + "Patient" + ")" * 240),
        operation("delete", "Patient" + ".name" * 200),
        operation("replace", "Patient.gender"),
        operation("add", "Patient", valueCode="male"),
        operation("insert", "Patient.name", valueHumanName={}),
        operation("insert", "Patient.name[0]", index=0, valueHumanName={}),
        operation("insert", "Patient.name", index=-1, valueHumanName={}),
        operation("move", "Patient.name", source=0),
        operation("add", "Patient", name="contact", part=[{"valueString": "x"}]),
        operation("add", "Patient", name="contact", part="x"),
        {"name": "operation"},
        {"name": "operation", "part": [{"name": "colour", "valueString": "red"}]},
        {"name": "op", "part": []},
    ],
)
def test_a_malformed_operation_is_named(step: Json) -> None:
    problem = refused(operation("delete", "Patient.gender"), step)
    assert problem.status == 400
    assert problem.issues[0].expression == "Parameters.parameter[1]"
    assert "1" in problem.diagnostics


@pytest.mark.parametrize(
    "parameters", [{}, {"resourceType": "Patient"}, {**patch(), "parameter": 1}]
)
def test_another_body_is_refused(parameters: Json) -> None:
    with pytest.raises(Problem) as caught:
        fhirpath_patch(parameters, SHAPES)
    assert caught.value.status == 400


def test_many_searches_in_a_long_list_are_refused_soon() -> None:
    telecom = [{"system": "phone", "value": str(n)} for n in range(20_000)]
    patient = {"resourceType": "Patient", "contact": [{"telecom": telecom}]}
    path = "Patient.contact.where(telecom.where(value = 'x').exists())"
    started = process_time()
    with pytest.raises(Problem) as caught:
        fhirpath_patch(patch(*[operation("delete", path)] * 500), SHAPES)(patient)
    assert caught.value.issues[0].code == "too-costly"
    assert process_time() - started < 5


GIVEN = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=5)


@given(GIVEN, st.data())
def test_insert_then_delete_is_nothing(given_names: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(given_names)))
    patient = {"resourceType": "Patient", "name": [{"given": given_names}]}
    inserted = operation("insert", "Patient.name[0].given", index=at, valueString="new")
    deleted = operation("delete", f"Patient.name[0].given[{at}]")
    assert fhirpath_patch(patch(inserted, deleted), SHAPES)(patient) == patient


@given(GIVEN, st.data())
def test_move_is_taking_out_and_putting_in(given_names: list[str], data: st.DataObject) -> None:
    places = st.integers(0, len(given_names) - 1)
    source, destination = data.draw(places), data.draw(places)
    patient = {"resourceType": "Patient", "name": [{"given": given_names}]}
    step = operation("move", "Patient.name[0].given", source=source, destination=destination)
    expected = list(given_names)
    expected.insert(destination, expected.pop(source))
    found = fhirpath_patch(patch(step), SHAPES)(patient)
    assert found["name"][0]["given"] == expected


PATHS = st.sampled_from(
    [
        *("Patient", "Patient.name", "Patient.name[0]", "Patient.name.given", "$this", "%resource"),
        *("Patient.name[0].given[1]", "Patient.deceased", "Patient.birthDate.extension", "name"),
        *("Patient.contact.name.text", "Patient.contained", "Patient.contained.name", "id"),
        "Patient.name.where(use in ('a' | 'b'))",
        "Patient.name.where(use < 1)",
        "Patient.name.where(given = 'A').last()",
        "Patient.name.given.where($this.startsWith(1))",
        "Patient.name.single()",
    ]
) | st.text("Patient.name[0]()'whre= ", max_size=20)
NAMES = st.sampled_from(["name", "given", "deceased", "contact", "extension", "id", "contained"])
JUNK = st.none() | st.integers(-1, 3) | st.text("a", max_size=1) | st.booleans()
CONTENT = st.recursive(
    JUNK,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
PART = st.one_of(
    st.sampled_from(["add", "insert", "delete", "replace", "move"]).map(
        lambda kind: {"name": "type", "valueCode": kind}
    ),
    PATHS.map(lambda path: {"name": "path", "valueString": path}),
    NAMES.map(lambda name: {"name": "name", "valueString": name}),
    st.builds(
        lambda name, at: {"name": name, "valueInteger": at},
        st.sampled_from(["index", "source", "destination"]),
        st.integers(-1, 3),
    ),
    st.builds(
        lambda key, content: {"name": "value", key: content},
        st.sampled_from(["valueString", "_valueString", "valueHumanName", "part", "resource", "x"]),
        CONTENT,
    ),
)
STEPS = st.lists(PART, min_size=2, max_size=6, unique_by=lambda part: part["name"]).map(
    lambda parts: {"name": "operation", "part": parts}
)


@given(st.lists(STEPS, max_size=4))
def test_only_a_problem_is_raised_and_neither_side_changed(steps: list[Json]) -> None:
    parameters = patch(*steps)
    before = deepcopy((PATIENT, parameters))
    try:
        change = fhirpath_patch(parameters, SHAPES)
        first = change(PATIENT)
        assert change(PATIENT) == first
    except Problem as problem:
        status = problem.status
    else:
        status = 200
    assert status in {200, 400, 422}
    assert (PATIENT, parameters) == before


@given(CONTENT)
def test_junk_is_a_problem(junk: Any) -> None:
    bodies: list[Json] = [{"resourceType": "Parameters", "parameter": junk}]
    bodies.append(patch({"name": "operation", "part": junk}))
    for body in bodies:
        if junk != [] or body is bodies[1]:
            with pytest.raises(Problem) as caught:
                fhirpath_patch(body, SHAPES)
            assert caught.value.status == 400
