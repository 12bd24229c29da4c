"""Refusals as v1 tells them: one envelope, and statuses in v1's narrower vocabulary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from fhir_server.http.v1.languages import ENGLISH, Language
from fhir_server.http.wire import Reply
from fhir_server.mapping.route import Route
from fhir_server.problems import Problem

# Answers hold patient data: no cache on the way may keep them.
CONTENT = {"content-type": "application/json", "cache-control": "no-store"}
IN_ENGLISH = Language(ENGLISH, {})
_INDEX = re.compile(r"\[\d+\]")
# What ends the name of an element in a path: `topic.text`, `extension('…')`.
_ELEMENT = re.compile(r"[.(]")
# v1 does not tell what was deleted from what never was, nor a stale version from other conflicts.
STATUSES: Mapping[int, int] = {410: 404, 412: 409}


def refused(problem: Problem, route: Route | None = None, language: Language = IN_ENGLISH) -> Reply:
    """`{success, error: {code, message, details}}`; `route` gives elements their v1 names."""
    error = {
        "code": problem.v1_code,
        "message": language.says(problem),
        "details": _details(problem, route, language),
    }
    body = orjson.dumps({"success": False, "error": error})
    headers = {name.lower(): value for name, value in problem.headers.items()}
    spoken = {"content-language": language.tag, "vary": "accept-language"}
    return Reply(_status(problem), body, {**CONTENT, **spoken, **headers})


def _details(problem: Problem, route: Route | None, language: Language) -> dict[str, Any]:
    """The elements at fault, and the English reason where the message is not in English."""
    named = ((_v1_name(issue.expression, route), issue) for issue in problem.issues)
    fields = [{"field": name, "message": issue.diagnostics} for name, issue in named if name]
    reason = {} if language.tag == ENGLISH else {"reason": problem.diagnostics}
    return {**({"fields": fields} if fields else {}), **reason}


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
    element = _ELEMENT.split(place, maxsplit=1)[0]
    names = [name for name, field in route.fields.items() if field.element == element]
    exact = [name for name in names if place == route.fields[name].declared.path]
    return next(iter(exact if len(names) > 1 else names), None)
