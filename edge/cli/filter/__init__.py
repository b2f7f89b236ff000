"""`edge filter …`: modules looked at, and run once, without a server."""
