"""The subprotocol `hello`: every text is logged and acknowledged.

It is for trying a connection (certificate, address, firewall, credentials) without OCPP.
"""

from __future__ import annotations

import logging

from cp_backend.conversation.wire import Wire

SUBPROTOCOL = "hello"
_MAX_LOGGED_CHARACTERS = 200

log = logging.getLogger(__name__)


class HelloConversation:
    """Acknowledges every text."""

    __slots__ = ("_wire",)

    version = SUBPROTOCOL
    busy = False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def on_text(self, text: bytes) -> None:
        """Log a text and acknowledge it."""
        try:
            words = text.decode()
        except UnicodeDecodeError:
            self._wire.close_for_bad_text()
            return
        log.info(
            "hello",
            extra={
                "charging_point": self._wire.charging_point_id,
                "text": words[:_MAX_LOGGED_CHARACTERS],
            },
        )
        self._wire.send_text(b"acknowledged: " + text)

    def on_binary(self, data: bytes) -> bool:
        """Take text alone."""
        return False

    def on_closed(self) -> None:
        """Nothing waits."""

    def on_second(self, now: int) -> None:
        """Nothing is due."""
