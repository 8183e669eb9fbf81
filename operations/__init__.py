"""The back office: what an operator does and looks at, as functions.

Each module is a subject. Its functions take typed arguments and a connection (in autocommit or
not: what belongs together is one transaction), return frozen dataclasses, raise OperationError and
psycopg.Error, and print nothing. `command_line` is a skin over them; a console and an API are
others.
"""
