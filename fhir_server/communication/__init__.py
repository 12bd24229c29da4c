"""The domain: what threads, messages and receipts mean beyond their shape.

Rules are attached to profiles, so that both faces meet them; see `RULES` and `OPERATIONS`.
"""

from fhir_server.communication.message import MessageRule
from fhir_server.communication.receipt import MarkRead
from fhir_server.communication.record import RecordRule
from fhir_server.communication.thread import ThreadRule
from fhir_server.interactions.model import Rule

RULES: tuple[Rule, ...] = (
    ThreadRule(),
    MessageRule(),
    RecordRule("Communication", signature="sender"),
    RecordRule("CommunicationRequest", signature="requester"),
)
OPERATIONS = (MarkRead(),)
