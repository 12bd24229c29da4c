"""The local development key: lets a fresh machine mint tokens without an identity provider.

The file holds a private ES256 JWK, readable by its owner only. Production never reads it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from tempfile import mkstemp

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ISSUER = "urn:fhir-server:development"
AUDIENCE = "fhir-server"
FILE_NAME = "development-key.json"


class DevelopmentKeyError(Exception):
    """The development key may not or cannot be used; the text says what to do."""


def load_or_create(data_dir: Path) -> ECKey:
    """The key of this data directory, made on first use. Safe between processes."""
    path = data_dir / FILE_NAME
    if not path.exists():
        _create(path)
    return _load(path)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = ECKey.generate_key("P-256", auto_kid=True)
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    draft = Path(name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(key.as_dict(private=True)))
    try:
        os.link(draft, path)  # atomic, and fails where another process was first
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _load(path: Path) -> ECKey:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise DevelopmentKeyError(f"{path} is open to others: chmod 600 it, or delete it")
    try:
        key = ECKey.import_key(orjson.loads(path.read_bytes()))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise DevelopmentKeyError(f"{path} holds no key: delete it for a new one") from error
    if not key.is_private or key.curve_name != "P-256" or not key.kid:
        raise DevelopmentKeyError(f"{path} holds another kind of key: delete it for a new one")
    return key
