"""What the server does unasked: work on what is stored, a tenant at a time."""
