"""The domain: what threads, messages and receipts mean beyond their shape.

Rules are attached to profiles, so that both faces meet them; see `RULES` and `OPERATIONS`.
"""

from fhir_server.communication.exchange import ExchangeRule
from fhir_server.communication.message import MessageRule
from fhir_server.communication.receipt import MarkRead
from fhir_server.communication.request import RequestRule
from fhir_server.communication.thread import ThreadRule

RULES = (ThreadRule(), MessageRule(), ExchangeRule(), RequestRule())
OPERATIONS = (MarkRead(),)
