"""`python -m fhir_server` is the `fhir-server` command."""

import sys

from fhir_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
