"""Commands and jobs: what was asked of one charging point, and of many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from charging.command import CommandKind
from charging.database.audit import Asker
from charging.database.commands import Answers
from charging.database.connection import Connection
from charging.intent_json import InvalidIntentError
from charging.intents import Intent, read_intent
from operations import commands, intent_members, jobs
from operations.api.endpoints import Body, Connections, Query, endpoint
from operations.commands import Command
from operations.errors import InvalidError
from operations.intent_members import MemberKind
from operations.jobs import DEFAULT_PACE, Item, Job, Pace
from operations.people import Role

MAX_WAIT_SECONDS = 60


class CommandsQuery(Query):
    """Of which charging point; all, where none is named."""

    charging_point: str | None = None
    limit: int = Field(100, ge=1, le=1000)


class CommandQuery(Query):
    """wait: seconds until the answer is there, or the command is shown as it is."""

    wait: float = Field(0, ge=0, le=MAX_WAIT_SECONDS)


class LimitQuery(Query):
    """How many."""

    limit: int = Field(100, ge=1, le=1000)


class ItemsQuery(Query):
    """How many, and whether only those that failed."""

    limit: int = Field(100, ge=1, le=10_000)
    failed: bool = False


class Targets(Body):
    """Who is asked, and how fast.

    where: patterns by vendor, model, firmware, site or id, with ``*``; all must match.
    charging_points: instead of patterns; both empty for all. expected: how many it must be;
    nothing is started when it is another number. within_minutes: what is left after it has failed.
    """

    where: dict[str, list[str]] = Field(default_factory=dict)
    charging_points: list[str] | None = None
    expected: int = Field(ge=1)
    per_minute: int = Field(DEFAULT_PACE.per_minute, ge=1, le=2**31 - 1)
    at_once: int = Field(DEFAULT_PACE.at_once, ge=1, le=2**31 - 1)
    max_failures: int | None = Field(None, ge=1, le=2**31 - 1)
    tries: int = Field(DEFAULT_PACE.tries, ge=1, le=100)
    within_minutes: int | None = Field(None, ge=1, le=90 * 24 * 60)
    wave: int | None = Field(None, ge=1, le=2**31 - 1)
    wave_seconds: float = Field(0, ge=0, le=7 * 86400)

    def pace(self) -> Pace:
        """Return its pace."""
        deadline = None
        if self.within_minutes is not None:
            deadline = datetime.now(UTC) + timedelta(minutes=self.within_minutes)
        return Pace(
            per_minute=self.per_minute,
            at_once=self.at_once,
            max_failures=self.max_failures,
            tries=self.tries,
            deadline=deadline,
            wave=self.wave,
            wave_seconds=self.wave_seconds,
        )


class NewJob(Targets):
    """What is asked, of whom, and how fast."""

    kind: CommandKind
    arguments: dict[str, Any] = Field(default_factory=dict)


class Resumption(Body):
    """Whether those that failed are asked again."""

    failed: bool = False


@dataclass(frozen=True)
class Argument:
    """A member of a command's arguments."""

    name: str
    kind: MemberKind
    required: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of command and its arguments."""

    kind: CommandKind
    description: str
    arguments: list[Argument]


def chosen(connection: Connection, body: Targets) -> list[str]:
    """Return who is meant. Raises InvalidError where it is another number than expected."""
    names = jobs.targets(connection, where=body.where, names=body.charging_points)
    if len(names) != body.expected:
        raise InvalidError(f"expected: that would be {len(names)}, not {body.expected}")
    return list(names)


def job_of(connection: Connection, job: int) -> Job:
    """Return a job that has been started."""
    return jobs.show(connection, job)


def intent_of(kind: CommandKind, arguments: dict[str, Any]) -> Intent:
    """Return what is asked. Raises InvalidError, which names the argument."""
    try:
        return read_intent(kind, arguments)
    except InvalidIntentError as error:
        raise InvalidError(f"arguments.{error}" if error.field else str(error)) from None


@endpoint("GET", "/command-kinds")
def list_command_kinds() -> list[Kind]:
    """List what can be asked of a charging point, and what each takes."""
    return [
        Kind(
            kind,
            intent_members.describe(kind),
            [
                Argument(member.name, member.kind, member.required, member.choices)
                for member in intent_members.members(kind)
            ],
        )
        for kind in CommandKind
    ]


@endpoint("GET", "/commands")
def list_commands(connection: Connection, query: CommandsQuery) -> list[Command]:
    """List commands, the newest first."""
    return commands.list_newest(connection, query.charging_point, limit=query.limit)


@endpoint("GET", "/commands/{command}")
def show_command(
    connections: Connections, answers: Answers, command: int, query: CommandQuery
) -> Command:
    """Show a command, its answer whole, and what was reported since."""
    with connections() as connection:
        shown = commands.show(connection, command)
    if query.wait and shown.state in ("queued", "sent"):
        answers.wait_without_giving_up(command, query.wait)
        with connections() as connection:
            shown = commands.show(connection, command)
    return shown


@endpoint("GET", "/jobs")
def list_jobs(connection: Connection, query: LimitQuery) -> list[Job]:
    """List jobs, the newest first."""
    return jobs.list_newest(connection, limit=query.limit)


@endpoint("POST", "/jobs", Role.OPERATOR, status=201, idempotent_by_key=True)
def start_job(connection: Connection, by: Asker, key: str | None, body: NewJob) -> Job:
    """Ask many charging points for something, at a pace."""
    intent = intent_of(body.kind, body.arguments)
    names = chosen(connection, body)
    job = jobs.start(connection, intent, names, by=by, pace=body.pace(), idempotency_key=key)
    return job_of(connection, job)


@endpoint("GET", "/jobs/{job}")
def show_job(connection: Connection, job: int) -> Job:
    """Show a job as it stands."""
    return jobs.show(connection, job)


@endpoint("GET", "/jobs/{job}/charging-points")
def list_job_items(connection: Connection, job: int, query: ItemsQuery) -> list[Item]:
    """List a job's charging points, those first that were answered last."""
    jobs.show(connection, job)
    return jobs.items(connection, job, limit=query.limit, failed=query.failed)


@endpoint("POST", "/jobs/{job}/stop", Role.OPERATOR)
def stop_job(connection: Connection, by: Asker, job: int) -> Job:
    """Ask nobody else; what is under way still ends."""
    jobs.stop(connection, job, by=by)
    return jobs.show(connection, job)


@endpoint("POST", "/jobs/{job}/resume", Role.OPERATOR)
def resume_job(connection: Connection, by: Asker, job: int, body: Resumption) -> Job:
    """Let a job go on."""
    jobs.resume(connection, job, by=by, failed=body.failed)
    return jobs.show(connection, job)
