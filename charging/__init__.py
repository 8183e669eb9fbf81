"""The business both services share: pure Python, no sockets, no HTTP, no OCPP, no OICP."""
