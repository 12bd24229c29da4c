"""How hard the property tests try: `make fuzz` makes it many times harder."""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("FHIR_SERVER_TEST_EFFORT", "1"))


def effort(examples: int) -> int:
    """`max_examples` for a test that takes that many in an ordinary run."""
    return examples * FACTOR
