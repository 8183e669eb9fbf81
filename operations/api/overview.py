"""How all is now, what was done, and whether all energy has a home."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pydantic import AwareDatetime, Field

from charging.database import audit
from charging.database import energy_audits as reports
from charging.database.audit import Entry
from charging.database.connection import Connection
from charging.database.energy_audits import Report
from operations import energy_audits, handshakes, nodes, overview
from operations.api.endpoints import Query, endpoint
from operations.handshakes import RefusedPlace
from operations.nodes import Node
from operations.overview import Figures, WorkList


class FiguresQuery(Query):
    """Since when energy and sessions are counted; the last midnight of UTC, where none is given."""

    since: AwareDatetime | None = None


class LimitQuery(Query):
    """How many."""

    limit: int = Field(100, ge=1, le=1000)


class AuditQuery(Query):
    """Of what, such as a charging point; before: the number that the page before ended with."""

    subject: str | None = None
    before: int | None = Field(None, ge=1, le=2**62)
    limit: int = Field(100, ge=1, le=1000)


@endpoint("GET", "/figures")
def show_figures(connection: Connection, query: FiguresQuery) -> Figures:
    """Show how many are connected and charge, power, and energy since a time."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return overview.figures(connection, since=query.since or midnight)


@endpoint("GET", "/work")
def list_work(connection: Connection) -> list[WorkList]:
    """List what waits for somebody, with what to do about it."""
    return overview.work(connection)


@endpoint("GET", "/nodes")
def list_nodes(connection: Connection) -> list[Node]:
    """List the processes that hold charging points' connections."""
    return nodes.list_all(connection)


@endpoint("GET", "/refused-handshakes")
def list_refused_handshakes(connection: Connection, query: LimitQuery) -> list[RefusedPlace]:
    """List who was not let in: cause, path, address, and what to do."""
    return handshakes.list_refused(connection, limit=query.limit)


@endpoint("GET", "/audit")
def list_audit(connection: Connection, query: AuditQuery) -> list[Entry]:
    """List who did what, the newest first."""
    return audit.read(connection, subject=query.subject, before=query.before, limit=query.limit)


class ReportQuery(Query):
    """Of which day; all, where none is given."""

    day: date | None = None


@endpoint("GET", "/energy-audits")
def list_energy_audits(connection: Connection, query: ReportQuery) -> list[Report]:
    """List the reports that hold what meters counted against what is billed."""
    return reports.read(connection, day=query.day)


@endpoint("GET", "/energy-audits/verification")
def verify_energy_audits(connection: Connection) -> list[energy_audits.Fault]:
    """List where the chain of reports does not hold; empty: nothing was changed."""
    return energy_audits.verify(connection)
