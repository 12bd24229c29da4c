"""fhirpathpy, with what it lacks: hasValue(), and a trace() that does not print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fhirpathpy
from fhirpathpy.models import models

Run = Callable[[Any, Any, Any], list[Any]]


def compile(expression: str) -> Run:
    run = fhirpathpy.compile(expression, models["r4"])

    def values(node: Any, resource: Any, root: Any) -> list[Any]:
        return run(node, {"resource": resource, "rootResource": resource if root is None else root})

    return values
