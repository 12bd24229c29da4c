from __future__ import annotations

import pytest

from fhir_server.definitions.model import Definitions
from fhir_server.mapping.explain import explain
from fhir_server.mapping.loader import Mappings


def test_a_route_from_field_to_table_and_events(
    mappings: Mappings, definitions: Definitions
) -> None:
    text = explain(mappings, definitions, "sendMessage")
    assert "POST /v1/communication/threads/{threadId}/messages" in text
    assert "one FHIR interaction: create Communication" in text
    assert "scope messaging:write, licence engage.messaging" in text
    assert "event communication.message.sent: messageId, threadId" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[-8:]}
    assert rows["threadId"] == ["partOf.reference", "part-of", "p_part_of", "communication"]
    assert rows["urgency"] == ["priority", "priority", "keys", "communication"]


def test_every_route_can_be_explained(mappings: Mappings, definitions: Definitions) -> None:
    for route in mappings.routes:
        text = explain(mappings, definitions, route.id)
        assert route.declared.summary in text
        assert all(name in text for name in route.answered.names)


def test_an_unknown_route(mappings: Mappings, definitions: Definitions) -> None:
    with pytest.raises(KeyError, match="did you mean markRead"):
        explain(mappings, definitions, "markread")


def test_an_export_says_what_it_can_be(mappings: Mappings, definitions: Definitions) -> None:
    text = explain(mappings, definitions, "exportAuditLogs")
    assert "exports every match as csv, ndjson, fhir" in text
    assert "?from: date → ge$value" in text
