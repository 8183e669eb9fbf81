"""Charging points that want their certificate signed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from charging.command import CommandKind
from charging.database import commands
from charging.database.connection import AsyncCursor
from charging.intents import SetCertificate
from cp_backend.committer import Committer, OnResult
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import CertificateRequested, NoticeKind

if TYPE_CHECKING:
    from cp_backend.certificate_authority import CertificateAuthority

COMMAND_SECONDS = 300
MOST_AN_HOUR = 5
"""Certificates of one charging point: one that asks without end is not signed for without end."""
NO_AUTHORITY = "no authority is configured that signs (CP_BACKEND_SIGNING_CERTIFICATE)"

FOR_VEHICLES = "a certificate for ISO 15118 is a V2G PKI's to sign, not ours"


class Signed(NamedTuple):
    """What became of a request. chain: PEM, None where it was not signed; refusal: why not."""

    chain: str | None
    refusal: str


class Certificates:
    """Signs requests, where there is an authority."""

    def __init__(self, facts: Committer, authority: CertificateAuthority | None) -> None:
        self._facts = facts
        self._authority = authority

    def requested(
        self, charging_point_id: str, message: CertificateRequested, on_result: OnResult[Signed]
    ) -> None:
        """Sign a request; keep it, and what became of it."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(self.sign, submission, on_result, key=charging_point_id)

    def hand_over(self, charging_point_id: str, chain: str, on_result: OnResult[None]) -> None:
        """Queue the command that hands a certificate over; after the request was answered."""
        submission = Submission(charging_point_id, SetCertificate(chain))
        self._facts.submit(queue_certificates, submission, on_result, key=charging_point_id)

    async def sign(
        self, cursor: AsyncCursor, submissions: Sequence[Submission[CertificateRequested]]
    ) -> Sequence[Signed]:
        """Sign requests; each is kept, with what became of it."""
        known = await _look_up(cursor, [each.charging_point_id for each in submissions])
        now = datetime.now(UTC)
        results = [self._try(known.get(each.charging_point_id), each, now) for each in submissions]
        await cursor.execute(
            "INSERT INTO notices (charging_point_id, kind, status, detail)"
            " SELECT charging_point_id, %s, state, detail"
            " FROM unnest(%s::text[], %s::text[], %s::jsonb[])"
            " AS t (charging_point_id, state, detail)",
            [
                NoticeKind.CERTIFICATE_REQUEST.value,
                [each.charging_point_id for each in submissions],
                ["refused" if signed.refusal else "signed" for signed in results],
                [
                    json.dumps({"csr": each.message.csr, "refusal": signed.refusal})
                    for each, signed in zip(submissions, results, strict=True)
                ],
            ],
        )
        return results

    def _try(
        self, known: _Known | None, request: Submission[CertificateRequested], now: datetime
    ) -> Signed:
        if request.message.for_vehicles:
            return Signed(None, FOR_VEHICLES)
        if self._authority is None:
            return Signed(None, NO_AUTHORITY)
        if known is not None and known.signed >= MOST_AN_HOUR:
            return Signed(None, f"{MOST_AN_HOUR} were signed within the last hour")
        name = (known and known.certificate_name) or request.charging_point_id
        return Signed(*self._authority.try_sign(request.message.csr, name, now))


class _Known(NamedTuple):
    charging_point_id: str
    certificate_name: str | None
    signed: int


async def _look_up(cursor: AsyncCursor, charging_point_ids: Sequence[str]) -> dict[str, _Known]:
    await cursor.execute(
        "SELECT charging_point_id, certificate_name, (SELECT count(*) FROM notices AS n"
        " WHERE n.charging_point_id = c.charging_point_id AND n.kind = %s AND n.status = 'signed'"
        " AND n.received_at > now() - interval '1 hour')"
        " FROM charging_points AS c WHERE charging_point_id = ANY(%s)",
        [NoticeKind.CERTIFICATE_REQUEST.value, list(charging_point_ids)],
    )
    return {row[0]: _Known(*row) async for row in cursor}


async def queue_certificates(
    cursor: AsyncCursor, submissions: Sequence[Submission[SetCertificate]]
) -> Sequence[None]:
    """Queue the commands that hand certificates over."""
    await cursor.execute(
        _QUEUE,
        {
            "command": CommandKind.SET_CERTIFICATE.value,
            "seconds": float(COMMAND_SECONDS),
            "ids": [each.charging_point_id for each in submissions],
            "arguments": [json.dumps(each.message.arguments()) for each in submissions],
        },
    )
    return [None] * len(submissions)


_QUEUE = f"""
WITH wanted AS (
    SELECT charging_point_id, %(command)s::text AS kind, arguments,
           'certificate request' AS requested_by, %(seconds)s::float AS seconds
    FROM unnest(%(ids)s::text[], %(arguments)s::jsonb[]) AS t (charging_point_id, arguments)
), {commands.QUEUED} {commands.WAKE}
""".encode()
