"""The composition root: everything is built here, once, and handed to whoever needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fhir_server import __version__
from fhir_server.communication import OPERATIONS, PLACES, REACTIONS, UNIQUE, Policy, rules
from fhir_server.communication.gdpr.redact import build_redactor
from fhir_server.communication.gdpr.restriction import labelled, unlabelled
from fhir_server.declarations import Declarations, read_declarations
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.model import Definitions
from fhir_server.files import FileStore, build_files, build_scanner
from fhir_server.http.auth import Authenticator
from fhir_server.http.fhir import FhirFace
from fhir_server.http.fhir.bundles import Limits
from fhir_server.http.fhir.metadata import statements
from fhir_server.http.fhir.public import Public
from fhir_server.http.fhir.published import Published
from fhir_server.http.fhir.smart import smart_configuration
from fhir_server.http.licences import Licences
from fhir_server.http.limits import build_limits
from fhir_server.http.openapi import openapi_route
from fhir_server.http.server import Application, build_http
from fhir_server.http.v1 import Contents, v1_faces
from fhir_server.interactions import Interactions
from fhir_server.interactions.audit import Audit, Events, Pace, Queries, Trail
from fhir_server.interactions.conditional import Conditions
from fhir_server.interactions.drafting import Drafting
from fhir_server.interactions.everything import Gatherer
from fhir_server.interactions.history import Historian
from fhir_server.interactions.intents import Intents
from fhir_server.interactions.pipeline import Pipeline
from fhir_server.interactions.read import Reader
from fhir_server.interactions.registry import Registry
from fhir_server.interactions.search import Searcher
from fhir_server.interactions.transaction import Transactions
from fhir_server.interactions.validate import Validate
from fhir_server.interactions.writes import Writes
from fhir_server.mapping.loader import Mappings
from fhir_server.outbound import Endpoints
from fhir_server.settings import Settings
from fhir_server.store import Store, build_store
from fhir_server.terminology import Terminologies, build_terminologies
from fhir_server.workers.attachments import Attachments
from fhir_server.workers.broker import Broker
from fhir_server.workers.consumer import Consumer
from fhir_server.workers.delivery import Delivery
from fhir_server.workers.erasure import Eraser
from fhir_server.workers.export import Exporter, forgetting
from fhir_server.workers.gdpr import Gdpr, Handler
from fhir_server.workers.incoming import Incoming
from fhir_server.workers.publisher import Publisher, Sender
from fhir_server.workers.restriction import Labeller
from fhir_server.workers.sweep import Keeping, sweeping

FHIR_BASE = "/fhir/R4"


@dataclass(frozen=True, slots=True)
class Core:
    """The server without HTTP: what commands and workers use too."""

    definitions: Definitions
    mappings: Mappings
    store: Store
    interactions: Interactions
    terminologies: Terminologies
    files: FileStore
    policy: Policy

    def broker(self, settings: Settings) -> Broker | None:
        """The NATS that the settings name, if any."""
        if settings.nats_url is None:
            return None
        return Broker(settings.nats_url, settings.nats_stream, self.mappings.service.events.roots())

    def publisher(self, sender: Sender) -> Publisher:
        """Takes events from the outbox to `sender`."""
        events = self.mappings.service.events
        return Publisher(self.store, sender, events, self.mappings.events)

    def incoming(self) -> Incoming:
        """Takes events in."""
        return Incoming(self.interactions, self.mappings.consumed)

    def delivery(self) -> Delivery:
        """Where events go without a broker."""
        return Delivery(self.incoming(), self.mappings.consumed.values())

    def gdpr(self) -> Gdpr:
        """Does what requests under the GDPR ask for."""
        redactor = build_redactor(self.policy, self.definitions, load_facts())
        eraser = Eraser(self.store, self.interactions, self.files, self.definitions, redactor)
        exporter = Exporter(self.interactions, self.files, self.definitions, self.policy)
        handlers: dict[str, Handler] = {"erase": forgetting(eraser, exporter), "export": exporter}
        handlers["restrict"] = Labeller(self.interactions, labelled)
        handlers["lift"] = Labeller(self.interactions, unlabelled)
        return Gdpr(self.store, self.interactions, handlers, [exporter.expire])

    def consumer(self, broker: Broker) -> Consumer:
        """Reads them from the broker."""
        events, consumed = self.mappings.service.events, self.mappings.consumed
        return Consumer(broker, self.incoming(), events, consumed)


def build_core(settings: Settings, root: Path | None = None) -> Core:
    """Reads the declarations, the project's own unless they are below `root`, and builds store and
    interactions; nothing connects yet."""
    declared = read_declarations(root)
    definitions = declared.definitions
    base = settings.public_url and settings.public_url + FHIR_BASE
    terminologies = build_terminologies(
        definitions, settings.terminology_url, settings.terminology_timeout
    )
    store = build_store(
        settings.database_url or "",
        definitions,
        pool_size=settings.pool_size,
        pool_timeout=settings.pool_timeout,
        patience=settings.request_timeout,
        cursor_key=settings.cursor_secret(),
        base=base,
        terms=terminologies.codes,
    )
    files = build_files(settings.files or settings.data_dir / "files")
    interactions = _interactions(declared, store, settings, base)
    return Core(
        definitions, declared.mappings, store, interactions, terminologies, files, declared.gdpr
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Core]:
    """The server without HTTP, connected until the end of the block."""
    core = build_core(settings)
    await core.store.sessions.open()
    try:
        yield core
    finally:
        await core.store.sessions.close()


def _interactions(
    declared: Declarations, store: Store, settings: Settings, base: str | None
) -> Interactions:
    events = declared.mappings.events
    endpoints = Endpoints(settings, production=settings.environment == "production")
    registry = Registry(
        declared.definitions,
        rules(settings.attachments, endpoints, declared.gdpr),
        OPERATIONS,
        REACTIONS,
        PLACES,
        UNIQUE,
    )
    pipeline = Pipeline(
        declared.definitions,
        Drafting(registry, declared.validator, store.access),
        store.sessions,
        store.access,
        store.loader,
        store.history,
        store.indexer,
        store.committer,
        lambda type_, resource: events[type_].data(resource),
        base,
    )
    reader = Reader(store.sessions, store.access, store.history)
    trail = Trail(store.sessions, store.chain, Events(store.audit_columns), Pace(settings.audit))
    writes = Writes(pipeline, reader, Conditions(store.planner, store.access))
    return Interactions(
        pipeline,
        Intents(pipeline.own, registry.reserved, registry.alone),
        writes,
        reader,
        Searcher(store.sessions, store.planner, store.across),
        Validate(pipeline),
        Historian(store.sessions, store.timeline),
        Transactions(writes),
        Gatherer(store.sessions, reader, store.compartment),
        Audit(trail, Queries(declared.definitions.types)),
    )


def create_app(settings: Settings) -> Application:
    """The HTTP application on a migrated database."""
    core = build_core(settings)
    authenticator = Authenticator(settings)
    terminologies = core.terminologies
    smart = smart_configuration(settings)
    fhir = FhirFace(
        core.definitions,
        core.interactions,
        authenticator,
        body_limit=settings.body_limit,
        patience=settings.request_timeout,
        bundle_limits=Limits(settings.bundle_body_limit, settings.bundle_entries),
        public=Public(
            statements(
                core.definitions,
                terminologies.library,
                __version__,
                cors=bool(settings.origins),
                smart=smart is not None,
            ),
            smart,
        ),
        published=Published(terminologies, core.interactions.check),
        public_url=settings.public_url,
    )

    limits = build_limits(
        core.mappings.service.limits, settings.rate_limit_scale, settings.redis_url
    )
    scanner = build_scanner(settings.clamd)
    attachments = Attachments(core.store, core.interactions, core.files, scanner)
    v1 = v1_faces(
        core.mappings,
        core.interactions,
        authenticator,
        Licences(core.store.sessions, core.store.tenants),
        limits,
        Contents(core.interactions, core.files, attachments.wake),
        body_limit=settings.body_limit,
        patience=settings.request_timeout,
    )

    broker = core.broker(settings)

    @asynccontextmanager
    async def lifespan(_: Application) -> AsyncIterator[None]:
        await core.store.sessions.open()
        keeping = Keeping(timedelta(days=settings.events_kept))
        async with (
            core.interactions.audit.trail.running(),
            sweeping(core.store, keeping),
            attachments.running(),
            core.gdpr().running(),
            core.store.doorbell.ringing(),
            moving_events(core, broker),
        ):
            yield
        await authenticator.aclose()
        await terminologies.aclose()
        await limits.aclose()
        await core.store.sessions.close()

    return build_http(
        {FHIR_BASE: fhir, **v1},
        [openapi_route(core.definitions, core.mappings, __version__)],
        version=__version__,
        lifespan=lifespan,
        ready=core.store.sessions.ready,
        origins=settings.origins,
    )


@asynccontextmanager
async def moving_events(core: Core, broker: Broker | None) -> AsyncIterator[None]:
    """Publishes and consumes events until the end of the block: by the broker, if there is one."""
    if broker is None:
        async with core.publisher(core.delivery()).running():
            yield
        return
    try:
        async with core.publisher(broker).running(), core.consumer(broker).running():
            yield
    finally:
        await broker.close()
