"""The product's own API, declared in mappings/ and compiled at start-up."""
