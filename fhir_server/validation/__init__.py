"""Does a resource conform to R4 and to its profiles? Compiled from facts, checked by closures.

https://hl7.org/fhir/R4/validation.html
"""

from fhir_server.validation.options import Options
from fhir_server.validation.validator import Validator

__all__ = ["Options", "Validator"]
