"""The server without its audit trail, which has no setting for that: only to be measured."""

from __future__ import annotations

import sys
from typing import Any

from fhir_server.cli import main
from fhir_server.interactions.audit import Audit


async def _only(_: Audit, __: Any, answer: Any, ___: Any) -> Any:
    return await answer()


if __name__ == "__main__":
    Audit.of = _only  # type: ignore[assignment, method-assign]
    sys.exit(main(["serve"]))
