"""An AuditEvent's row is what the general Indexer would make of it, and the event is valid R4."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.context import Context, Origin
from fhir_server.declarations import read_declarations
from fhir_server.definitions.model import Definitions
from fhir_server.interactions.audit.event import ACTIONS, Events
from fhir_server.interactions.audit.record import Given, Record
from fhir_server.store.audit import Columns
from fhir_server.store.index import Indexer
from fhir_server.validation import Validator

INTERACTIONS = (*ACTIONS, "read", "vread", "history-instance", "history-type", "history-system")
IDS = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True)
TYPES = st.sampled_from(["Communication", "Encounter", "Patient", "AuditEvent"])
DATA = st.builds("{}/{}/_history/{}".format, TYPES, IDS, st.integers(1, 10**6))
PEOPLE = st.builds("Patient/{}".format, IDS)
USERS = st.none() | st.builds(
    "{}/{}".format, st.sampled_from(["Practitioner", "Patient", "RelatedPerson"]), IDS
)
SUBJECTS = st.from_regex(r"[\x21-\x7e]{1,255}", fullmatch=True)
ADDRESSES = st.none() | st.ip_addresses().map(str)
REQUESTS = st.none() | st.from_regex(r"[A-Za-z0-9._:~+=/\-]{1,128}", fullmatch=True)
REFUSALS = st.sampled_from([(200, ""), (403, "forbidden"), (404, "not-found"), (503, "transient")])


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record that an interaction can leave."""
    roles = draw(st.frozensets(st.sampled_from(["DOCTOR", "PATIENT", "ADMIN", 'X Y"\\'])))
    ctx = Context(
        draw(st.sampled_from(["one", "two"])),
        draw(SUBJECTS),
        draw(USERS),
        roles=roles,
        now=draw(st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
        origin=draw(st.none() | st.builds(Origin, ADDRESSES, REQUESTS)),
    )
    given = Given(
        tuple(draw(st.lists(DATA, max_size=4, unique=True))),
        tuple(draw(st.lists(PEOPLE, max_size=4, unique=True))),
    )
    status, code = draw(REFUSALS)
    interaction = draw(st.sampled_from(INTERACTIONS))
    return Record(ctx, interaction, given, draw(st.text(max_size=40)), status, code)


@pytest.fixture(scope="module")
def indexer(definitions: Definitions) -> Indexer:
    return Indexer(definitions)


@pytest.fixture(scope="module")
def events(indexer: Indexer) -> Events:
    return Events(Columns(indexer))


@pytest.fixture(scope="module")
def validator() -> Validator:
    return read_declarations().validator


@given(record=records())
def test_the_row_is_what_the_indexer_makes(
    record: Record, events: Events, indexer: Indexer
) -> None:
    (entry,) = events.entries([record])
    resource = orjson.loads(entry.body)
    wanted = indexer.row(record.ctx.tenant, "AuditEvent", resource)
    keys = [int(key) for key in entry.keys.strip("{}").split(",")]
    assert keys[0] == wanted.keys[0]
    assert sorted(keys) == sorted(wanted.keys)
    assert orjson.loads(entry.sorts) == wanted.sorts
    assert not wanted.values
    low = datetime.fromisoformat(entry.at)
    assert wanted.hot == {"p_date": low, "p_date_high": wanted.hot["p_date_high"]}
    assert (wanted.hot["p_date_high"] - low).total_seconds() == 0.001


@given(record=records())
def test_the_event_is_valid(record: Record, events: Events, validator: Validator) -> None:
    (entry,) = events.entries([record])
    resource = orjson.loads(entry.body)
    assert orjson.dumps(resource).decode() == entry.body
    issues = validator.validate(resource)
    assert [i for i in issues if i.severity in ("error", "fatal")] == []
    assert resource["recorded"] == entry.at == resource["meta"]["lastUpdated"]
