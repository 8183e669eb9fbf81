"""One client that sends "Hello" every few seconds and prints what comes back."""

from __future__ import annotations

import asyncio
import sys

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from charging_point_simulator.backoff import Backoff
from charging_point_simulator.target import Target, TargetError, open_connection

SUBPROTOCOL = "hello"
ANSWER_TIMEOUT_SECONDS = 10


async def say_hello(
    target: Target, identity: str, *, interval: float, count: int | None, text: str = "Hello"
) -> int:
    """Send "Hello" until interrupted, `count` times at most; return the exit code.

    Without a count it connects again whenever the connection is lost. With one, it gives up at
    the first failure: somebody wants to know whether it works.
    """
    backoff = Backoff()
    sent = 0
    while True:
        try:
            connection = await open_connection(target, identity, SUBPROTOCOL)
            async with connection:
                print(f"connected to {target.url(identity)}")
                while count is None or sent < count:
                    await connection.send(text)
                    async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                        answer = await connection.recv()
                    sent += 1
                    backoff.reset()
                    print(f"said {text!r}, heard {answer!r}")
                    if count is None or sent < count:
                        await asyncio.sleep(interval)
                return 0
        except (OSError, WebSocketException, TimeoutError, TargetError) as error:
            print(f"charging_point_simulator: {explain(error)}", file=sys.stderr)
            if count is not None or isinstance(error, TargetError):
                return 1
        await asyncio.sleep(backoff.next())


def explain(error: Exception) -> str:
    """Return in one sentence what went wrong and, where it is known, what to do."""
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        advice = {
            401: "the backend refused the credentials; give --password or --user",
            403: "the backend refused this address",
            404: "the backend does not know this charging point; register it first",
            503: "the backend is full or stopping; try again in a moment",
        }.get(status, "see the backend's log")
        return f"HTTP {status}: {advice}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, InvalidHandshake):
        return f"no WebSocket there: {error}"
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"the certificate cannot be trusted ({text.rpartition(': ')[2]}); give --ca-file for a "
            "self-signed one, --tls-name when connecting by address, or --insecure"
        )
    return text
