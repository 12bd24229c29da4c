"""fhirpathpy, with what it lacks: hasValue(), resolve(), htmlChecks(), a silent trace()."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import fhirpathpy
from antlr4 import CommonTokenStream, InputStream, Token  # type: ignore[import-untyped]
from antlr4.error.ErrorListener import ErrorListener  # type: ignore[import-untyped]
from fhirpathpy.engine.invocations import invocation_registry
from fhirpathpy.engine.nodes import FP_Type, ResourceNode
from fhirpathpy.models import models
from fhirpathpy.parser.generated.FHIRPathLexer import FHIRPathLexer
from fhirpathpy.parser.generated.FHIRPathParser import FHIRPathParser

from fhir_server.fhir.path.members import resolve
from fhir_server.fhir.path.parser import PathError
from fhir_server.fhir.path.xhtml import is_narrative

Run = Callable[[Any, Any, Any], list[Any]]
_EXTRAS = {"id", "extension"}
_CALL = re.compile(r"(\w+)\(")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\b(?:and|or|xor|implies|in|contains|is|as|div|mod) *\(")


def compile(expression: str) -> Run:
    """The expression on the full engine; PathError when it is not FHIRPath."""
    for name in _CALL.findall(_STRING.sub("", expression)):
        if name not in invocation_registry and name not in _OPTIONS["userInvocationTable"]:
            raise PathError(f"not a FHIRPath function: {name}()")
    try:
        _check_syntax(expression)
        run = fhirpathpy.compile(_without_trace(expression), models["r4"], _OPTIONS)
    except Exception as error:
        raise PathError(f"not a FHIRPath expression: {expression}") from error

    def values(node: Any, resource: Any, root: Any) -> list[Any]:
        variables = {"resource": resource, "rootResource": root, "context": node}
        return [_plain(item) for item in run(node, variables)]

    return values


class _Strict(ErrorListener):  # type: ignore[misc]
    """Refuses what the engine's own parser would guess its way around."""

    def syntaxError(self, *_: object) -> None:  # noqa: N802 - ANTLR's name
        raise PathError("a syntax error")


def _check_syntax(expression: str) -> None:
    lexer = FHIRPathLexer(InputStream(expression))
    parser = FHIRPathParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(_Strict())
    parser.expression()
    if parser.getCurrentToken().type != Token.EOF:
        raise PathError("more than one expression")


def _plain(item: Any) -> Any:
    """The engine's own decimals and moments as JSON has them."""
    if isinstance(item, Decimal):
        return float(item)
    return str(item) if isinstance(item, FP_Type) else item


def _has_value(items: list[Any]) -> list[bool]:
    # Beside a primitive the engine yields what extends it, as an item of its own.
    plain = [item for item in items if not isinstance(item, Mapping)]
    complex_ = [item for item in items if isinstance(item, Mapping) and item.keys() - _EXTRAS]
    return [len(plain) == 1 and plain[0] is not None and not complex_]


def _resolve(items: list[Any]) -> list[Any]:
    targets = [target for item in items for target in resolve(item, None, None)]
    return [ResourceNode(target, None) for target in targets]  # type: ignore[no-untyped-call]


def _html_checks(items: list[Any]) -> list[bool]:
    return [all(is_narrative(item) for item in items)]


_OPTIONS = {
    "userInvocationTable": {
        "hasValue": {"fn": _has_value, "arity": {0: []}},
        "resolve": {"fn": _resolve, "arity": {0: []}},
        "htmlChecks": {"fn": _html_checks, "arity": {0: []}},
    },
}


def _without_trace(expression: str) -> str:
    """`expression` less every `.trace(...)`: it prints, and it changes no value."""
    at = expression.find(".trace(")
    while at >= 0:
        expression = expression[:at] + expression[_closing(expression, at + 7) :]
        at = expression.find(".trace(", at)
    return expression


def _closing(expression: str, at: int) -> int:
    """The place after the bracket that closes the one opened before `at`."""
    depth, quoted = 1, False
    while depth and at < len(expression):
        mark = expression[at]
        at += 2 if quoted and mark == "\\" else 1
        if mark == "'":
            quoted = not quoted
        elif not quoted:
            depth += (mark == "(") - (mark == ")")
    return at
