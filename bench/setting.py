"""Where a run happens: a filled database, its caller, and the server on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.corpus import TENANT, Corpus, clinician
from bench.database import MODULES, filled
from bench.process import ROOT, Server, running
from fhir_server.http.auth import mint
from fhir_server.settings import Settings

SCOPE = "messaging:read messaging:write user/*.cruds"
DATA = ROOT / ".cache" / "bench"
PER_CLINICIAN = 500
DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Asked:
    """How long to load whom: `seconds` for each of `rounds`, over `connections`; `keep` takes
    the last run's database again."""

    seconds: float
    rounds: int
    connections: int
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Bench:
    """A filled database and what loads the server on it; `folder` is for files of this run."""

    settings: Settings
    corpus: Corpus
    token: str
    folder: Path
    asked: Asked


def prepare(
    settings: Settings,
    asked: Asked,
    folder: Path,
    size: int,
    *,
    read: bool = False,
    longer: int = 0,
) -> Bench:
    """Fills a database; its caller is a clinician who takes part in many threads. With `read`, of
    many more clinicians, who have read most messages; the newest thread of theirs is `longer`."""
    some = Corpus(size, max(size // PER_CLINICIAN, 10), read=True, longer=longer)
    corpus = some if read else Corpus(size)
    url = filled(settings.database_url or "", corpus, keep=asked.keep)
    token = mint(
        settings,
        tenant=TENANT,
        sub=f"usr_{clinician(corpus.caller)}",
        roles=["DOCTOR"],
        scope=SCOPE,
        modules=MODULES,
        ttl=DAY,
    )
    ready = settings.model_copy(update={"database_url": url})
    return Bench(ready, corpus, token, folder, asked)


@contextmanager
def served(bench: Bench) -> Iterator[Server]:
    """The server itself, as `fhir-server serve` runs it."""
    with running(["fhir_server", "serve"], environment(bench)) as server:
        yield server


def environment(bench: Bench) -> dict[str, str]:
    """Its settings."""
    return {
        "FHIR_SERVER_DATABASE_URL": bench.settings.database_url or "",
        "FHIR_SERVER_DATA_DIR": str(bench.settings.data_dir),
        "FHIR_SERVER_PORT": "0",
        # Counted, never reached.
        "FHIR_SERVER_RATE_LIMIT_SCALE": "1e6",
    }
