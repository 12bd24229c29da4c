"""Extensions: the shape of each, and what the definition of a known one says.

https://hl7.org/fhir/R4/extensibility.html, https://hl7.org/fhir/R4/defining-extensions.html#context
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fhir_server.validation.place import Place, definition_path
from fhir_server.validation.run import Json, Run
from fhir_server.validation.values import Value

if TYPE_CHECKING:
    from fhir_server.validation.profiles import Profiles

# An element whose type is not told: the extensions stand beside a primitive.
PRIMITIVE = ("Element",)


def check(value: Json, at: Place, run: Run, profiles: Profiles, host: tuple[str, ...]) -> None:
    """ext-1, an absolute url unless inside another extension, and the definition if known."""
    valued = any(key.lstrip("_").startswith("value") for key in value)
    if valued == ("extension" in value):
        text = "Constraint failed: ext-1: 'Must have either extensions or value[x], not both'"
        run.error("invariant", text, at)
    url = value.get("url")
    if not isinstance(url, str):
        return
    if ":" not in url:
        if host[0] != "Extension":
            run.error("structure", "Extension.url must be an absolute URL", (at, "url", None))
        return
    definition = profiles.find(url)
    if definition is not None and definition.name == "Extension":
        profiles.check_value(definition, Value(value, None, at, None), run)
        context = (profiles.definition(url) or {}).get("context", ())
        if context and not _allowed(context, at[0], host):
            wanted = ", ".join(expression for _, expression in context)
            text = f"The extension {url} is not allowed at this point; it is for {wanted}"
            # R4's own contexts refuse 779 resources of R4's own package: advice, not law.
            run.add("error" if profiles.declares(url) else "warning", "structure", text, at)


def _allowed(context: Sequence[Sequence[str]], at: Place | None, host: tuple[str, ...]) -> bool:
    here = "" if at is None else definition_path(at)
    return any(_fits(kind, expression, here, host) for kind, expression in context)


def _fits(kind: str, expression: str, here: str, host: tuple[str, ...]) -> bool:
    if kind != "element":
        return kind == "fhirpath" or host[0] == "Extension"
    expression = expression.removesuffix("[x]")
    if expression in host or expression in (here, "Element"):
        return True
    # Beside a primitive: `Address.line` is told by its last name, `string` by nothing.
    name = expression.rpartition(".")[2]
    return host == PRIMITIVE and (name == here.rpartition(".")[2] or expression[0].islower())
