"""Extensions: the shape of each, and what the definition of a known one says.

https://hl7.org/fhir/R4/extensibility.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.validation.place import Place
from fhir_server.validation.run import Json, Run
from fhir_server.validation.values import Value

if TYPE_CHECKING:
    from fhir_server.validation.profiles import Profiles


def check(value: Json, at: Place, run: Run, profiles: Profiles) -> None:
    """ext-1, an absolute url unless inside another extension, and the definition if known."""
    valued = any(key.lstrip("_").startswith("value") for key in value)
    if valued == ("extension" in value):
        text = "Constraint failed: ext-1: 'Must have either extensions or value[x], not both'"
        run.error("invariant", text, at)
    url = value.get("url")
    if not isinstance(url, str):
        return
    if ":" not in url:
        outer = at[0]
        if outer is None or outer[1] not in ("extension", "modifierExtension"):
            run.error("structure", "Extension.url must be an absolute URL", (at, "url", None))
        return
    definition = profiles.find(url)
    if definition is not None and definition.name == "Extension":
        profiles.check_value(definition, Value(value, None, at, None), run)
