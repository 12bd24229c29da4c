"""Refusals as v1 tells them: one envelope, and statuses in v1's narrower vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from fhir_server.http.wire import Reply
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem

# Answers hold patient data: no cache on the way may keep them.
CONTENT = {"content-type": "application/json", "cache-control": "no-store"}
# v1 does not tell what was deleted from what never was, nor a stale version from other conflicts.
_INDEX = re.compile(r"\[\d+\]")
STATUSES: Mapping[int, int] = {410: 404, 412: 409}


def refused(problem: Problem, route: Route | None = None) -> Reply:
    """`{success, error: {code, message, details}}`; `route` gives elements their v1 names."""
    named = ((_v1_name(issue.expression, route), issue) for issue in problem.issues)
    fields = [{"field": name, "message": issue.diagnostics} for name, issue in named if name]
    error = {
        "code": problem.v1_code,
        "message": problem.diagnostics,
        "details": {"fields": fields} if fields else {},
    }
    body = orjson.dumps({"success": False, "error": error})
    headers = {name.lower(): value for name, value in problem.headers.items()}
    return Reply(_status(problem), body, {**CONTENT, **headers})


def _status(problem: Problem) -> int:
    """What the validator finds is 400 in v1; 422 is kept for reused keys and attachments."""
    invalid = problem.status == 422 and problem.v1_code == "VALIDATION_ERROR"
    if invalid and problem.issues[0].code != "duplicate":
        return 400
    return STATUSES.get(problem.status, problem.status)


def _v1_name(expression: str | None, route: Route | None) -> str | None:
    """`Communication.topic.text` → `subject`; None where v1 has no single name for it."""
    start = f"{route.written}." if route else ""
    if not expression or route is None or not expression.startswith(start):
        return expression
    place = _INDEX.sub("", expression.removeprefix(start))
    element = place.partition(".")[0]
    names = [name for name, field in route.fields.items() if field.element == element]
    exact = [name for name in names if place == route.fields[name].declared.path]
    return next(iter(exact if len(names) > 1 else names), None)
