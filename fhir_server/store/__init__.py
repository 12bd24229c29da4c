"""The FHIR store on PostgreSQL: sessions, tables, search, history, outbox.

SQLAlchemy and psycopg appear here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.definitions.model import Definitions
from fhir_server.store.access import Access
from fhir_server.store.audit import Chain, Columns, Verifier
from fhir_server.store.commit import Committer
from fhir_server.store.doorbell import Doorbell
from fhir_server.store.everything import Compartment
from fhir_server.store.history import History
from fhir_server.store.index import Indexer
from fhir_server.store.load import Loader
from fhir_server.store.outbox import Outbox
from fhir_server.store.pool import PATIENCE, build_pool
from fhir_server.store.reindex import Reindexer
from fhir_server.store.search.across import Across
from fhir_server.store.search.planner import Planner
from fhir_server.store.search.terms import Terms
from fhir_server.store.session import Sessions
from fhir_server.store.sweep import Sweeper
from fhir_server.store.tables import build_tables
from fhir_server.store.tenants import Tenants
from fhir_server.store.timeline import Timeline
from fhir_server.store.write import Writer


@dataclass(frozen=True, slots=True)
class Store:
    """The parts of the store that the floors above work with."""

    sessions: Sessions
    access: Access
    planner: Planner
    across: Across
    loader: Loader
    committer: Committer
    history: History
    timeline: Timeline
    compartment: Compartment
    indexer: Indexer
    outbox: Outbox
    doorbell: Doorbell
    tenants: Tenants
    reindexer: Reindexer
    sweeper: Sweeper
    audit_columns: Columns
    chain: Chain
    verifier: Verifier


def build_store(
    url: str,
    definitions: Definitions,
    *,
    pool_size: int,
    pool_timeout: float,
    patience: float = PATIENCE,
    cursor_key: bytes,
    base: str | None = None,
    terms: Terms | None = None,
) -> Store:
    """A store on the database at `url`; `base` is this server's own FHIR address, `terms` knows
    the codes; `patience` are the seconds that a statement may take."""
    tables = build_tables(definitions.types)
    access = Access(definitions, tables, terms)
    indexer, writer = Indexer(definitions, base), Writer(tables)
    planner = Planner(definitions, tables, access, cursor_key, base, terms)
    columns = Columns(indexer)
    sessions = Sessions(build_pool(url, size=pool_size, timeout=pool_timeout, patience=patience))
    return Store(
        sessions=sessions,
        access=access,
        planner=planner,
        across=Across(tables, planner, cursor_key),
        loader=Loader(tables, access),
        committer=Committer(writer),
        history=History(tables),
        indexer=indexer,
        timeline=Timeline(tables, planner, cursor_key),
        compartment=Compartment(definitions, tables, planner, cursor_key),
        outbox=Outbox(),
        doorbell=Doorbell(url, sessions),
        tenants=Tenants(tables),
        reindexer=Reindexer(tables, indexer, writer),
        sweeper=Sweeper(tables),
        audit_columns=columns,
        chain=Chain(columns.fingerprint),
        verifier=Verifier(sessions),
    )
