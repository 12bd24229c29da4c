"""The committed tables are what the official package gives; run where it was fetched before."""

from __future__ import annotations

from collections import Counter

import pytest

from fhir_server.definitions import generate
from fhir_server.definitions.extract import package, search
from fhir_server.definitions.facts import load_facts
from fhir_server.validation import Validator

needs_package = pytest.mark.skipif(
    not (package.cache_folder() / f"{package.SHA256}.tgz").exists(),
    reason="needs the official package: python -m fhir_server.definitions.generate --check",
)


@needs_package
@pytest.mark.slow
def test_tables_are_what_the_official_package_gives() -> None:
    assert generate.main(["--check"]) == 0


@needs_package
@pytest.mark.slow
def test_the_official_package_is_valid_but_for_its_own_mistakes() -> None:
    validator = Validator(load_facts())
    found: Counter[tuple[str, str]] = Counter()
    for resource in package.load().values():
        for issue in validator.validate(resource):
            if issue.severity == "error":
                found[issue.code, str(issue.expression)] += 1
    assert found == {
        # Drafts without a base, and one id longer than 64.
        ("required", "SearchParameter.base"): 10,
        ("invalid", "SearchParameter.id"): 1,
        # sdf-4: the logical models without a base are not said to be abstract.
        ("invariant", "StructureDefinition"): 4,
    }


def test_lines_change_one_by_one() -> None:
    assert generate.text({"a": {"b": [1], "c": {}}}) == '{\n"a":{\n"b":[1],\n"c":{}\n}\n}'


@pytest.mark.parametrize(
    ("expression", "base", "own"),
    [
        ("Patient.name | Person.name", "Person", "Person.name"),
        ("Patient.a | Patient.b | PatientX.c", "Patient", "Patient.a | Patient.b"),
        ("(Group.a as B) | (Group.a as C)", "Group", "(Group.a as B) | (Group.a as C)"),
        ("A.b.where(x='|') | B.c", "A", "A.b.where(x='|')"),
        ("Resource.id", "Resource", "Resource.id"),
    ],
)
def test_own_part_of_an_expression(expression: str, base: str, own: str) -> None:
    assert search.own_part(expression, base) == own
