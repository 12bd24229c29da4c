"""A real S3 API server: moto's."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from moto.server import ThreadedMotoServer

KEYS: Final = {
    "aws_access_key_id": "tests",
    "aws_secret_access_key": "tests",
    "region_name": "us-east-1",
}


@contextmanager
def serving() -> Iterator[str]:
    """Its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
