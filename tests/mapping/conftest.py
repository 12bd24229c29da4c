from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import DeclarationError
from fhir_server.definitions.model import Definitions
from fhir_server.mapping.loader import Mappings, load_mappings

FACTS = load_facts()

Loads = Callable[..., Mappings]


@pytest.fixture(scope="session")
def mappings(definitions: Definitions) -> Mappings:
    return load_mappings(declared_root() / "mappings", definitions, FACTS.structures)


@pytest.fixture
def loads(definitions: Definitions, tmp_path: Path) -> Loads:
    """Loads files given by name; the project's own shared ones unless others are given."""
    folder = declared_root() / "mappings"
    shared = {path.stem: path.read_text() for path in folder.glob("_*.yaml")}

    def load(**files: str) -> Mappings:
        for name, text in {**shared, **files}.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return load_mappings(tmp_path, definitions, FACTS.structures)

    return load


@pytest.fixture
def faults(loads: Loads) -> Callable[..., list[str]]:
    """The errors of files that must not load."""

    def errors(**files: str) -> list[str]:
        with pytest.raises(DeclarationError) as caught:
            loads(**files)
        return list(caught.value.errors)

    return errors
