"""What is spoken over a connection: OCPP, a file a direction, and `hello`.

Nothing here does I/O: texts go in by `on_text`, and come out through the `Wire`.
"""
