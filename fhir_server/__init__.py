"""A FHIR-native facade server for clinical communication: one FHIR R4 store, two faces."""

__version__ = "0.1.0"
