"""The subprotocol `hello`: every text is logged and acknowledged.

It is for trying a connection (certificate, address, firewall, credentials) without OCPP.
"""

from __future__ import annotations

import logging

from cp_backend.connection import Connection

SUBPROTOCOL = "hello"
_MAX_LOGGED_CHARACTERS = 200

log = logging.getLogger(__name__)


class HelloConversation:
    """Acknowledges whatever it hears."""

    __slots__ = ("_connection",)

    version = SUBPROTOCOL
    busy = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def on_text(self, text: bytes) -> None:
        """Log a text and acknowledge it."""
        try:
            words = text.decode()
        except UnicodeDecodeError:
            self._connection.close_for_bad_text()
            return
        log.info(
            "hello",
            extra={
                "charging_point": self._connection.charging_point_id,
                "text": words[:_MAX_LOGGED_CHARACTERS],
            },
        )
        self._connection.send_text(b"acknowledged: " + text)

    def on_closed(self) -> None:
        """Nothing waits."""

    def on_second(self, now: int) -> None:
        """Nothing is due."""
