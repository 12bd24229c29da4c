"""The database the settings name: one elsewhere, or the embedded one for as long as it is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fhir_server.declarations import read_declarations
from fhir_server.settings import Settings
from fhir_server.store.migrations import migrate


@contextmanager
def connected(settings: Settings) -> Iterator[Settings]:
    """The settings with `database_url` filled in; the embedded PostgreSQL runs meanwhile."""
    if settings.database_url is not None:
        yield settings
        return
    from fhir_server.store import embedded

    with embedded.running(settings.data_dir) as url:
        yield settings.model_copy(update={"database_url": url})


@contextmanager
def migrated(settings: Settings) -> Iterator[Settings]:
    """As `connected`, with every table, column and index that the declarations ask for."""
    with connected(settings) as ready:
        migrate(ready.database_url or "", read_declarations().definitions)
        yield ready
