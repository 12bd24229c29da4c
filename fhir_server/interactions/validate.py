"""$validate: what storing a resource would be refused for, without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.fhir.outcome import of_issues
from fhir_server.interactions.model import Resource
from fhir_server.interactions.registry import Registry
from fhir_server.problems import Issue
from fhir_server.validation import Validator

VALID = Issue("information", "informational", "The resource is valid")


@dataclass(frozen=True, slots=True)
class Validate:
    """Checks against R4 and the profiles that are claimed, implied or asked for."""

    registry: Registry
    validator: Validator

    def outcome(self, type: str, resource: Resource, profile: str | None) -> Resource:
        """An OperationOutcome, with one informational issue where all is well."""
        if resource.get("resourceType") != type:
            wrong = f"the resource must be a {type}, as the address says"
            return of_issues([Issue("error", "invalid", wrong, "resourceType")])
        issues = self.validator.validate(resource, ())
        if not any(issue.severity in ("fatal", "error") for issue in issues):
            profiles = self.registry.profiles(type, resource)
            wanted = [*profiles, profile] if profile else profiles
            issues = self.validator.validate(resource, wanted)
        return of_issues(issues or [VALID])
