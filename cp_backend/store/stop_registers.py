"""Registers at which sessions end: the reported one, or what readings have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from charging.database.connection import AsyncCursor
from charging.metering import Register, can_be_stop
from charging.presumption import presumed_end
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import SessionEnded

End = Submission[SessionEnded]


class Settled(NamedTuple):
    """ends: without registers that cannot be. registers: in Wh, in the place of missing ones.

    Both in the order of the ends; a register is None where the end has its own, or no session.
    """

    ends: Sequence[End]
    registers: Sequence[int | None]


async def settle_registers(cursor: AsyncCursor, ends: Sequence[End]) -> Settled:
    """Find the last plausible register of sessions whose stop brings none, or one that cannot be.

    A register that is more above the session's first than a day of the greatest power is a glitch.
    """
    starts = await _find_starts(cursor, ends)
    settled: list[End] = list(ends)
    missing = []
    for place, start in starts.items():
        message = ends[place].message
        meter_wh = message.meter_stop_wh
        if meter_wh is not None and can_be_stop(
            start.register, Register(message.ended_at, meter_wh)
        ):
            continue
        missing.append(place)
        if meter_wh is not None:
            without = replace(message, meter_stop_wh=None, reported_meter=float(meter_wh))
            settled[place] = ends[place]._replace(message=without)
    registers: list[int | None] = [None] * len(ends)
    readings = await _find_readings(cursor, [starts[place].session_id for place in missing])
    for place in missing:
        session_id, register = starts[place]
        own = [
            Register(reading.sampled_at, reading.energy_wh)
            for reading in ends[place].message.readings
            if reading.energy_wh is not None
        ]
        end = presumed_end(register, [*readings.get(session_id, []), *own])
        registers[place] = end.energy_wh
    return Settled(settled, registers)


class _Start(NamedTuple):
    session_id: int
    register: Register


async def _find_starts(cursor: AsyncCursor, ends: Sequence[End]) -> dict[int, _Start]:
    """Return the beginnings of the sessions that are to end, by the place of the end."""
    await cursor.execute(
        """
        SELECT t.place::int, s.session_id, s.started_at, s.meter_start_wh
        FROM unnest(%s::int[], %s::text[], %s::int[]) AS t (place, charging_point_id, session_id)
        JOIN sessions AS s USING (charging_point_id, session_id)
        """,
        [
            list(range(len(ends))),
            [end.charging_point_id for end in ends],
            [end.message.session.session_id for end in ends],
        ],
    )
    return {
        place: _Start(session_id, Register(started_at, meter_wh))
        async for place, session_id, started_at, meter_wh in cursor
    }


async def _find_readings(
    cursor: AsyncCursor, session_ids: Sequence[int]
) -> dict[int, list[Register]]:
    readings: dict[int, list[Register]] = {}
    if not session_ids:
        return readings
    await cursor.execute(
        "SELECT m.session_id, m.sampled_at, m.energy_wh FROM meter_values AS m"
        " JOIN sessions USING (session_id, charging_point_id)"
        " WHERE m.session_id = ANY(%s) AND m.energy_wh IS NOT NULL",
        [list(session_ids)],
    )
    at: datetime
    async for session_id, at, energy_wh in cursor:
        readings.setdefault(session_id, []).append(Register(at, energy_wh))
    return readings
