"""The namespaces of FHIR's XML. https://hl7.org/fhir/R4/xml.html"""

from __future__ import annotations

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
IN_FHIR = f"{{{FHIR}}}"
IN_XHTML = f"{{{XHTML}}}"
# Where a schema may be found: allowed on the root, and of no meaning here.
SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
