"""$validate: what storing a resource would be refused for, without storing it.

A resource without an id is checked as POST would store it, completed by the rules of its profiles:
a thread needs no `sent`, but needs participants who exist. One with an id is complete, and is
checked as it stands.
https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.context import Context
from fhir_server.fhir.ids import new_id
from fhir_server.fhir.outcome import of_issues
from fhir_server.interactions.create import Create
from fhir_server.interactions.model import Resource
from fhir_server.interactions.pipeline import Pipeline
from fhir_server.problems import Issue, Problem

VALID = Issue("information", "informational", "The resource is valid")


@dataclass(frozen=True, slots=True)
class Validate:
    """Checks against R4, the rules, and the profiles that are claimed, implied or asked for."""

    pipeline: Pipeline

    async def outcome(
        self, ctx: Context, type: str, resource: Resource, profile: str | None, *, ruled: bool
    ) -> Resource:
        """An OperationOutcome, with one informational issue where all is well. Without `ruled`,
        the rules, which look at other resources, are not asked."""
        if resource.get("resourceType") != type:
            wrong = f"the resource must be a {type}, as the address says"
            return of_issues([Issue("error", "invalid", wrong, "resourceType")])
        asked = [profile] if profile else []
        try:
            if ruled and "id" not in resource:
                issues = await self._as_created(ctx, type, resource, asked)
            else:
                issues = self._as_it_stands(type, resource, asked)
        except Problem as problem:
            issues = problem.issues
        return of_issues(issues or [VALID])

    async def _as_created(
        self, ctx: Context, type: str, resource: Resource, asked: Sequence[str]
    ) -> Sequence[Issue]:
        plan = Create(type, new_id(), self.pipeline.own(resource))
        draft = await self.pipeline.rehearsed(ctx, plan)
        return self.pipeline.drafting.validator.validate(
            draft.resource, [*(draft.profiles or ()), *asked]
        )

    def _as_it_stands(self, type: str, resource: Resource, asked: Sequence[str]) -> Sequence[Issue]:
        validator = self.pipeline.drafting.validator
        issues = validator.validate(resource, ())
        if any(issue.severity in ("fatal", "error") for issue in issues):
            return issues
        profiles = self.pipeline.drafting.registry.profiles(type, resource)
        return validator.validate(resource, [*profiles, *asked])
