"""The XML of FHIR to JSON and back, driven by the shapes of the types.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from fhir_server.fhir.xml.reading import read
from fhir_server.fhir.xml.writing import write

__all__ = ["read", "write"]
