"""Charging points: all of them, one of them, what happened to it, what is asked of it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from charging.command import CommandKind
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.deviations import Deviation
from charging.database.messages import LoggedMessage
from charging.database.states import StateChange
from charging.registration import Registration
from operations import (
    charging_points,
    commands,
    deviations,
    evse_states,
    overview,
    search,
    settings,
    timeline,
)
from operations.api.commands import intent_of
from operations.api.endpoints import Body, Query, endpoint
from operations.charging_points import Credential
from operations.commands import Command
from operations.evse_states import EvseNow
from operations.overview import Station
from operations.people import Role
from operations.search import PAGE, FoundChargingPoint, Page
from operations.settings import Variable
from operations.timeline import Moment


class ChargingPointQuery(Query):
    """Which charging points; after: the key of the page before."""

    text: str = Field("", max_length=search.MAX_TEXT)
    presence: Literal["", "online", "offline"] = ""
    state: str = ""
    after: str = Field("", max_length=100)
    limit: int = Field(PAGE, ge=1, le=1000)


class NewChargingPoint(Body):
    """A charging point to be made known."""

    charging_point: str
    registration: Registration = Registration.ACCEPTED
    with_password: bool = True


class RegistrationChange(Body):
    """How the next boot is answered."""

    registration: Registration


class TimelineQuery(Query):
    """Around which time, and how many minutes before and after."""

    at: AwareDatetime
    minutes: float = Field(15, gt=0, le=1440)


class HistoryQuery(Query):
    """Of which EVSE (all, where none is named), and how far back."""

    evse: int | None = None
    days: float = Field(30, gt=0, le=400)
    limit: int = Field(100, ge=1, le=10_000)


class NewCommand(Body):
    """What is asked. arguments: as `/api/v1/command-kinds` describes them for its kind."""

    kind: CommandKind
    arguments: dict[str, Any] = Field(default_factory=dict)
    timeout_seconds: float = Field(commands.DEFAULT_SECONDS, gt=0, le=600)


@endpoint("GET", "/charging-points")
def list_charging_points(
    connection: Connection, query: ChargingPointQuery
) -> Page[FoundChargingPoint]:
    """List charging points by identity, a page of them. Raises InvalidError."""
    return search.charging_points(connection, **query.model_dump())


@endpoint("POST", "/charging-points", Role.ADMINISTRATOR, status=201)
def register_charging_point(
    connection: Connection, by: Asker, body: NewChargingPoint
) -> Credential:
    """Make a charging point known; its password is in the answer, and nowhere else."""
    return charging_points.register(
        connection,
        body.charging_point,
        by=by,
        registration=body.registration.value,
        with_password=body.with_password,
    )


@endpoint("GET", "/charging-points/{charging_point}")
def show_charging_point(connection: Connection, charging_point: str) -> Station:
    """Show one charging point and its connection."""
    return overview.station(connection, charging_point)


@endpoint("GET", "/charging-points/{charging_point}/evses")
def list_evses_of(connection: Connection, charging_point: str) -> list[EvseNow]:
    """Show its EVSEs now: state, session, energy, power, age of the last reading."""
    return evse_states.show(connection, charging_point)


@endpoint("GET", "/charging-points/{charging_point}/states")
def list_states_of(
    connection: Connection, charging_point: str, query: HistoryQuery
) -> list[StateChange]:
    """List the states that its EVSEs took, the latest first."""
    return evse_states.history(connection, charging_point, **query.model_dump())


@endpoint("GET", "/charging-points/{charging_point}/settings")
def list_settings_of(connection: Connection, charging_point: str) -> list[Variable]:
    """List what is known of its settings."""
    return settings.of(connection, charging_point)


@endpoint("GET", "/charging-points/{charging_point}/timeline")
def explain(connection: Connection, charging_point: str, query: TimelineQuery) -> list[Moment]:
    """List all that is known of the minutes around a time, the oldest first."""
    return timeline.explain(connection, charging_point, at=query.at, minutes=query.minutes)


class TraceQuery(Query):
    """Since when, and until when; until now, where it is not given."""

    after: AwareDatetime
    until: AwareDatetime | None = None
    limit: int = Field(1000, ge=1, le=10_000)


@endpoint("GET", "/charging-points/{charging_point}/messages")
def list_messages_of(
    connection: Connection, charging_point: str, query: TraceQuery
) -> list[LoggedMessage]:
    """List what was exchanged with it, the oldest first."""
    until = query.until or datetime.now(UTC)
    found = timeline.trace(connection, charging_point, after=query.after, until=until)
    return list(islice(found, query.limit))


class Lens(Body):
    """For how many minutes heartbeats and readings are kept too; 0: no longer."""

    minutes: float = Field(ge=0, le=7 * 24 * 60)


@endpoint("PUT", "/charging-points/{charging_point}/lens", Role.OPERATOR, status=204)
def keep_everything(connection: Connection, charging_point: str, body: Lens) -> None:
    """Keep all its messages for a while, heartbeats and readings too."""
    timeline.keep_everything(connection, charging_point, body.minutes)


class Security(Body):
    """The lowest security profile that lets it in, and its certificate's name; null leaves it."""

    profile: int | None = None
    certificate_name: str | None = None


@endpoint("PUT", "/charging-points/{charging_point}/security", Role.ADMINISTRATOR, status=204)
def set_security(connection: Connection, by: Asker, charging_point: str, body: Security) -> None:
    """Set the lowest security profile that lets it in."""
    charging_points.set_security(connection, charging_point, by=by, **body.model_dump())


@endpoint("PUT", "/charging-points/{charging_point}/registration", Role.ADMINISTRATOR, status=204)
def set_registration(
    connection: Connection, by: Asker, charging_point: str, body: RegistrationChange
) -> None:
    """Decide how its next boot is answered."""
    charging_points.set_registration(connection, charging_point, body.registration.value, by=by)


@endpoint("POST", "/charging-points/{charging_point}/password", Role.ADMINISTRATOR, status=201)
def renew_password(connection: Connection, by: Asker, charging_point: str) -> Credential:
    """Replace its password; the new one is in the answer, and nowhere else."""
    return charging_points.renew_password(connection, charging_point, by=by)


@endpoint(
    "POST",
    "/charging-points/{charging_point}/commands",
    Role.OPERATOR,
    status=202,
    idempotent_by_key=True,
)
def ask_charging_point(
    connection: Connection,
    by: Asker,
    key: str | None,
    charging_point: str,
    body: NewCommand,
) -> Command:
    """Ask it for something. The answer comes later: `GET /commands/{command}` with `wait`.

    With an Idempotency-Key the same again is the same command.
    """
    queued = commands.ask(
        connection,
        charging_point,
        intent_of(body.kind, body.arguments),
        by=by,
        seconds=body.timeout_seconds,
        idempotency_key=key,
    )
    return commands.show(connection, queued.command)


class Handling(Body):
    """How it is taken, from its next connection on; null leaves it."""

    strict: bool | None = None
    free_charging: bool | None = None
    time_zone: str | None = Field(None, max_length=60)


class DeviationQuery(Query):
    """Of which charging point; all, where none is named."""

    charging_point: str | None = None
    limit: int = Field(100, ge=1, le=deviations.MAX_LIMIT)


@endpoint("PUT", "/charging-points/{charging_point}/handling", Role.ADMINISTRATOR, status=204)
def set_handling(connection: Connection, by: Asker, charging_point: str, body: Handling) -> None:
    """Decide whether what deviates is refused, whether it charges without a card, and its zone."""
    deviations.set_handling(connection, charging_point, by=by, **body.model_dump())


@endpoint("GET", "/deviations")
def list_deviations(connection: Connection, query: DeviationQuery) -> list[Deviation]:
    """List what charging points send in other forms than the standard's, by model."""
    return deviations.list_most(connection, **query.model_dump())
