"""PostgreSQL, the only thing the services share: its address, its schema, its local server."""
