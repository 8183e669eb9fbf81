"""One charging point at a bench: what it sends, what an operator asks of it, what is kept of it."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import trustme

from charging.database.audit import Asker
from charging.database.commands import wait
from charging.intents import Intent
from operations import commands
from operations.commands import Command
from scripts.world import Node
from tests.rows import add_charging_point
from tests.station import Station, ago, iso
from tests.waiting import eventually

VALID, EXPIRED, BLOCKED, UNKNOWN = "VALID", "EXPIRED", "BLOCKED", "UNKNOWN"
SAME_GROUP, GROUP = "SAMEGROUP", "GROUP"

_BY = Asker("operator", "conformance")


class Bench:
    """A charging point of the case's own, held to the standard, connected and booted."""

    def __init__(self, port: int, database: psycopg.Connection[Any], identity: str) -> None:
        self.port = port
        self.database = database
        self.identity = add_charging_point(database, identity, strict=True)
        self.station = Station(port, identity)
        self.boot()

    def boot(self) -> None:
        assert self.station.boot()["status"] == "Accepted"
        for connector in (0, 1):
            self.station.report("Available", connector)

    def reconnect(self) -> None:
        """Drop the connection, as a reset does, and come back."""
        self.station.close()
        self.station = Station(self.port, self.identity)
        self.boot()

    def call(self, action: str, **payload: Any) -> Any:
        return self.station.call(action, payload)

    def authorize(self, token: str = VALID) -> str:
        return str(self.call("Authorize", idTag=token)["idTagInfo"]["status"])

    def start(self, token: str = VALID, *, minutes_ago: float = 0, **more: Any) -> int:
        """Start a session that must be accepted; return its transactionId."""
        answer = self.start_answer(token, minutes_ago=minutes_ago, **more)
        assert answer["idTagInfo"]["status"] == "Accepted"
        self.station.report("Charging")
        return int(answer["transactionId"])

    def start_answer(self, token: str, *, minutes_ago: float = 0, **more: Any) -> Any:
        return self.call(
            "StartTransaction",
            connectorId=1,
            idTag=token,
            meterStart=1000,
            timestamp=iso(ago(minutes=minutes_ago)),
            **more,
        )

    def stop(self, transaction: int, reason: str | None = None, **more: Any) -> Any:
        """Stop a session after 500 Wh."""
        reasons = {} if reason is None else {"reason": reason}
        answer = self.station.stop(transaction, 1500, **reasons, **more)
        self.station.report("Available")
        return answer

    def ask(self, intent: Intent, *answers: Any) -> tuple[list[tuple[str, Any]], Command]:
        """Let an operator ask for something; return the calls that came, and how it ended.

        answers: to the calls, one after the other; a list is an error's code and description.
        """
        asked = commands.ask(self.database, self.identity, intent, by=_BY, seconds=10)
        calls = []
        for answer in answers:
            kind, message_id, action, payload = self.station.receive()
            assert kind == 2
            calls.append((action, payload))
            if isinstance(answer, list):
                self.station.send([4, message_id, *answer, {}])
            else:
                self.station.send([3, message_id, answer])
        wait(self.database, asked.command, 10)
        return calls, self.command(asked.command)

    def command(self, number: int) -> Command:
        return commands.show(self.database, number)

    def session(self, transaction: int) -> dict[str, Any]:
        with self.database.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            row = cursor.execute(
                "SELECT * FROM sessions WHERE session_id = %s", [transaction]
            ).fetchone()
        assert row is not None
        return row

    def notices(self, kind: str) -> list[str]:
        """The statuses of the reports of a kind that were kept, the oldest first."""
        found = self.database.execute(
            "SELECT status FROM notices WHERE charging_point_id = %s AND kind = %s"
            " ORDER BY notice_id",
            [self.identity, kind],
        )
        return [status for (status,) in found]


class TlsNode:
    """A node with a certificate of an authority that signs charging points' certificates too."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.authority = trustme.CA()
        server = self.authority.issue_cert("127.0.0.1", "localhost")
        files = {name: directory / f"{name}.pem" for name in ("certificate", "key", "client_ca")}
        for blob in server.cert_chain_pems:
            blob.write_to_path(files["certificate"], append=True)
        server.private_key_pem.write_to_path(files["key"])
        self.authority.cert_pem.write_to_path(files["client_ca"])
        settings = {f"tls_{name}": str(file) for name, file in files.items()}
        self.node = Node(
            database_url, directory / "node.log", (), {"roaming_timeout": "0", **settings}
        )
        # Its health paths speak TLS too, so what it logs is waited for.
        eventually(lambda: self.node.logged("listening"), 30)

    def certificate(self, name: str) -> trustme.LeafCert:
        return self.authority.issue_cert(common_name=name)

    def open(
        self,
        identity: str,
        *,
        certificate: trustme.LeafCert | None = None,
        trusts: trustme.CA | None = None,
        most: ssl.TLSVersion | None = None,
        **how: Any,
    ) -> Station:
        context = ssl.create_default_context()
        (trusts or self.authority).configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        if most is not None:
            context.minimum_version = context.maximum_version = most
        return Station(self.node.port, identity, scheme="wss", ssl=context, **how)


def soon(**parts: float) -> Any:
    return ago() + timedelta(**parts)
