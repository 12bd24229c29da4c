"""The program with everything that can be said said: every logger at DEBUG, asyncio's debug mode,
all warnings.

python -X dev -m tests.support.loud serve
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

from fhir_server.cli import main


def _deaf(_logger: logging.Logger, _level: Any) -> None:
    """Nobody turns it down."""


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    logging.captureWarnings(capture=True)
    warnings.simplefilter("always")
    logging.getLogger("asyncio").setLevel(logging.DEBUG)
    logging.Logger.setLevel = _deaf  # type: ignore[method-assign,assignment]
    sys.exit(main(sys.argv[1:]))
