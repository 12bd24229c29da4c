"""What FHIR elements are worth to a search, one module per kind of search parameter."""
