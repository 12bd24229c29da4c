"""One compiled FHIRPath expression."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fhir_server.fhir.path import fallback


class PathError(ValueError):
    """The expression cannot be read, or cannot be evaluated on this value."""


class Path:
    """`expression` compiled; `native` tells whether closures answer it."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.native = False
        try:
            self._run = fallback.compile(expression)
        except Exception as error:
            raise PathError(f"not a FHIRPath expression: {expression}") from error

    def values(self, node: Any, resource: Any = None, root: Any = None) -> list[Any]:
        """The collection it yields on `node`, as plain JSON values."""
        try:
            return self._run(node, node if resource is None else resource, root)
        except Exception as error:
            raise PathError(f"cannot evaluate {self.expression}") from error

    def test(self, node: Any, resource: Any = None, root: Any = None) -> bool:
        """True only if it yields exactly [true]; what cannot be evaluated is not true."""
        try:
            return self.values(node, resource, root) == [True]
        except PathError:
            return False


@lru_cache(maxsize=4096)
def compile(expression: str) -> Path:
    """Compile `expression`; PathError when it is not FHIRPath."""
    return Path(expression)
