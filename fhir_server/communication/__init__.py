"""The domain: what threads, messages and receipts mean beyond their shape.

Rules are attached to profiles, so that both faces meet them; see `rules`, `OPERATIONS`,
`REACTIONS`, `PLACES` and `UNIQUE`.
"""

from collections.abc import Mapping

from fhir_server.communication.attachment import AttachmentRule, Limits
from fhir_server.communication.configuration import KINDS, ConfigurationRule
from fhir_server.communication.escalation import ESCALATED, EscalationRule, notify_on_call
from fhir_server.communication.gdpr.hold import HoldRule
from fhir_server.communication.gdpr.policy import Policy
from fhir_server.communication.gdpr.request import GdprRequestRule, one_open
from fhir_server.communication.gdpr.restriction import PatientRule, UnusedRule
from fhir_server.communication.intent import IntentRule
from fhir_server.communication.message import MessageRule
from fhir_server.communication.receipt import MarkRead
from fhir_server.communication.record import RecordRule
from fhir_server.communication.subscription import SubscriptionRule
from fhir_server.communication.thread import ThreadRule
from fhir_server.interactions.model import Reaction, Rule
from fhir_server.interactions.registry import Unique
from fhir_server.outbound import Endpoints, OutboundSettings

__all__ = ["OPERATIONS", "PLACES", "REACTIONS", "UNIQUE", "Limits", "Policy", "rules"]

OPERATIONS = (MarkRead(),)
# What an event causes in its own transaction.
REACTIONS: Mapping[str, Reaction] = {ESCALATED: notify_on_call}

# Profiles of which a tenant has one resource, and its id.
PLACES: Mapping[str, str] = {f"config-{kind}": kind for kind in KINDS}

# Profiles of which there may be one resource that a search finds.
UNIQUE: Mapping[str, Unique] = {"gdpr-request": one_open}


def rules(
    attachments: Limits | None = None,
    endpoints: Endpoints | None = None,
    gdpr: Policy | None = None,
) -> tuple[Rule, ...]:
    """Every rule; `attachments` says what may be uploaded, `endpoints` where notifications go,
    `gdpr` by when requests are done."""
    policy = gdpr or Policy()
    return (
        HoldRule(policy),
        UnusedRule(),
        ThreadRule(),
        MessageRule(),
        AttachmentRule(attachments or Limits()),
        RecordRule("Communication", signature="sender"),
        RecordRule("CommunicationRequest", signature="requester"),
        EscalationRule(),
        IntentRule(),
        SubscriptionRule(endpoints or Endpoints(OutboundSettings())),
        GdprRequestRule(policy),
        PatientRule(),
        *map(ConfigurationRule, KINDS),
    )
