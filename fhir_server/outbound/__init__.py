"""The way out: requests to addresses that clients chose, which must not lead back inside (SSRF).

Twice guarded. An address is read by `Endpoints` when it is written, so that a mistake or an
attempt is told to whoever made it; and by `Deliverer` at each delivery, where names are resolved,
since what a name means may have changed. Nothing else in the server may fetch what a client named.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

from fhir_server.outbound.deliver import Deliverer, Delivery, UndeliverableError
from fhir_server.outbound.endpoints import Endpoint, EndpointError, Endpoints
from fhir_server.outbound.settings import OutboundSettings

__all__ = [
    "Deliverer",
    "Delivery",
    "Endpoint",
    "EndpointError",
    "Endpoints",
    "OutboundSettings",
    "UndeliverableError",
]
