"""The audit of the energy: what meters counted = what is billed + what is listed here.

Everything that is not simply a session with its bill is a line, with its energy, the facts and what
can be done. Energy is integer Wh, times are aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from charging.metering import Register, measure_session
from charging.plausibility import Reported, why_not_plausible
from charging.register_balance import Span, Step, balance
from charging.standard_codes import minor_digits

ENDLESS = timedelta(hours=48)
"""A session that charges for longer has most likely lost its stop."""
POWER_MARGIN = 1.2
"""Times an EVSE's power up to which a session's energy is believed, unless told otherwise."""
SMALL_WH = 100
"""Registers are told in steps: less between two sessions is listed, and is no alarm."""


class Payer(StrEnum):
    """Who pays for a session."""

    HUB = "hub"
    """A provider, by a record to the roaming hub."""
    CARD = "card"
    """The holder of a card of our own."""
    FREE = "free"
    """Nobody: the charging point is one at which charging is free."""
    NOBODY = "nobody"
    """Nobody that is known."""


class Finding(StrEnum):
    """What a line is about."""

    GAP = "gap"
    OVERLAP = "overlap"
    REGISTER_ANEW = "register_anew"
    IN_PROGRESS = "in_progress"
    ENDLESS = "endless"
    PRESUMED = "presumed"
    NOT_FINAL = "not_final"
    EMPTY = "empty"
    IMPLAUSIBLE = "implausible"
    BACKWARDS = "backwards"
    NOBODY_PAYS = "nobody_pays"
    NO_RECORD = "no_record"
    RECORD_WAITS = "record_waits"
    RECORD_PARKED = "record_parked"
    RECORD_DROPPED = "record_dropped"
    RECORD_DIFFERS = "record_differs"
    RECORD_DOUBTFUL = "record_doubtful"
    NO_TARIFF = "no_tariff"
    BILL_DIFFERS = "bill_differs"
    SECOND_RECORD = "second_record"
    CORRECTED = "corrected"
    REPORTS_MISSING = "reports_missing"
    UNASSIGNED = "unassigned"


QUIET = frozenset(
    {
        Finding.REGISTER_ANEW,
        Finding.IN_PROGRESS,
        Finding.PRESUMED,
        Finding.NOT_FINAL,
        Finding.EMPTY,
        Finding.RECORD_WAITS,
        Finding.RECORD_DROPPED,
        Finding.CORRECTED,
        Finding.REPORTS_MISSING,
    }
)
"""Listed without an alarm: expected, decided by a person, or settled by waiting."""

REMEDIES: Mapping[Finding, str] = {
    Finding.GAP: "charged in a session that never was reported, or outside all: look at"
    " `explain` for that time, and bill it by hand or write it off",
    Finding.OVERLAP: "two sessions have the same energy: `sessions correct` one of them",
    Finding.REGISTER_ANEW: "a meter was replaced or reset: nothing, if that is so",
    Finding.ENDLESS: "`sessions end` it",
    Finding.IMPLAUSIBLE: "`sessions correct` it; if it is right, `hub requeue --found-right`",
    Finding.BACKWARDS: "`sessions correct` it by its readings",
    Finding.NOBODY_PAYS: "find out whose card it is, and settle it by hand",
    Finding.NO_RECORD: "see whether the relay runs; `hub sessions` shows how the record stands",
    Finding.RECORD_PARKED: "`hub parked` says why; `hub requeue` writes it anew",
    Finding.RECORD_DIFFERS: "settle the difference with the provider, outside the hub",
    Finding.RECORD_DOUBTFUL: "ask the hub whether it has the record, then `hub confirm` it",
    Finding.NO_TARIFF: "`tariffs import` one that held when it began",
    Finding.BILL_DIFFERS: "`bills book` enters the difference",
    Finding.SECOND_RECORD: "settle the difference with the provider, then `hub drop` it",
    Finding.UNASSIGNED: "`sessions assign` it, or `sessions settle` it",
}


@dataclass(frozen=True, slots=True)
class Record:
    """The charge detail record of a session. energy_wh: None where it could not be written.

    besides: a second one, which the hub cannot be sent, and which waits for a person.
    """

    delivery: int
    state: str
    energy_wh: int | None
    doubtful: bool
    reason: str
    besides: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as the audit looks at it. ended_at, meter_stop_wh: None while it charges.

    final: it has ended and that counts. readings: its registers, where they are needed. corrected:
    how often it was changed after it counted. power_margin: times its EVSE's power up to which its
    energy is believed. booked_wh: what of it is on a bill of our own card, None where it is on
    none yet. has_tariff: whether it can be, or no bills are made at all. missing: the places of
    reports that have not come, such as ``[1,4)``; empty where none is known to be missing.
    """

    session: int
    charging_point: str
    evse: int
    started_at: datetime
    meter_start_wh: int
    ended_at: datetime | None
    meter_stop_wh: int | None
    final: bool
    presumed: str | None
    doubts: tuple[str, ...]
    payer: Payer
    found_right: bool
    provider: str | None
    record: Record | None
    power_kw: float | None
    corrected: int = 0
    readings: tuple[Register, ...] = ()
    power_margin: float = POWER_MARGIN
    booked_wh: int | None = None
    has_tariff: bool = True
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """An end that belongs to no session. register_wh, at: what it says of them."""

    fact: int
    charging_point: str
    register_wh: int | None
    at: datetime | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Evse:
    """What is audited of an EVSE. former: its session before. last_wh: its register afterwards.

    price: of a kWh there, without tax, and its currency; None where nobody knows it.
    """

    charging_point: str
    evse: int
    sessions: tuple[Session, ...]
    former: Span | None = None
    last_wh: int | None = None
    price: tuple[Decimal, str] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """Something to look at. unbilled_wh: what is missing on bills, negative where too much is.

    worth: that in money, without tax, such as ``4.10 EUR``; empty where no price is known.
    """

    charging_point: str
    evse: int | None
    session: int | None
    findings: tuple[Finding, ...]
    energy_wh: int | None
    unbilled_wh: int
    alarm: bool
    facts: str
    remedy: str
    worth: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """metered_wh = billed_wh + the lines' unbilled_wh, or the audit itself is at fault."""

    sessions: int
    metered_wh: int
    billed_wh: int
    lines: tuple[Line, ...] = field(default=())

    @property
    def listed_wh(self) -> int:
        """What the lines miss on bills."""
        return sum(line.unbilled_wh for line in self.lines)

    @property
    def balances(self) -> bool:
        """Whether each Wh is billed once or listed."""
        return self.metered_wh == self.billed_wh + self.listed_wh

    @property
    def alarms(self) -> int:
        """How many lines have to be looked at."""
        return sum(line.alarm for line in self.lines)

    @property
    def alarming_wh(self) -> int:
        """Energy without a home: of the lines with an alarm."""
        return sum(abs(line.unbilled_wh) for line in self.lines if line.alarm)


def audit(evses: Sequence[Evse], facts: Sequence[Fact], now: datetime) -> Audit:
    """Hold sessions against their meters and their bills. now: when it is made."""
    metered_wh = billed_wh = 0
    lines: list[Line] = []
    for evse in evses:
        spans = [_span(session) for session in evse.sessions]
        counted = balance(spans, evse.former, evse.last_wh)
        metered_wh += counted.metered_wh
        of_evse = [_step_line(evse, step) for step in counted.steps]
        for session, span in zip(evse.sessions, spans, strict=True):
            billed = billed_of(session)
            billed_wh += billed
            line = _session_line(session, span.energy_wh, billed, now)
            if line is not None:
                of_evse.append(line)
        lines += [replace(line, worth=_worth(evse, line)) for line in of_evse]
    lines += map(_fact_line, facts)
    count = sum(len(evse.sessions) for evse in evses)
    return Audit(count, metered_wh, billed_wh, tuple(lines))


def counted_wh(session: Session) -> int:
    """Return what the meter counted in a session: by its readings where its end cannot be right."""
    start = Register(session.started_at, session.meter_start_wh)
    if session.meter_stop_wh is None or session.ended_at is None:
        return measure_session(start, session.readings).energy_wh
    energy_wh = session.meter_stop_wh - session.meter_start_wh
    if energy_wh < 0 or why_implausible(session) is not None:
        in_time = [each for each in session.readings if each.at <= session.ended_at]
        return measure_session(start, in_time).energy_wh
    return energy_wh


def why_implausible(session: Session) -> str | None:
    """Return why a session that has ended cannot be as it was reported; None if it can."""
    if session.ended_at is None or session.meter_stop_wh is None or session.found_right:
        return None
    return why_not_plausible(
        Reported(
            session.started_at,
            session.ended_at,
            session.meter_start_wh,
            session.meter_stop_wh,
            power_kw=session.power_kw,
            doubts=session.doubts,
        ),
        session.power_margin,
    )


def billed_of(session: Session) -> int:
    """Return what of a session is billed: by its record, or on the bill of our own card."""
    record = session.record
    if session.payer is Payer.HUB:
        sent = record is not None and record.state in ("waiting", "delivered")
        return (record.energy_wh or 0) if record is not None and sent else 0
    if session.booked_wh is not None:
        return session.booked_wh
    if session.payer is Payer.NOBODY or not session.final or why_implausible(session) is not None:
        return 0
    if session.payer is Payer.CARD and not session.has_tariff:
        return 0
    assert session.meter_stop_wh is not None
    return max(0, session.meter_stop_wh - session.meter_start_wh)


def _span(session: Session) -> Span:
    return Span(
        session.session,
        session.started_at,
        session.meter_start_wh,
        counted_wh(session),
        timed="clock" not in session.doubts,
    )


def _findings(session: Session, energy_wh: int, billed_wh: int, now: datetime) -> list[Finding]:
    """Return what there is to say of a session."""
    if session.ended_at is None:
        endless = now - session.started_at > ENDLESS
        found = [Finding.ENDLESS if endless else Finding.IN_PROGRESS]
        return found + ([Finding.REPORTS_MISSING] if session.missing else [])
    found = [Finding.REPORTS_MISSING] if session.missing else []
    if session.presumed is not None:
        found.append(Finding.PRESUMED if session.final else Finding.NOT_FINAL)
    if session.corrected:
        found.append(Finding.CORRECTED)
    if session.meter_stop_wh is not None and session.meter_stop_wh < session.meter_start_wh:
        found.append(Finding.BACKWARDS)
    elif energy_wh == 0 and session.meter_stop_wh == session.meter_start_wh:
        found.append(Finding.EMPTY)
    if why_implausible(session) is not None:
        found.append(Finding.IMPLAUSIBLE)
    if session.payer is Payer.NOBODY and energy_wh:
        found.append(Finding.NOBODY_PAYS)
    if session.payer is Payer.HUB and session.final:
        found += _record_findings(session.record, energy_wh, billed_wh)
    if session.booked_wh is not None and session.booked_wh != energy_wh:
        found.append(Finding.BILL_DIFFERS)
    elif session.payer is Payer.CARD and session.booked_wh is None and not session.has_tariff:
        found.append(Finding.NO_TARIFF)
    return found


def _record_findings(record: Record | None, energy_wh: int, billed_wh: int) -> list[Finding]:
    if record is None:
        return [Finding.NO_RECORD] if energy_wh else []
    if record.state == "parked":
        return [Finding.RECORD_PARKED]
    if record.state == "dropped":
        return [Finding.RECORD_DROPPED]
    found = [Finding.RECORD_DIFFERS] if billed_wh != energy_wh else []
    if record.state == "waiting":
        found.append(Finding.RECORD_WAITS)
    if record.doubtful:
        found.append(Finding.RECORD_DOUBTFUL)
    if record.besides is not None:
        found.append(Finding.SECOND_RECORD)
    return found


def _session_line(session: Session, energy_wh: int, billed_wh: int, now: datetime) -> Line | None:
    found = _findings(session, energy_wh, billed_wh, now)
    if not found:
        return None
    return Line(
        session.charging_point,
        session.evse,
        session.session,
        tuple(found),
        energy_wh,
        energy_wh - billed_wh,
        any(each not in QUIET for each in found),
        _facts_of(session),
        _remedy(found),
    )


def _facts_of(session: Session) -> str:
    ended = f"{session.ended_at:%Y-%m-%d %H:%M:%S}" if session.ended_at else "…"
    stop = "…" if session.meter_stop_wh is None else f"{session.meter_stop_wh}"
    facts = [
        f"{session.started_at:%Y-%m-%d %H:%M:%S} to {ended} UTC",
        f"{session.meter_start_wh} to {stop} Wh",
    ]
    if session.presumed:
        facts.append(f"its end presumed by {session.presumed}")
    if session.doubts:
        facts.append(f"doubts: {', '.join(session.doubts)}")
    if session.missing:
        facts.append(f"its reports {session.missing} have not come")
    if (why := why_implausible(session)) is not None:
        facts.append(why)
    if session.provider is not None:
        facts.append(f"of {session.provider}")
    if session.record is not None:
        record = session.record
        wh = "not written" if record.energy_wh is None else f"{record.energy_wh} Wh"
        facts.append(
            f"its record {record.delivery} is {record.state}: {wh} {record.reason}".strip()
        )
    return "; ".join(facts)


def _step_line(evse: Evse, step: Step) -> Line:
    if step.energy_wh > 0:
        finding, between = Finding.GAP, "counted between"
    elif step.energy_wh < 0:
        finding, between = Finding.OVERLAP, "counted by both"
    else:
        finding, between = Finding.REGISTER_ANEW, "the register began anew between"
    names = " and ".join(
        "the beginning" if name is None else f"session {name}" for name in (step.before, step.after)
    )
    if step.after is None:
        names = f"session {step.before} and the last reading"
    return Line(
        evse.charging_point,
        evse.evse,
        step.after or step.before,
        (finding,),
        abs(step.energy_wh),
        step.energy_wh,
        finding not in QUIET and abs(step.energy_wh) >= SMALL_WH,
        f"{between} {names}: {step.from_wh} to {step.to_wh} Wh",
        _remedy([finding]),
    )


def _fact_line(fact: Fact) -> Line:
    register = "no register" if fact.register_wh is None else f"register {fact.register_wh} Wh"
    at = f"of {fact.at:%Y-%m-%d %H:%M:%S}" if fact.at else "without a time"
    return Line(
        fact.charging_point,
        None,
        None,
        (Finding.UNASSIGNED,),
        None,
        0,
        True,
        f"fact {fact.fact}, {at}, received {fact.received_at:%Y-%m-%d %H:%M:%S} UTC: {register}",
        _remedy([Finding.UNASSIGNED]),
    )


def _worth(evse: Evse, line: Line) -> str:
    if evse.price is None or not line.unbilled_wh:
        return ""
    per_kwh, currency = evse.price
    smallest = Decimal(1).scaleb(-minor_digits(currency))
    worth = (per_kwh * line.unbilled_wh / 1000).quantize(smallest, ROUND_HALF_UP)
    return f"{worth} {currency}"


def _remedy(found: Sequence[Finding]) -> str:
    return "; ".join(REMEDIES[each] for each in found if each in REMEDIES)
