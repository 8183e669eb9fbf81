"""Meter readings, each once however often it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson

from charging.database.connection import AsyncCursor
from cp_backend.committer import Committer, OnResult
from cp_backend.store.sample_forms import SampleForms
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import MeterRead, SessionEnded


class Readings:
    """Keeps meter readings. forms: by which their samples are kept in few bytes."""

    def __init__(self, facts: Committer, forms: SampleForms) -> None:
        self._facts = facts
        self._forms = forms

    def read(self, charging_point_id: str, message: MeterRead, on_result: OnResult[None]) -> None:
        """Keep readings at their own times."""
        # Packed now and not with its batch: a payload is read and freed fastest right after it
        # was made.
        rows = self._rows(charging_point_id, message)
        self._facts.submit(self.keep_rows, rows, on_result, key=charging_point_id)

    async def keep(
        self, cursor: AsyncCursor, submissions: Sequence[Submission[MeterRead]]
    ) -> Sequence[None]:
        """Keep meter readings, a row each; a reading that is there already stays as it is.

        A reading counts for a session of the charging point that sends it only: transaction ids
        are easily guessed, and what stands under one is billed. One that names no session of it
        counts for the one that was open at its EVSE at its time, give or take a minute.
        """
        return await self.keep_rows(cursor, [self._rows(*submission) for submission in submissions])

    async def keep_rows(
        self, cursor: AsyncCursor, rows_of_messages: Sequence[Sequence[_Row]]
    ) -> Sequence[None]:
        """Keep what `keep` keeps, as rows."""
        rows = [row for rows in rows_of_messages for row in rows]
        while rows:
            columns = list(map(list, zip(*rows, strict=True)))
            await cursor.execute(_KEEP, columns[:-1])
            if not await cursor.fetchall():
                break
            # The database does not know a form that this node knows: it has gone back to a time.
            self._forms.forget()
            rows = [self._packed_again(row) for row in rows]
        return [None] * len(rows_of_messages)

    async def keep_of_ends(
        self,
        cursor: AsyncCursor,
        ends: Sequence[Submission[SessionEnded]],
        evse_numbers: Mapping[int, int],
    ) -> None:
        """Keep the readings that ends bring. evse_numbers: of their sessions, by the end's place.

        Those of sessions that are not known are of no EVSE.
        """
        reads = [
            Submission(
                end.charging_point_id,
                MeterRead(evse_numbers.get(place, 0), end.message.session, end.message.readings),
            )
            for place, end in enumerate(ends)
            if end.message.readings
        ]
        if reads:
            await self.keep(cursor, reads)

    def _rows(self, charging_point_id: str, message: MeterRead) -> list[_Row]:
        rows: list[_Row] = []
        evse_number, session_id = message.evse_number, message.session.session_id
        for reading in message.readings:
            samples = orjson.dumps(reading.sampled_values)
            rows.append(
                (
                    charging_point_id,
                    evse_number,
                    session_id,
                    reading.sampled_at,
                    reading.energy_wh,
                    digest(samples),
                    reading.reported_at,
                    *self._forms.pack(charging_point_id, samples),
                    samples,
                )
            )
        return rows

    def _packed_again(self, row: _Row) -> _Row:
        name, evse_number, session_id, at, energy_wh, hashed, reported_at, _, _, _, samples = row
        packed = self._forms.pack(name, samples)
        return name, evse_number, session_id, at, energy_wh, hashed, reported_at, *packed, samples


def digest(data: bytes) -> int:
    """Return 8 bytes of hash as the signed number that a bigint is."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


# Of the statement's columns, in their order, and the samples whole. A plain tuple: there is one
# for each reading.
_Row = tuple[str, int, int | None, datetime, int | None, int, datetime | None, int, str, str, bytes]

# Binary (%b) where no column can be all NULL: as text, each quote of the JSON is escaped by a
# regular expression, and that was more work than all the rest of a message.
# Its rows are the forms that the database does not know.
_KEEP = """
WITH t AS MATERIALIZED (SELECT * FROM unnest(
    %b::text[], %b::int[], %s::int[], %b::timestamptz[], %s::bigint[],
    %b::bigint[], %s::timestamptz[], %b::bigint[], %b::text[], %b::text[])
    AS t (charging_point_id, evse_number, session_id, sampled_at, energy_wh,
          digest, reported_at, form_id, form_values, sampled_values)),
unknown AS MATERIALIZED (
    SELECT DISTINCT form_id FROM t
    WHERE form_id <> 0 AND form_id NOT IN (SELECT f.form_id FROM sample_forms AS f)),
kept AS (
INSERT INTO meter_values (charging_point_id, evse_number, session_id, sampled_at, energy_wh,
                          form_id, form_values, sampled_values, digest, reported_at)
SELECT t.charging_point_id, t.evse_number, of.session_id, t.sampled_at, t.energy_wh,
       nullif(t.form_id, 0), CASE WHEN t.form_id <> 0 THEN t.form_values END,
       nullif(t.sampled_values, '')::jsonb, t.digest, t.reported_at
FROM t
LEFT JOIN sessions AS s USING (charging_point_id, session_id)
CROSS JOIN LATERAL (SELECT coalesce(s.session_id, CASE WHEN t.evse_number > 0 THEN (
    SELECT o.session_id
    FROM (SELECT * FROM sessions AS o
          WHERE o.charging_point_id = t.charging_point_id
            AND o.evse_number = t.evse_number
            AND o.started_at <= t.sampled_at + interval '1 minute'
          ORDER BY o.started_at DESC LIMIT 3) AS o
    WHERE o.ended_at IS NULL OR o.ended_at >= t.sampled_at - interval '1 minute'
    ORDER BY o.started_at > t.sampled_at,
             coalesce(o.ended_at < t.sampled_at, false), o.session_id DESC LIMIT 1)
END) AS session_id) AS of
-- a time of receipt tells no repetition: the charging point's own does
WHERE t.form_id NOT IN (SELECT form_id FROM unknown) AND (
    t.reported_at IS NULL OR NOT EXISTS (
        SELECT FROM meter_values AS m
        WHERE m.charging_point_id = t.charging_point_id AND m.reported_at = t.reported_at
          AND m.evse_number = t.evse_number AND m.digest = t.digest
          AND m.session_id IS NOT DISTINCT FROM of.session_id))
ON CONFLICT DO NOTHING)
SELECT form_id FROM unknown
"""
