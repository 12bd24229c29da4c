"""How the official R4 package becomes the compact tables of `definitions/r4` (dev time only)."""
