"""Generates `definitions/r4/*.json` from the official package: a developer's command.

python -m fhir_server.definitions.generate          writes the tables
python -m fhir_server.definitions.generate --check  fails when they differ
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fhir_server.definitions.extract import package, profiles, search, structures, terminology
from fhir_server.definitions.facts import FOLDER, PUBLISHED_TYPES, SERVED_TYPES


def text(value: Any, depth: int = 2) -> str:
    """JSON with one line for each value at `depth`: compact, and a change shows as one line."""
    if depth == 0 or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    rows = (f"{json.dumps(k)}:{text(v, depth - 1)}" for k, v in value.items())
    return "{\n" + ",\n".join(rows) + "\n}"


def tables() -> Iterator[tuple[str, str]]:
    """(file name, text) of every table."""
    source = package.load()
    resources = resource_types(source)
    parameters = search.search_parameters(source, (*SERVED_TYPES, *PUBLISHED_TYPES), resources)
    yield "search-parameters.json", text(parameters)
    yield "compartments.json", text(search.compartments(source, SERVED_TYPES))
    yield "resource-types.json", text(resources)
    types = structures.structures(source)
    for name, structure in types.items():
        yield f"structures/{name}.json", text(structure)
    extra = profiles.profiles(source)
    yield "profiles.json", text(extra, 1)
    bound = [*_bound(e for s in types.values() for e in s["elements"].values())]
    bound += _bound(e for p in extra.values() for e in p["element"])
    value_sets = terminology.value_sets(source, bound)
    yield "value-sets.json", text(value_sets, 1)
    systems = (system for listed in value_sets.values() for system in listed)
    yield "code-systems.json", text(terminology.code_systems(source, systems), 1)


def _bound(elements: Iterable[dict[str, Any]]) -> Iterator[str]:
    for element in elements:
        binding = element.get("binding")
        if binding:
            url = binding if isinstance(binding, str) else binding["valueSet"]
            yield url.partition("|")[0]


def resource_types(source: package.Package) -> list[str]:
    """The names of all concrete resource types."""
    definitions = package.of_type(source, "StructureDefinition")
    return sorted(
        d["type"]
        for d in definitions
        if d["kind"] == "resource" and d.get("derivation") == "specialization"
        if not d["abstract"]
    )


def main(arguments: list[str]) -> int:
    wanted = {FOLDER / name: body + "\n" for name, body in tables()}
    present = set(FOLDER.rglob("*.json"))
    if "--check" in arguments:
        return _check(wanted, present)
    for path in present - wanted.keys():
        path.unlink()
    for path, body in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    return 0


def _check(wanted: dict[Path, str], present: set[Path]) -> int:
    stale = [p for p, body in wanted.items() if p not in present or p.read_text("utf-8") != body]
    stale += present - wanted.keys()
    for path in stale:
        print(f"{path.relative_to(FOLDER)} is not what the official package gives")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
