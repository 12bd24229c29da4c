"""The bench's databases: made anew for a run, on the embedded PostgreSQL or the one of
`FHIR_SERVER_DATABASE_URL`, whose user must be a superuser."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from bench.corpus import TENANT, Corpus
from bench.load import load
from fhir_server.app import build_core
from fhir_server.context import Context
from fhir_server.declared import declared_root
from fhir_server.definitions.facts import load_facts
from fhir_server.definitions.loader import load_definitions
from fhir_server.settings import Settings
from fhir_server.store.migrations import migrate

FLOOR = "floor"
MODULES = ("engage.messaging",)


def filled(url: str, corpus: Corpus, *, keep: bool) -> str:
    """The URL of a database that holds the corpus; with `keep`, one of an earlier run will do."""
    name = f"fhir_server_bench_{corpus.name}"
    target = urlsplit(url)._replace(path=f"/{name}").geturl()
    with psycopg.connect(url, autocommit=True) as admin:
        found = admin.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is not None and keep:
            return target
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        admin.execute(drop.format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _fill(target, corpus)
    return target


def _fill(url: str, corpus: Corpus) -> None:
    definitions = load_definitions(declared_root(), load_facts())
    migrate(url, definitions)
    load(url, definitions, corpus)
    asyncio.run(_license(Settings(database_url=url)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(FLOOR)))
        for (table,) in connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        ).fetchall():
            view = sql.SQL("CREATE VIEW {}.{} AS SELECT * FROM public.{} WHERE tenant = {}")
            connection.execute(
                view.format(*map(sql.Identifier, (FLOOR, table, table)), sql.Literal(TENANT))
            )


async def _license(settings: Settings) -> None:
    core = build_core(settings)
    await core.store.sessions.open()
    try:
        ctx = Context(TENANT, "bench", roles=frozenset({"SERVICE"}), face="job")
        async with core.store.sessions.session(ctx) as session:
            await core.store.tenants.license(session, TENANT, MODULES)
    finally:
        await core.store.sessions.close()
