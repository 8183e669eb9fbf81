"""Sessions: what was charged, and what an operator settles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import AwareDatetime, Field

from charging.database.audit import Asker
from charging.database.connection import Connection
from operations import search, session_ends, sessions
from operations.api.endpoints import Body, Query, endpoint
from operations.people import Role
from operations.search import PAGE, FoundSession, Page
from operations.session_ends import Outcome
from operations.sessions import Reading, Session, UnassignedFact


class SessionQuery(Query):
    """Which sessions; after: the key of the page before."""

    text: str = Field("", max_length=search.MAX_TEXT)
    state: Literal["", "charging", "ended"] = ""
    charging_point: str = ""
    only_presumed: bool = False
    after: str = ""
    limit: int = Field(PAGE, ge=1, le=1000)


class End(Body):
    """Why it is ended here, and its end where it is known."""

    reason: str = Field(min_length=1, max_length=500)
    at: AwareDatetime | None = None
    register_wh: int | None = Field(None, ge=0, le=2**62)


class Correction(Body):
    """Why it is corrected, and what it was."""

    reason: str = Field(min_length=1, max_length=500)
    started_at: AwareDatetime | None = None
    meter_start_wh: int | None = Field(None, ge=0, le=2**62)
    ended_at: AwareDatetime | None = None
    meter_stop_wh: int | None = Field(None, ge=0, le=2**62)


class Assignment(Body):
    """The session that a fact ends, and what is missing in it."""

    session: int
    reason: str = Field(min_length=1, max_length=500)
    at: AwareDatetime | None = None
    register_wh: int | None = Field(None, ge=0, le=2**62)


class Reason(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=500)


@dataclass(frozen=True)
class SessionWithReadings:
    """A session and its readings, the oldest first."""

    session: Session
    readings: list[Reading]


@endpoint("GET", "/sessions")
def list_sessions(connection: Connection, query: SessionQuery) -> Page[FoundSession]:
    """List sessions, the newest first, a page of them."""
    return search.sessions(connection, **query.model_dump())


@endpoint("GET", "/sessions/{session}")
def show_session(connection: Connection, session: int) -> SessionWithReadings:
    """Show a session and its readings."""
    return SessionWithReadings(*sessions.get(connection, session))


@endpoint("POST", "/sessions/{session}/end", Role.OPERATOR)
def end_session(connection: Connection, by: Asker, session: int, body: End) -> Outcome:
    """End a session whose stop will not come, by its last plausible reading or as given."""
    return session_ends.end(
        connection, session, body.reason, by=by, at=body.at, register_wh=body.register_wh
    )


@endpoint("POST", "/sessions/{session}/correct", Role.OPERATOR)
def correct_session(connection: Connection, by: Asker, session: int, body: Correction) -> Outcome:
    """Change what an ended session was; what it was before stays beside it."""
    given = body.model_dump(exclude={"reason"})
    return session_ends.correct(connection, session, body.reason, by=by, **given)


@endpoint("GET", "/unassigned-facts")
def list_unassigned_facts(connection: Connection) -> list[UnassignedFact]:
    """List the billing facts whose session is not known."""
    return sessions.list_unassigned(connection)


@endpoint("POST", "/unassigned-facts/{fact}/assign", Role.OPERATOR)
def assign_fact(connection: Connection, by: Asker, fact: int, body: Assignment) -> Outcome:
    """End a session, or correct its end, by a fact that named none or another."""
    return session_ends.assign(
        connection,
        fact,
        body.session,
        body.reason,
        by=by,
        at=body.at,
        register_wh=body.register_wh,
    )


@endpoint("POST", "/unassigned-facts/{fact}/settle", Role.OPERATOR, status=204)
def settle_fact(connection: Connection, by: Asker, fact: int, body: Reason) -> None:
    """Put a fact aside that ends no session."""
    session_ends.settle(connection, fact, body.reason, by=by)
