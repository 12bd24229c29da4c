"""Who is calling, and what the token allows: everything between a header and a Context."""

from fhir_server.http.auth.authenticator import Authenticator
from fhir_server.http.auth.dev import mint
from fhir_server.http.auth.devkey import DevelopmentKeyError
from fhir_server.http.auth.settings import AuthSettings

__all__ = ["AuthSettings", "Authenticator", "DevelopmentKeyError", "mint"]
