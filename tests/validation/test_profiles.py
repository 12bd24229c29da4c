from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions.facts import Facts
from fhir_server.problems import Issue
from fhir_server.validation import Validator

PROFILE = "http://test/profile"
CORE = "http://hl7.org/fhir/StructureDefinition/"
Json = dict[str, Any]


def profile(*elements: Json, on: str = "Patient", url: str = PROFILE, **more: Any) -> Json:
    return {
        "resourceType": "StructureDefinition", "url": url, "type": on,
        "baseDefinition": CORE + on, "derivation": "constraint",
        "differential": {"element": list(elements)}, **more,
    }  # fmt: skip


def element(path: str, **rules: Any) -> Json:
    """An element of a differential; `id` may name slices (`Patient.name:official`)."""
    return {"id": path, "path": ".".join(p.partition(":")[0] for p in path.split(".")), **rules}


def patient(**content: Any) -> Json:
    return {"resourceType": "Patient", "active": True, **content}


def check(
    facts: Facts, resource: Json, *elements: Json, others: tuple[Json, ...] = (), **terms: Any
) -> list[tuple[str, str | None]]:
    """(code, place) of the issues by a profile of those elements."""
    made = profile(*elements, on=resource["resourceType"])
    found: list[Issue] = Validator(facts, [made, *others], **terms).validate(resource, [PROFILE])
    return [(issue.code, issue.expression) for issue in found]


def test_claimed_profile_is_checked(facts: Facts) -> None:
    validator = Validator(facts, [profile(element("Patient.name", min=1))])
    claimed = patient(meta={"profile": [PROFILE + "|1.0"]})
    assert [i.code for i in validator.validate(claimed)] == ["required"]


def test_unknown_profile_is_a_warning(facts: Facts) -> None:
    found = Validator(facts).validate(patient(), ["http://nowhere/p"])
    assert [(i.severity, i.code) for i in found] == [("warning", "not-found")]


def test_profile_of_another_type_is_an_error(facts: Facts) -> None:
    found = Validator(facts).validate(patient(), [CORE + "Group"])
    assert [(i.severity, i.code) for i in found] == [("error", "structure")]


def test_profile_of_a_nested_resource_is_checked_there(facts: Facts) -> None:
    validator = Validator(facts, [profile(element("Patient.name", min=1))])
    inner = patient(meta={"profile": [PROFILE]})
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    assert [i.expression for i in validator.validate(bundle)] == ["Bundle.entry[0].resource.name"]


def test_base_profile_is_checked_too(facts: Facts) -> None:
    base = profile(element("Patient.name", min=1), url="http://test/base")
    derived = profile(element("Patient.gender", min=1)) | {"baseDefinition": "http://test/base"}
    found = Validator(facts, [base, derived]).validate(patient(), [PROFILE])
    assert [i.expression for i in found] == ["Patient.name", "Patient.gender"]


def test_cardinality(facts: Facts) -> None:
    one = element("Patient.name", min=1, max="1")
    assert check(facts, patient(), one) == [("required", "Patient.name")]
    assert check(facts, patient(name=[{"text": "a"}]), one) == []
    two = patient(name=[{"text": "a"}, {"text": "b"}])
    assert check(facts, two, one) == [("structure", "Patient.name[1]")]


def test_inner_cardinality_holds_where_the_outer_element_is(facts: Facts) -> None:
    family = element("Patient.name.family", min=1)
    assert check(facts, patient(), family) == []
    named = patient(name=[{"family": "x"}, {"text": "y"}])
    assert check(facts, named, family) == [("required", "Patient.name[1].family")]


def test_forbidden_choice(facts: Facts) -> None:
    none = element("Patient.deceased[x]", max="0")
    dead = patient(deceasedBoolean=True)
    assert check(facts, dead, none) == [("structure", "Patient.deceased.ofType(boolean)")]


def test_narrowed_choice(facts: Facts) -> None:
    narrow = element("Patient.deceased[x]", type=[{"code": "dateTime"}])
    assert check(facts, patient(deceasedDateTime="2024"), narrow) == []
    dead = patient(deceasedBoolean=True)
    assert check(facts, dead, narrow) == [("structure", "Patient.deceased.ofType(boolean)")]


def test_fixed_and_pattern(facts: Facts) -> None:
    fixed = element("Patient.gender", fixedCode="male")
    assert check(facts, patient(gender="female"), fixed) == [("value", "Patient.gender")]
    pattern = element("Patient.maritalStatus", patternCodeableConcept={"coding": [{"code": "M"}]})
    married = patient(maritalStatus={"coding": [{"code": "X"}, {"code": "M", "system": "urn:s"}]})
    assert check(facts, married, pattern) == []
    single = patient(maritalStatus={"coding": [{"code": "S"}]})
    assert check(facts, single, pattern) == [("value", "Patient.maritalStatus")]


@pytest.mark.parametrize(
    ("reference", "good"),
    [
        ({"reference": "Organization/1"}, True),
        ({"reference": "http://x.y/fhir/Organization/1"}, True),
        ({"identifier": {"value": "1"}}, True),
        ({"reference": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}, True),
        ({"reference": "Practitioner/1"}, False),
        ({"reference": "http://x.y/fhir/Practitioner/1"}, False),
        ({"type": "Practitioner", "display": "x"}, False),
    ],
)
def test_target_profile(facts: Facts, reference: Json, *, good: bool) -> None:
    declared = [{"code": "Reference", "targetProfile": [CORE + "Organization"]}]
    target = element("Patient.generalPractitioner", type=declared)
    place = [] if good else [("structure", "Patient.generalPractitioner[0]")]
    assert check(facts, patient(generalPractitioner=[reference]), target) == place


def test_invariants_with_their_severity(facts: Facts) -> None:
    rules = [
        {"key": "t-1", "severity": "error", "human": "named", "expression": "name.exists()"},
        {"key": "t-2", "severity": "warning", "human": "sexed", "expression": "gender.exists()"},
    ]
    made = profile(element("Patient", constraint=rules))
    found = Validator(facts, [made]).validate(patient(), [PROFILE])
    assert [(i.severity, i.expression) for i in found] == [
        ("error", "Patient"),
        ("warning", "Patient"),
    ]
    assert "t-1" in found[0].diagnostics


def test_invariant_that_cannot_be_evaluated_fails(facts: Facts) -> None:
    rule = {"key": "t-1", "severity": "error", "human": "x", "expression": "name.given & 'a' = 'a'"}
    named = patient(name=[{"given": ["a", "b"]}])
    assert check(facts, named, element("Patient", constraint=[rule])) == [("invariant", "Patient")]


VALUE_SET = {
    "resourceType": "ValueSet", "url": "http://test/vs",
    "compose": {
        "include": [
            {"system": "urn:a", "concept": [{"code": "x"}, {"code": "male"}]},
            {"system": "urn:whole"},
        ],
        "exclude": [{"system": "urn:whole", "concept": [{"code": "w2"}]}],
    },
}  # fmt: skip
CODE_SYSTEM = {
    "resourceType": "CodeSystem", "url": "urn:whole",
    "concept": [{"code": "w1", "concept": [{"code": "w11"}]}, {"code": "w2"}],
}  # fmt: skip

TERMS: dict[str, Any] = {"value_sets": [VALUE_SET], "code_systems": [CODE_SYSTEM]}


@pytest.mark.parametrize(
    ("system", "code", "good"),
    [
        ("urn:a", "x", True),
        ("urn:b", "x", False),
        (None, "x", False),
        ("urn:whole", "w11", True),
        ("urn:whole", "w2", False),
    ],
)
def test_binding_to_a_declared_value_set(
    facts: Facts, system: str | None, code: str, *, good: bool
) -> None:
    binding = {"strength": "required", "valueSet": "http://test/vs|1.0"}
    bound = element("Patient.maritalStatus", binding=binding)
    coding = {"code": code} | ({"system": system} if system else {})
    married = patient(maritalStatus={"coding": [coding]})
    expected = [] if good else [("code-invalid", "Patient.maritalStatus")]
    assert check(facts, married, bound, **TERMS) == expected


def test_binding_of_a_code(facts: Facts) -> None:
    binding = {"strength": "required", "valueSet": "http://test/vs"}
    bound = element("Patient.gender", binding=binding)
    assert check(facts, patient(gender="male"), bound, **TERMS) == []
    found = check(facts, patient(gender="other"), bound, **TERMS)
    assert found == [("code-invalid", "Patient.gender")]


def test_unlistable_value_set_is_not_checked(facts: Facts) -> None:
    unknown = {"strength": "required", "valueSet": "http://nowhere/vs"}
    assert check(facts, patient(gender="male"), element("Patient.gender", binding=unknown)) == []


def slicing(kind: str, path: str, rules: str = "open") -> Json:
    return {"discriminator": [{"type": kind, "path": path}], "rules": rules}


OFFICIAL = (
    element("Patient.identifier", slicing=slicing("value", "system", "closed")),
    element("Patient.identifier:mrn", sliceName="mrn", min=1, max="1"),
    element("Patient.identifier:mrn.system", min=1, fixedUri="urn:mrn"),
    element("Patient.identifier:mrn.value", min=1),
    element("Patient.identifier:ssn", sliceName="ssn", max="1"),
    element("Patient.identifier:ssn.system", min=1, fixedUri="urn:ssn"),
)


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        ([{"system": "urn:mrn", "value": "1"}], []),
        ([{"system": "urn:mrn", "value": "1"}, {"system": "urn:ssn", "value": "2"}], []),
        ([{"system": "urn:ssn", "value": "2"}], [("required", "Patient.identifier")]),
        ([{"system": "urn:mrn"}], [("required", "Patient.identifier[0].value")]),
        (
            [{"system": "urn:mrn", "value": "1"}, {"system": "urn:mrn", "value": "2"}],
            [("structure", "Patient.identifier[1]")],
        ),
        (
            [{"system": "urn:mrn", "value": "1"}, {"system": "urn:else"}],
            [("structure", "Patient.identifier[1]")],
        ),
    ],
)
def test_slices_by_value(
    facts: Facts, identifiers: list[Json], expected: list[tuple[str, str]]
) -> None:
    assert check(facts, patient(identifier=identifiers), *OFFICIAL) == expected


def test_missing_slice_is_missed_without_any_value(facts: Facts) -> None:
    assert check(facts, patient(), *OFFICIAL) == [("required", "Patient.identifier")]


def test_slices_by_pattern(facts: Facts) -> None:
    elements = (
        element("Patient.communication", slicing=slicing("pattern", "language")),
        element("Patient.communication:dari", sliceName="dari", max="1"),
        element(
            "Patient.communication:dari.language",
            patternCodeableConcept={"coding": [{"code": "prs"}]},
        ),
        element("Patient.communication:dari.preferred", min=1),
    )
    dari = {"language": {"coding": [{"code": "prs", "display": "Dari"}]}}
    other = {"language": {"coding": [{"code": "ps"}]}}
    found = check(facts, patient(communication=[other, dari]), *elements)
    assert found == [("required", "Patient.communication[1].preferred")]


def test_slices_by_type(facts: Facts) -> None:
    elements = (
        element("Patient.deceased[x]", slicing=slicing("type", "$this")),
        element(
            "Patient.deceased[x]:deceasedBoolean",
            sliceName="deceasedBoolean",
            type=[{"code": "boolean"}],
            fixedBoolean=False,
        ),
    )
    assert check(facts, patient(deceasedDateTime="2024"), *elements) == []
    found = check(facts, patient(deceasedBoolean=True), *elements)
    assert found == [("value", "Patient.deceased.ofType(boolean)")]


def test_slices_by_existence(facts: Facts) -> None:
    elements = (
        element("Patient.name", slicing=slicing("exists", "family")),
        element("Patient.name:formal", sliceName="formal"),
        element("Patient.name:formal.family", min=1),
        element("Patient.name:formal.given", min=1),
    )
    found = check(facts, patient(name=[{"text": "x"}, {"family": "y"}]), *elements)
    assert found == [("required", "Patient.name[1].given")]


def test_slices_by_the_type_referred_to(facts: Facts) -> None:
    def slice_of(name: str, *types: str) -> Json:
        targets = [CORE + type_name for type_name in types]
        declared = [{"code": "Reference", "targetProfile": targets}]
        return element(f"Patient.generalPractitioner:{name}", max="1", type=declared)

    elements = (
        element("Patient.generalPractitioner", slicing=slicing("type", "resolve()", "closed")),
        slice_of("house", "Organization"),
        slice_of("doctor", "Practitioner", "PractitionerRole"),
    )
    held = {"resourceType": "PractitionerRole", "id": "r", "active": True}
    one, two = {"reference": "Organization/1"}, {"reference": "#r"}
    good = patient(contained=[held], generalPractitioner=[one, two])
    assert check(facts, good, *elements) == []
    many = patient(generalPractitioner=[one, one])
    place = "Patient.generalPractitioner[1]"
    assert ("structure", place) in check(facts, many, *elements)


EXTENSION = profile(
    element("Extension.url", fixedUri="http://test/ext"),
    element("Extension.value[x]", min=1, type=[{"code": "string"}]),
    on="Extension",
    url="http://test/ext",
    context=[{"type": "element", "expression": "Patient"}],
)


def test_extension_slice(facts: Facts) -> None:
    declared = [{"code": "Extension", "profile": ["http://test/ext"]}]
    wanted = element("Patient.extension:mine", sliceName="mine", min=1, max="1", type=declared)
    good = patient(extension=[{"url": "http://test/ext", "valueString": "x"}])
    assert check(facts, good, wanted, others=(EXTENSION,)) == []
    assert check(facts, patient(), wanted, others=(EXTENSION,)) == [
        ("required", "Patient.extension")
    ]


def test_known_extension_is_checked_wherever_it_stands(facts: Facts) -> None:
    validator = Validator(facts, [EXTENSION])
    wrong = {"extension": [{"url": "http://test/ext", "valueInteger": 1}]}
    assert [i.expression for i in validator.validate(patient(**wrong))] == [
        "Patient.extension[0].value.ofType(integer)"
    ]


def test_extension_out_of_its_context_is_refused(facts: Facts) -> None:
    validator = Validator(facts, [EXTENSION])
    extended = {"text": "x", "extension": [{"url": "http://test/ext", "valueString": "x"}]}
    found = validator.validate(patient(name=[extended]))
    assert [(i.severity, i.expression) for i in found] == [
        ("error", "Patient.name[0].extension[0]")
    ]


def test_profile_of_r4_itself(facts: Facts) -> None:
    group = {"resourceType": "Group", "type": "person", "actual": False}
    found = Validator(facts).validate(group, [CORE + "actualgroup"])
    assert [(i.code, i.expression) for i in found] == [("value", "Group.actual")]
