"""What a handshake that may not come in is answered."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from charging.handshake import RefusedHandshake


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """A handshake that is answered with an HTTP error. cause: for counters and lists."""

    def __init__(
        self,
        status: HTTPStatus,
        cause: RefusedHandshake,
        text: str,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.cause = cause
        self.text = text
        self.headers = headers
