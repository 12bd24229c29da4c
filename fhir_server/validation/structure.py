"""A complex type as one table of properties; the heart of the validator.

`Node.check` walks a JSON object once. Each property found calls its own closure; no path is
built, no definition is looked up on the way. A type is compiled when a resource first uses it.
https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from fhir_server.definitions.facts import Facts
from fhir_server.validation import fields, rules
from fhir_server.validation.fields import Field
from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run


class Compiler:
    """Makes and keeps the nodes of all types."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._nodes: dict[str, Node] = {}

    def node(self, path: str) -> Node:
        """The node of a type (`Period`) or of a backbone element (`Patient.contact`)."""
        found = self._nodes.get(path)
        if found is None:
            found = self._nodes[path] = Node(self, path)
        return found

    def is_resource(self, name: Any) -> bool:
        return isinstance(name, str) and name in self.facts.resource_types


class Node:
    def __init__(self, compiler: Compiler, path: str) -> None:
        self.compiler = compiler
        self.path = path

    @cached_property
    def _structure(self) -> Json:
        return self.compiler.facts.structures[self.path.partition(".")[0]]

    @cached_property
    def base(self) -> str:
        """The type whose elements this one has too, "" at the top."""
        if "." in self.path:
            return str(self._structure["elements"][self.path]["type"][0])
        return str(self._structure["base"])

    @cached_property
    def elements(self) -> dict[str, tuple[str, Json]]:
        """Element name (`value[x]`) → its path and facts, the base type's first."""
        inherited = self.compiler.node(self.base).elements if self.base else {}
        head = self.path + "."
        own = {
            path.removeprefix(head): (path, facts)
            for path, facts in self._structure["elements"].items()
            if path.startswith(head) and "." not in path.removeprefix(head)
        }
        return inherited | own

    def inner(self, path: str, type_name: str) -> str:
        """What to call the node of an element: its path where it has elements of its own."""
        elements = self.compiler.facts.structures[path.partition(".")[0]]["elements"]
        return path if any(other.startswith(path + ".") for other in elements) else type_name

    @cached_property
    def ancestry(self) -> tuple[str, ...]:
        """Its path and those of its base types."""
        above = self.compiler.node(self.base).ancestry if self.base else ()
        return (self.path, *above)

    @cached_property
    def is_resource(self) -> bool:
        return self.ancestry[-1] == "Resource"

    @cached_property
    def rules(self) -> tuple[rules.Rule, ...]:
        inherited = self.compiler.node(self.base).rules if self.base else ()
        facts = self._structure["elements"][self.path]
        return inherited + rules.of_constraints(facts.get("constraint", ()))

    @cached_property
    def fields(self) -> dict[str, Field]:
        found: dict[str, Field] = {"resourceType": fields.nothing} if self.is_resource else {}
        for name, (path, facts) in self.elements.items():
            found |= fields.of_element(self, name, path, facts)
        return found

    @cached_property
    def choices(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Of each choice element its name and the properties, of which one may be there."""
        return tuple(
            (name[:-3], frozenset(fields.choice_names(name, facts)))
            for name, (_, facts) in self.elements.items()
            if name.endswith("[x]")
        )

    @cached_property
    def required(self) -> tuple[tuple[str, str], ...]:
        """Properties that must be there, each with the name that its extensions have."""
        return tuple(
            (name, "_" + name)
            for name, (_, facts) in self.elements.items()
            if facts.get("min") and not name.endswith("[x]")
        )

    @cached_property
    def required_choices(self) -> frozenset[str]:
        named = self.elements.items()
        return frozenset(n[:-3] for n, (_, f) in named if n.endswith("[x]") and f.get("min"))

    def check(self, value: Any, at: Place, run: Run) -> None:
        """Everything that R4 says of `value`, which is at `at`."""
        if type(value) is not dict:
            run.error("structure", "must be a JSON object", at)
            return
        known = self.fields
        for key, item in value.items():
            field = known.get(key)
            if field is None:
                self._unknown(key, at, run)
            else:
                field(item, value, at, run)
        for name, sibling in self.required:
            if name not in value and sibling not in value:
                run.error("required", f"{name} is required", (at, name, None))
        if self.choices:
            self._check_choices(value, at, run)
        if len(value) < 2:
            self._check_empty(value, at, run)
        if self.rules:
            rules.check(self.rules, value, at, run)

    def _unknown(self, key: str, at: Place, run: Run) -> None:
        shown = key if key.isidentifier() else repr(key[:64])
        run.error("structure", f"Unrecognized property '{key[:64]}'", (at, shown, None))

    def _check_choices(self, value: Json, at: Place, run: Run) -> None:
        for name, names in self.choices:
            present = {key.lstrip("_") for key in value.keys() & names}
            if len(present) > 1:
                text = f"{name} has more than one value: {', '.join(sorted(present))}"
                run.error("structure", text, (at, name, None))
            elif not present and name in self.required_choices:
                run.error("required", f"{name}[x] is required", (at, name, None))

    def _check_empty(self, value: Json, at: Place, run: Run) -> None:
        if not value:
            run.error("structure", "An object must have some content", at)
        elif "id" in value and not self.is_resource:
            text = "Constraint failed: ele-1: 'All FHIR elements must have a @value or children'"
            run.error("invariant", text, at)
