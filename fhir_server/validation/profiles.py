"""Validation by profiles, straight from their differentials, on top of the base rules.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.validation import rules, values
from fhir_server.validation.differential import Element, Limits, tree
from fhir_server.validation.place import Place
from fhir_server.validation.references import target_type
from fhir_server.validation.run import Json, Run
from fhir_server.validation.slicing import Slicer, check_count
from fhir_server.validation.structure import Compiler
from fhir_server.validation.terminology import Terminology
from fhir_server.validation.values import Value

CORE = "http://hl7.org/fhir/StructureDefinition/"


class Profiles:
    """Profiles by canonical url: the declared ones and those of R4, each a tree when used."""

    def __init__(
        self, compiler: Compiler, declared: Iterable[Json], terminology: Terminology
    ) -> None:
        self.terminology = terminology
        self._facts = compiler.facts
        self._declared = {d["url"]: _trimmed(d) for d in declared}
        self._trees: dict[str, Element] = {}

    def find(self, url: str) -> Element | None:
        """The tree of a profile; None when it is unknown."""
        url = url.partition("|")[0]
        if url not in self._trees:
            definition = self.definition(url)
            if definition is None:
                return None
            self._trees[url] = tree(url, definition["type"], definition["element"])
        return self._trees[url]

    def declares(self, url: str) -> bool:
        """Whether it is one of the project's own."""
        return url.partition("|")[0] in self._declared

    def definition(self, url: str) -> Json | None:
        """`type`, `element`s, and as the case may be `context` and `base`."""
        return self._declared.get(url) or self._facts.profiles.get(url)

    def check(self, url: str, resource: Json, at: Place, run: Run) -> None:
        """Validate against a profile that the resource claims or the caller wants."""
        url = url.partition("|")[0]
        base = url.removeprefix(CORE)
        definition = self.definition(url)
        if definition is None and base not in self._facts.structures:
            text = f"The profile {url[:200]} is unknown, so it was not checked"
            run.warn("not-found", text, at)
            return
        wanted = definition["type"] if definition else base
        if wanted not in (resource.get("resourceType"), "Resource", "DomainResource"):
            run.error("structure", f"The profile {url} is one of {wanted}", at)
            return
        self._conform(url, Value(resource, None, at, None), run)

    def _conform(self, url: str, value: Value, run: Run) -> None:
        definition, top = self.definition(url), self.find(url)
        if definition and top:
            if base := definition.get("base"):
                self._conform(base, value, run)
            self.check_value(top, value, run)

    def check_value(self, element: Element, value: Value, run: Run) -> None:
        """All that `element` says of one value and what is inside it."""
        if element.types:
            self._check_type(element, value, run)
        if element.fixed and element.fixed[0] != value.value:
            run.error("value", f"Value must be exactly {element.fixed[0]!r}", value.place)
        if element.pattern and not values.matches(element.pattern[0], value.value):
            run.error("value", f"Value does not match {element.pattern[0]!r}", value.place)
        if element.value_set:
            self._check_binding(element.value_set, value, run)
        if element.rules:
            node = value.object if value.value is None else value.value
            rules.check(element.rules, node, value.place, run)
        for child in element.children.values():
            self._check_child(child, value, run)

    def _check_child(self, child: Element, owner: Value, run: Run) -> None:
        found = values.read(owner.object, child.name, owner.place)
        if not child.min <= len(found) <= child.max:
            check_count(child, found, child.name, _beneath(owner, child), run)
        for value in found:
            self.check_value(child, value, run)
        if child.slices:
            left = Slicer(self, run).check(child, found, _beneath(owner, child))
            for value in left if child.closed else ():
                run.error("structure", f"{child.name} matches no slice", value.place)

    def _check_type(self, element: Element, value: Value, run: Run) -> None:
        limits = element.limits or self.limits(element)
        actual = value.kind
        if actual and actual not in limits.codes and "Resource" not in limits.codes:
            text = f"allows for the types {sorted(limits.codes)} but found type {actual}"
            run.error("structure", text, value.place)
            return
        if limits.targets and actual in (None, "Reference"):
            _check_target(limits.targets, value, run)
        profiles = [url for code, url in limits.profiles if actual in (code, None)]
        if profiles and not any(self._fits(url, value, run) for url in profiles):
            for url in profiles[:1]:
                self._conform(url, value, run)

    def _fits(self, url: str, value: Value, run: Run) -> bool:
        trial = run.trial()
        self._conform(url, value, trial)
        return not trial.failed

    def limits(self, element: Element) -> Limits:
        """What the element's types come to. An extension is checked by its url anyway."""
        if element.limits is not None:
            return element.limits
        types = element.types
        references = (t for t in types if t["code"] == "Reference")
        targets = {self._type_of(u) for t in references for u in t.get("targetProfile", ())}
        profiles = [(t["code"], u) for t in types for u in t.get("profile", ())]
        element.limits = Limits(
            frozenset(t["code"] for t in types),
            frozenset() if "Resource" in targets else frozenset(targets),
            tuple(p for p in profiles if p[0] != "Extension"),
        )
        return element.limits

    def _type_of(self, url: str) -> str:
        definition = self.definition(url.partition("|")[0])
        return str(definition["type"]) if definition else url.rpartition("/")[2]

    def _check_binding(self, url: str, value: Value, run: Run) -> None:
        if self.terminology.has(url, value.value) is False:
            run.error("code-invalid", f"The code is not in the value set {url}", value.place)

    def conforms(self, element: Element, value: Value, run: Run) -> bool:
        """Whether `element` finds nothing wrong with `value`."""
        trial = run.trial()
        self.check_value(element, value, trial)
        return not trial.failed

    def below(self, element: Element, name: str) -> Element | None:
        """The child of that name, here or in the profile that the element's type names."""
        own = element.at([name])
        if own:
            return own
        urls = [url for t in element.types for url in t.get("profile", ())]
        found = (tree.at([name]) for url in urls if (tree := self.find(url)))
        return next((f for f in found if f), None)


def _beneath(owner: Value, child: Element) -> Place:
    return (owner.place, child.name.removesuffix("[x]"), None)


def _check_target(targets: frozenset[str], value: Value, run: Run) -> None:
    found = target_type(value.object, run)
    if found and found not in targets:
        text = f"refers to {found}; allowed are {', '.join(sorted(targets))}"
        run.error("structure", text, value.place)


def _trimmed(definition: Json) -> Json:
    """A StructureDefinition as the core ones are kept."""
    trimmed = {"type": definition["type"]}
    trimmed["element"] = definition.get("differential", {}).get("element", [])
    trimmed["base"] = definition.get("baseDefinition", "")
    if "context" in definition:
        trimmed["context"] = [[c["type"], c["expression"]] for c in definition["context"]]
    return trimmed
