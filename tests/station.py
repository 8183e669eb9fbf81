"""A charging point for tests: says exactly what a test wants said."""

from __future__ import annotations

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.sync.client import ClientConnection, connect

TIMEOUT = 10


class Station:
    def __init__(
        self,
        port: int,
        identity: str = "CP1",
        *,
        password: str | None = None,
        user: str | None = None,
        subprotocols: list[str] | None = None,
        headers: dict[str, str] | None = None,
        path: str | None = None,
        scheme: str = "ws",
        **options: Any,
    ) -> None:
        headers = dict(headers or {})
        if password is not None:
            credentials = f"{user or identity}:{password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
        options.setdefault("compression", None)
        self.socket: ClientConnection = connect(
            f"{scheme}://127.0.0.1:{port}{path or '/' + identity}",
            subprotocols=["ocpp1.6"] if subprotocols is None else subprotocols or None,
            additional_headers=headers,
            open_timeout=TIMEOUT,
            legacy=True,
            **options,
        )
        self._ids = itertools.count(1)

    def send(self, frame: Any) -> None:
        self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    def receive(self) -> Any:
        return json.loads(self.socket.recv(TIMEOUT))

    def call(self, action: str, payload: dict[str, Any]) -> Any:
        """The answer's payload, or [code, description] of a refusal."""
        message_id = str(next(self._ids))
        self.send([2, message_id, action, payload])
        answer = self.receive()
        assert answer[1] == message_id
        return answer[2] if answer[0] == 3 else answer[2:4]

    def boot(self) -> Any:
        return self.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})

    def start(
        self, id_tag: str = "TAG", meter: int = 1000, at: datetime | None = None, number: int = 1
    ) -> Any:
        return self.call(
            "StartTransaction",
            {
                "connectorId": number,
                "idTag": id_tag,
                "meterStart": meter,
                "timestamp": iso(at or datetime.now(UTC)),
            },
        )

    def stop(self, transaction_id: int, meter: int, **more: Any) -> Any:
        return self.call(
            "StopTransaction",
            {
                "transactionId": transaction_id,
                "meterStop": meter,
                "timestamp": iso(datetime.now(UTC)),
                **more,
            },
        )

    def report(self, status: str, number: int = 1, error: str = "NoError") -> None:
        """Send the status of a connector; 0 is the charging point as a whole."""
        self.call(
            "StatusNotification",
            {
                "connectorId": number,
                "status": status,
                "errorCode": error,
                "timestamp": iso(datetime.now(UTC)),
            },
        )

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Station:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def iso(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")


def ago(**parts: float) -> datetime:
    return datetime.now(UTC) - timedelta(**parts)
