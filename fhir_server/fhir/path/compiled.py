"""One compiled FHIRPath expression."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fhir_server.fhir.path import native
from fhir_server.fhir.path.members import Values
from fhir_server.fhir.path.operators import Valueless
from fhir_server.fhir.path.parser import NotNative, PathError


class Path:
    """`expression` compiled; `native` tells whether closures answer it."""

    __slots__ = ("_run", "expression", "native")

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._run, self.native = _compile(expression)

    def values(self, node: Any, resource: Any = None, root: Any = None) -> list[Any]:
        """The collection it yields on `node`, as plain JSON values: to read, since the list may
        be the resource's own.

        `resource` (%resource) is `node` unless told, `root` (%rootResource) is `resource`.
        A primitive that has only extensions has no value to show. PathError when the
        expression cannot be evaluated on this node.
        """
        items = self._evaluate(node, resource, root)
        for item in items:
            if isinstance(item, Valueless):
                return [each for each in items if not isinstance(each, Valueless)]
        return items

    def test(self, node: Any, resource: Any = None, root: Any = None) -> bool:
        """True only if it yields exactly [true]; what cannot be evaluated is not true."""
        try:
            items = self._evaluate(node, resource, root)
        except PathError:
            return False
        return len(items) == 1 and items[0] is True

    def _evaluate(self, node: Any, resource: Any, root: Any) -> list[Any]:
        if resource is None:
            resource = node
        try:
            return self._run(node, resource, resource if root is None else root)
        except PathError:
            raise
        except Exception as error:
            raise PathError(f"cannot evaluate {self.expression}") from error


@lru_cache(maxsize=4096)
def compile(expression: str) -> Path:
    """Compile `expression`; PathError when it is not FHIRPath."""
    return Path(expression)


def _compile(expression: str) -> tuple[Values, bool]:
    try:
        return native.compile(expression), True
    except RecursionError:
        raise PathError("the expression is nested too deeply") from None
    except NotNative:
        # Importing the full engine takes a tenth of a second, and most programs need none of it.
        from fhir_server.fhir.path import fallback

        return fallback.compile(expression), False
