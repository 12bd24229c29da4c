"""FHIR as plain values: no I/O, no framework, nothing that knows this server."""
