"""All that the declared folders say, read once, with every mistake in them told at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fhir_server.communication import Policy, rules
from fhir_server.communication.gdpr.policy import FILE, read_policy
from fhir_server.declared import declared_root
from fhir_server.definitions.facts import Facts, load_facts
from fhir_server.definitions.loader import DeclarationError, load_definitions
from fhir_server.definitions.model import Definitions
from fhir_server.mapping.loader import Mappings, load_mappings
from fhir_server.store.access import Access
from fhir_server.store.tables import build_tables
from fhir_server.validation import Validator


@dataclass(frozen=True, slots=True)
class Declarations:
    """profiles/, capability/ and mappings/, checked against R4 and against each other."""

    definitions: Definitions
    mappings: Mappings
    validator: Validator
    gdpr: Policy


def read_declarations(root: Path | None = None) -> Declarations:
    """Read once in a process, however often they are asked for. Raises DeclarationError, which
    names file, key and the nearest right name."""
    return _read(root or declared_root())


@lru_cache(maxsize=1)
def _read(root: Path) -> Declarations:
    facts = load_facts()
    definitions = load_definitions(root, facts)
    validator = _validator(facts, definitions)
    mappings = load_mappings(root / "mappings", definitions, facts.structures)
    gdpr, wrong = read_policy(root / "capability" / FILE, definitions)
    mistakes = [*wrong, *validator.mistakes(), *_policy(definitions), *_untold(mappings)]
    if mistakes:
        raise DeclarationError(mistakes)
    return Declarations(definitions, mappings, validator, gdpr)


def _validator(facts: Facts, definitions: Definitions) -> Validator:
    return Validator(
        facts,
        [dict(profile.resource) for profile in definitions.profiles.values()],
        [dict(value_set) for value_set in definitions.value_sets.values()],
        [dict(code_system) for code_system in definitions.code_systems.values()],
    )


def _policy(definitions: Definitions) -> Iterator[str]:
    for mistake in Access(definitions, build_tables(definitions.types)).mistakes():
        yield f"capability/access-policy.yaml: {mistake}"


def _untold(mappings: Mappings) -> Iterator[str]:
    announced = {type_ for rule in rules() for type_ in rule.announces}
    for type_ in sorted(announced - set(mappings.events)):
        yield f"mappings/: events: no file says what {type_} tells"
