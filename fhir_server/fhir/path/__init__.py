"""FHIRPath, compiled once: closures for what FHIR mostly asks, fhirpathpy for the rest.

https://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from fhir_server.fhir.path.compiled import Path, compile
from fhir_server.fhir.path.parser import PathError

__all__ = ["Path", "PathError", "compile"]
