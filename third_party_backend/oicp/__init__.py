"""OICP 2.3 without I/O: messages between JSON and types, status codes, translation."""
