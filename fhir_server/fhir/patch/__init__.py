"""Patches as pure functions from one version of a resource to the next.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from fhir_server.fhir.patch.fhirpath_patch import fhirpath_patch
from fhir_server.fhir.patch.json_patch import json_patch
from fhir_server.fhir.patch.merge_patch import merge_patch
from fhir_server.fhir.patch.shapes import Element, Shapes
from fhir_server.fhir.patch.steps import Change

__all__ = ["Change", "Element", "Shapes", "fhirpath_patch", "json_patch", "merge_patch"]
