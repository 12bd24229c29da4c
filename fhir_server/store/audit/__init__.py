"""The audit trail at rest: AuditEvents as rows of their type, and the chain that seals them."""

from __future__ import annotations

from fhir_server.store.audit.chain import Chain, Entry
from fhir_server.store.audit.columns import Columns, Part
from fhir_server.store.audit.verify import Fault, Head, Progress, Verifier

__all__ = ["Chain", "Columns", "Entry", "Fault", "Head", "Part", "Progress", "Verifier"]
