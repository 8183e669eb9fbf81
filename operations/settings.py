"""Settings of charging points: what they are, what a model's should be, and putting them right.

What is known of a charging point's settings is what it has told: by `read`, or by taking what was
written. A template holds what charging points of a model should be set to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from charging.database import audit, variables
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.variables import Difference as Difference
from charging.database.variables import Template as Template
from charging.database.variables import Variable as Variable
from charging.identity import parse_charging_point_id
from charging.intents import ReadSettings, WriteSettings
from operations import charging_points, jobs
from operations.errors import InvalidError, NotFoundError, valid
from operations.jobs import Pace

WAVE = 10
WAVE_SECONDS = 60.0
MAX_FAILURES = 3

_MAX_NAME = 50
_MAX_VALUE = 500
_PASSWORD = "authorizationkey"  # noqa: S105 - a setting's name


@dataclass(frozen=True, slots=True)
class Drift:
    """How charging points are, against a template. Each number counts charging points.

    differ: in settings that can be written; after_restart: as it should be after their next
    restart; never_read: nothing is known of them; other: they lack a setting, do not tell it, or
    cannot change it.
    """

    template: str
    charging_points: int
    same: int
    differ: int
    after_restart: int
    never_read: int
    other: int
    differences: list[Difference]


def of(connection: Connection, charging_point: str) -> list[Variable]:
    """Return what is known of a charging point's settings. Raises InvalidError, NotFoundError."""
    name = valid(parse_charging_point_id, charging_point)
    charging_points.check_known(connection, name)
    return variables.of(connection, name)


def read(
    connection: Connection,
    names: Sequence[str],
    *,
    by: Asker,
    pace: Pace,
    key: str | None = None,
) -> int:
    """Let charging points tell all their settings; return the job's number."""
    return jobs.start(connection, ReadSettings(), names, by=by, pace=pace, idempotency_key=key)


def put_template(
    connection: Connection,
    template: str,
    settings: Mapping[str, str],
    *,
    vendor: str = "*",
    model: str = "*",
    firmware: str = "*",
    by: Asker,
) -> None:
    """Keep a template. vendor, model, firmware: whose it is; * stands for any text.

    Raises InvalidError.
    """
    if not template or len(template) > _MAX_NAME or not template.isprintable():
        raise InvalidError(f"{template!r} is no name of a template")
    if not settings:
        raise InvalidError("a template has at least one setting")
    for name, value in settings.items():
        if not isinstance(value, str) or not 0 < len(name) <= _MAX_NAME or len(value) > _MAX_VALUE:
            raise InvalidError(
                f"{name}: a name has 1 to {_MAX_NAME} characters, a value is a text of at most"
                f" {_MAX_VALUE}"
            )
        if name.lower() == _PASSWORD:
            raise InvalidError(f"{name}: is a password, which `commands rotate-password` changes")
    patterns = {"vendor": vendor, "model": model, "firmware": firmware}
    with connection.transaction():
        variables.put_template(
            connection,
            template,
            settings,
            vendor=jobs.pattern(vendor),
            model=jobs.pattern(model),
            firmware=jobs.pattern(firmware),
        )
        detail = {**patterns, "settings": dict(settings)}
        audit.write(connection, by, "put_template", f"template {template}", detail)


def templates(connection: Connection) -> list[Template]:
    """Return the templates, by name."""
    return variables.templates(connection)


def delete_template(connection: Connection, template: str, *, by: Asker) -> None:
    """Forget a template. Raises NotFoundError."""
    _check_template(connection, template)
    with connection.transaction():
        variables.delete_template(connection, template)
        audit.write(connection, by, "delete_template", f"template {template}", {})


def drift(connection: Connection, template: str, names: Sequence[str] | None = None) -> Drift:
    """Return how charging points are, against a template. Raises NotFoundError.

    names: only these of the charging points that it is for.
    """
    _check_template(connection, template)
    found = variables.drift(connection, template, names)
    states: dict[str, set[str]] = defaultdict(set)
    for each in found:
        states[each.charging_point].add(each.state)
    return Drift(
        template,
        charging_points=len(states),
        same=sum(each == {"same"} for each in states.values()),
        differ=sum("differs" in each for each in states.values()),
        after_restart=sum(
            "after restart" in each and each <= {"same", "after restart"}
            for each in states.values()
        ),
        never_read=sum("never read" in each for each in states.values()),
        other=sum(
            bool(each & {"readonly", "not told", "not offered"}) and "differs" not in each
            for each in states.values()
        ),
        differences=[each for each in found if each.state != "same"],
    )


def apply(
    connection: Connection,
    template: str,
    names: Sequence[str] | None = None,
    *,
    by: Asker,
    pace: Pace,
    key: str | None = None,
) -> int:
    """Write what differs from a template, each charging point its own; return the job's number.

    Only settings that are known to differ are written; read them first. Without a wave and a
    number of failures in the pace it goes ten charging points at a time, a minute apart, and stops
    at three that refuse, do not answer or go silent. Raises InvalidError, NotFoundError,
    ConflictError.
    """
    each: dict[str, dict[str, str]] = defaultdict(dict)
    for difference in drift(connection, template, names).differences:
        if difference.state == "differs":
            each[difference.charging_point][difference.setting] = difference.wanted
    if not each:
        raise InvalidError(f"no charging point is known to differ from {template!r}")
    wanted = variables.templates(connection, template)[0].settings
    if pace.wave is None:
        pace = replace(pace, wave=WAVE, wave_seconds=WAVE_SECONDS)
    if pace.max_failures is None:
        pace = replace(pace, max_failures=MAX_FAILURES)
    return jobs.start(
        connection,
        WriteSettings(wanted),
        {name: {"values": values} for name, values in each.items()},
        by=by,
        pace=pace,
        idempotency_key=key,
    )


def _check_template(connection: Connection, template: str) -> None:
    if not variables.templates(connection, template):
        raise NotFoundError(f"no template {template!r}; `settings templates` shows those there are")
