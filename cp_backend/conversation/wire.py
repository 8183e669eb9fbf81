"""What a conversation needs of its connection."""

from __future__ import annotations

from typing import Protocol


class Wire(Protocol):
    """A connection as its conversation sees it; `connection.Connection` is one."""

    charging_point_id: str

    @property
    def now(self) -> int:
        """The time in seconds, of a clock that never jumps."""

    def call_in(self, seconds: float) -> None:
        """Have the conversation's `on_second` called after so many seconds."""

    def send_text(self, text: bytes) -> None:
        """Send one text message; nothing happens once the connection is closing."""

    def pause(self) -> None:
        """Read no more until `resume`."""

    def resume(self) -> None:
        """Read again."""

    def close_for_bad_text(self) -> None:
        """Close with 1007: a text that is not UTF-8."""

    def abort(self, cause: str) -> None:
        """Close the socket now. cause: a word or two, for the log and the counters."""
