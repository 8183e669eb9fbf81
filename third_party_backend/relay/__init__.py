"""The relay: the process that calls the hub."""
