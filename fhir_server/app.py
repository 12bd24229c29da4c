"""The composition root: everything is built here, once, and handed to whoever needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fhir_server import __version__
from fhir_server.communication import OPERATIONS, RULES
from fhir_server.declarations import Declarations, read_declarations
from fhir_server.definitions.model import Definitions
from fhir_server.http.auth import Authenticator
from fhir_server.http.fhir import FhirFace
from fhir_server.http.fhir.metadata import statements
from fhir_server.http.fhir.public import Public
from fhir_server.http.fhir.published import Published
from fhir_server.http.fhir.smart import smart_configuration
from fhir_server.http.licences import Licences
from fhir_server.http.openapi import openapi_route
from fhir_server.http.server import Application, build_http
from fhir_server.http.v1 import v1_faces
from fhir_server.interactions import Interactions
from fhir_server.interactions.conditional import Conditional
from fhir_server.interactions.history import Historian
from fhir_server.interactions.pipeline import Pipeline
from fhir_server.interactions.read import Reader
from fhir_server.interactions.registry import Registry
from fhir_server.interactions.search import Searcher
from fhir_server.interactions.validate import Validate
from fhir_server.mapping.loader import Mappings
from fhir_server.settings import Settings
from fhir_server.store import Store, build_store
from fhir_server.terminology import build_terminologies
from fhir_server.workers.sweep import sweeping

FHIR_BASE = "/fhir/R4"


@dataclass(frozen=True, slots=True)
class Core:
    """The server without HTTP: what commands and workers use too."""

    definitions: Definitions
    mappings: Mappings
    store: Store
    interactions: Interactions


def build_core(settings: Settings) -> Core:
    """Reads the declarations and builds store and interactions; nothing connects yet."""
    declared = read_declarations()
    definitions = declared.definitions
    base = settings.public_url and settings.public_url + FHIR_BASE
    store = build_store(
        settings.database_url or "",
        definitions,
        pool_size=settings.pool_size,
        pool_timeout=settings.pool_timeout,
        cursor_key=settings.cursor_secret(),
        base=base,
    )
    return Core(definitions, declared.mappings, store, _interactions(declared, store, base))


def _interactions(declared: Declarations, store: Store, base: str | None) -> Interactions:
    events = declared.mappings.events
    registry = Registry(declared.definitions, RULES, OPERATIONS)
    pipeline = Pipeline(
        declared.definitions,
        registry,
        declared.validator,
        store.sessions,
        store.access,
        store.loader,
        store.history,
        store.indexer,
        store.committer,
        lambda type_, resource: events[type_].data(resource),
        base,
    )
    return Interactions(
        pipeline,
        Reader(store.sessions, store.access, store.history),
        Searcher(store.sessions, store.planner),
        Validate(registry, declared.validator),
        Conditional(pipeline, store.planner),
        Historian(store.sessions, store.timeline),
    )


def create_app(settings: Settings) -> Application:
    """The HTTP application on a migrated database."""
    core = build_core(settings)
    authenticator = Authenticator(settings)
    terminologies = build_terminologies(
        core.definitions, settings.terminology_url, settings.terminology_timeout
    )
    fhir = FhirFace(
        core.definitions,
        core.interactions,
        authenticator,
        body_limit=settings.body_limit,
        public=Public(
            statements(
                core.definitions,
                terminologies.library,
                __version__,
                cors=bool(settings.origins),
            ),
            smart_configuration(settings),
        ),
        published=Published(terminologies, core.interactions.pipeline.check),
        public_url=settings.public_url,
    )

    v1 = v1_faces(
        core.mappings,
        core.interactions,
        authenticator,
        Licences(core.store.sessions, core.store.tenants),
        body_limit=settings.body_limit,
    )

    @asynccontextmanager
    async def lifespan(_: Application) -> AsyncIterator[None]:
        await core.store.sessions.open()
        async with sweeping(core.store):
            yield
        await authenticator.aclose()
        await terminologies.aclose()
        await core.store.sessions.close()

    return build_http(
        {FHIR_BASE: fhir, **v1},
        [openapi_route(core.definitions, core.mappings, __version__)],
        version=__version__,
        lifespan=lifespan,
        ready=core.store.sessions.ready,
        origins=settings.origins,
    )
