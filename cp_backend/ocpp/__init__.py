"""OCPP-J without I/O: text in, one vocabulary out, whatever the version."""
