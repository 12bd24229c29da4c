"""What the server publishes of itself, and what codes mean.

Both come from profiles/, capability/ and the R4 tables: the same for every tenant, without a
database.
"""

from fhir_server.terminology.arguments import Arguments
from fhir_server.terminology.catalogue import Catalogue, Listing
from fhir_server.terminology.service import Terminologies, build_terminologies

__all__ = ["Arguments", "Catalogue", "Listing", "Terminologies", "build_terminologies"]
