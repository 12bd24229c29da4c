"""Resources as JSON values, compared by what they say: decimals as written, XHTML as XML."""

from __future__ import annotations

from typing import Any

from lxml import etree

from fhir_server.fhir.json import FhirDecimal


def meaning(value: Any) -> Any:
    """Equal for what says the same."""
    if isinstance(value, dict):
        return {k: _xhtml(v) if k == "div" else meaning(v) for k, v in value.items()}
    if isinstance(value, list):
        return [meaning(item) for item in value]
    return ("decimal", value.text) if isinstance(value, FhirDecimal) else value


def _xhtml(div: str) -> bytes:
    return etree.tostring(etree.fromstring(div), method="c14n")
