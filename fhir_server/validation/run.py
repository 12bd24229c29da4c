"""One validation under way: what was found, and which resource we are in."""

from __future__ import annotations

from typing import Any, Protocol

from fhir_server.problems import Issue, Severity
from fhir_server.validation.options import DEFAULT, Options
from fhir_server.validation.place import Place, fhirpath

Json = dict[str, Any]
# A resource with more errors than this is not read to its end.
MOST_ISSUES = 200


class TooMany(Exception):
    """Enough issues were found."""


class Resources(Protocol):
    """Validates a resource inside another one."""

    @property
    def resource_types(self) -> frozenset[str]: ...

    def nested(self, value: Any, at: Place, run: Run, *, contained: bool) -> None: ...

    def extension(self, value: Json, at: Place, run: Run, host: tuple[str, ...]) -> None: ...


class Run:
    """`resource` is the innermost resource, `root` the one that contains it (or itself)."""

    __slots__ = ("issues", "options", "resource", "resources", "root", "special", "within")

    def __init__(self, resource: Json, options: Options, resources: Resources) -> None:
        self.issues: list[Issue] = []
        self.options = options
        self.resource = self.root = resource
        self.resources = resources
        # Whether texts are to be read more closely than FHIR asks.
        self.special = options.texts != DEFAULT.texts
        # Of a Bundle or Parameters: what a reference inside it can name.
        self.within: frozenset[str] | None = None

    def add(self, severity: Severity, code: str, text: str, at: Place) -> None:
        self.issues.append(Issue(severity, code, text, fhirpath(at)))
        if len(self.issues) >= MOST_ISSUES:
            raise TooMany

    def error(self, code: str, text: str, at: Place) -> None:
        self.add("error", code, text, at)

    def warn(self, code: str, text: str, at: Place) -> None:
        self.add("warning", code, text, at)

    def trial(self) -> Run:
        """The same place, with an empty list of issues."""
        other = Run(self.resource, self.options, self.resources)
        other.root = self.root
        other.within = self.within
        return other

    @property
    def failed(self) -> bool:
        return any(issue.severity == "error" for issue in self.issues)
