"""Whatever becomes of a charging point's facts, what its meter counted is billed once or listed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from charging.database import audited_energy
from charging.database.audit import Asker
from charging.energy_audit import Audit, audit
from charging.session import SessionReference, StopCause
from charging.token import token_of
from cp_backend.store.presumed_ends import make_final
from cp_backend.store.readings import Readings
from cp_backend.store.sample_forms import SampleForms
from cp_backend.store.sessions import Sessions
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import MeterRead, Raw, Reading, SessionEnded, SessionStarted
from operations import bills, tariffs
from tests.rows import add_charging_point, add_token

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
NUMBERS = count(1)


@dataclass(frozen=True)
class Charge:
    """A session as it was: its registers at the start, at the readings and at the stop."""

    registers: tuple[int, ...]
    lost: tuple[bool, ...]


@dataclass(frozen=True)
class Fact:
    """What the charging point sends: register `place` of a charge; the last is the stop."""

    charge: int
    place: int
    at: datetime
    register: int
    kind: str


@st.composite
def charges(draw):
    """Sessions that follow each other, with energy between them now and then."""
    register, found = draw(st.integers(0, 5000)), []
    for _ in range(draw(st.integers(1, 5))):
        register += draw(st.sampled_from([0, 0, 0, 700]))
        registers = [register]
        for _ in range(draw(st.integers(1, 4))):
            register += draw(st.integers(0, 4000))
            registers.append(register)
        lost = draw(st.lists(st.booleans(), min_size=len(registers), max_size=len(registers)))
        found.append(Charge(tuple(registers), tuple(lost)))
    return found


def facts_of(found: Sequence[Charge]) -> list[Fact]:
    """Everything the charging point sends, in its order, an hour a fact."""
    facts: list[Fact] = []
    for number, charge in enumerate(found):
        for place, register in enumerate(charge.registers):
            last = place == len(charge.registers) - 1
            kind = "start" if place == 0 else "stop" if last else "reading"
            at = BEGIN + timedelta(hours=len(facts))
            facts.append(Fact(number, place, at, register, kind))
    return facts


@st.composite
def deliveries(draw):
    """What arrives of a charging point's facts: some are lost, some come twice, in any order.

    Only a start comes before what names its session. A clock without a battery keeps the order:
    nothing else is known of it then.
    """
    found = draw(charges())
    clock = draw(st.booleans())
    arriving: list[tuple[float, Fact]] = []
    for place, fact in enumerate(facts_of(found)):
        if found[fact.charge].lost[fact.place]:
            continue
        for again in range(draw(st.sampled_from([1, 1, 1, 2]))):
            late = 0 if clock else draw(st.sampled_from([0, 0, 1.5, 4, 9]))
            arriving.append((place + late + again / 2, fact))
    latest_first = sorted(arriving, key=_place, reverse=True)
    first = {fact.charge: place for place, fact in latest_first if fact.kind == "start"}

    def due(place: float, fact: Fact) -> float:
        return max(place, first.get(fact.charge, place) + 0.01 * (fact.kind != "start"))

    ordered = sorted(((due(place, fact), fact) for place, fact in arriving), key=_place)
    finals = draw(st.sets(st.integers(0, len(ordered)), max_size=4))
    return [fact for _, fact in ordered], clock, finals


def _place(pair: tuple[float, Fact]) -> float:
    return pair[0]


class ChargingPoint:
    """Sends facts to the store, as a node would."""

    def __init__(self, name: str, cursor: Any, clock: bool) -> None:
        self.name = name
        self.cursor = cursor
        self.clock = clock
        self.now = BEGIN
        self.transactions: dict[int, int] = {}
        nobody: Any = None  # no statement is submitted: each is called
        self.readings = Readings(nobody, SampleForms(nobody))
        self.sessions = Sessions(nobody, nobody, self.readings, admit_unknown=False)

    async def send(self, fact: Fact) -> None:
        self.now += timedelta(hours=1)
        at = self.now if self.clock else fact.at
        reported = datetime(1970, 1, 1, tzinfo=UTC) + (fact.at - BEGIN) if self.clock else None
        reference = SessionReference(session_id=self.transactions.get(fact.charge))
        if fact.kind == "start":
            start = SessionStarted(1, token_of("TAG"), at, fact.register, reported)
            (answer,) = await self.sessions.start_sessions(
                self.cursor, [Submission(self.name, start)]
            )
            self.transactions.setdefault(fact.charge, answer.session_id)
        elif fact.kind == "stop":
            await self.sessions.end_sessions(
                self.cursor, [Submission(self.name, self._end(reference, at, reported, fact))]
            )
        else:
            reading = Reading(at, fact.register, [{"value": str(fact.register)}])
            await self.readings.keep(
                self.cursor, [Submission(self.name, MeterRead(1, reference, [reading]))]
            )

    def _end(
        self, reference: SessionReference, at: datetime, reported: datetime | None, fact: Fact
    ) -> SessionEnded:
        payload = {"meterStop": fact.register, "charge": fact.charge}
        return SessionEnded(
            session=reference,
            ended_at=at,
            meter_stop_wh=fact.register,
            cause=StopCause.LOCAL,
            reported_cause="Local",
            token=None,
            readings=[],
            raw=Raw("StopTransaction", payload),
            reported_at=reported,
        )


async def deliver(
    url: str,
    name: str,
    facts: Sequence[Fact],
    clock: bool,
    finals: set[int],
    book: Callable[[], object],
) -> None:
    """Let facts arrive. finals: after which presumed ends count, and what counts is booked."""
    async with (
        await psycopg.AsyncConnection.connect(url) as connection,
        connection.cursor() as cursor,
    ):
        point = ChargingPoint(name, cursor, clock)
        for place, fact in enumerate(facts):
            await point.send(fact)
            if place in finals:
                await make_final(cursor, [-1.0])
                await connection.commit()
                book()


def known(facts: Sequence[Fact], unassigned: set[int]) -> int:
    """What the meter counted, as far as a register of it is known: from the first start on."""
    starts = [fact.register for fact in facts if fact.kind == "start"]
    if not starts:
        return 0
    shown = [
        fact.register for fact in facts if not (fact.kind == "stop" and fact.charge in unassigned)
    ]
    return max(0, max(shown) - min(starts))


def audited(database: Any, name: str) -> Audit:
    since, until = BEGIN - timedelta(days=1), BEGIN + timedelta(days=60)
    ever = datetime.now(UTC) + timedelta(days=1)
    evses = audited_energy.evses(database, since, until, name)
    return audit(evses, audited_energy.facts(database, since, ever, name), until)


LATE_STOP = [
    Fact(0, 0, BEGIN, 0, "start"),
    Fact(0, 1, BEGIN + timedelta(hours=1), 1000, "reading"),
    Fact(1, 0, BEGIN + timedelta(hours=3), 2000, "start"),
    # Its end was presumed by now, and booked.
    Fact(0, 2, BEGIN + timedelta(hours=2), 1500, "stop"),
    Fact(1, 1, BEGIN + timedelta(hours=4), 3000, "stop"),
]


@pytest.fixture
def url(database, database_url):
    add_token(database, "TAG")
    tariff = "valid_from,currency,tax_percent,price_per_kwh\n2026-01-01,EUR,19,0.40\n"
    tariffs.import_table(database, tariff, by=Asker("Ada", "tests"))
    return database_url


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(deliveries())
@example(delivered=(LATE_STOP, False, {2}))
def test_what_the_meter_counted_is_billed_once_or_listed(url, database, delivered):
    facts, clock, finals = delivered
    name = add_charging_point(database, f"CP{next(NUMBERS)}")
    asyncio.run(deliver(url, name, facts, clock, finals, lambda: bills.book(database)))
    unassigned = {
        row[0]
        for row in database.execute(
            "SELECT (payload ->> 'charge')::int FROM unassigned_facts"
            " WHERE charging_point_id = %(name)s AND register_of_fact(payload) NOT IN ("
            "SELECT meter_stop_wh FROM sessions WHERE charging_point_id = %(name)s"
            " AND state = 'ended')",
            {"name": name},
        )
    }
    made = audited(database, name)
    event(f"lines: {bool(made.lines)}")
    assert made.balances
    assert made.metered_wh == known(facts, unassigned)
    # Booked, the same energy is billed or listed, and on bills stands what is billed.
    bills.book(database)
    again = audited(database, name)
    assert again.balances
    assert again.metered_wh == made.metered_wh
    on_bills, corrections = database.execute(
        "SELECT coalesce(sum(b.energy_wh), 0), count(*) FILTER (WHERE b.kind = 'correction')"
        " FROM bill_entries AS b JOIN sessions AS s"
        " USING (session_id) WHERE charging_point_id = %s",
        [name],
    ).fetchone()
    event(f"corrected: {corrections > 0}")
    assert corrections or facts is not LATE_STOP
    assert on_bills == again.billed_wh
    assert "bill_differs" not in {one for line in again.lines for one in line.findings}
    assert not unassigned or "unassigned" in {one for line in made.lines for one in line.findings}
