"""What charging points are set to, as they have told us, and templates of what they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from charging.command import Setting
from charging.database.connection import AsyncCursor, Connection

_NOTE = b"""
INSERT INTO variables AS v (charging_point_id, name, value, readonly, after_restart)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::boolean[], %s::boolean[])
ON CONFLICT (charging_point_id, component, name) DO UPDATE
SET value = excluded.value, readonly = coalesce(excluded.readonly, v.readonly),
    after_restart = excluded.after_restart, known_at = now()
"""

_FORGET = b"""
DELETE FROM variables AS v
USING unnest(%s::text[], %s::text[]) AS t (charging_point_id, name)
WHERE v.charging_point_id = t.charging_point_id AND v.component = '' AND v.name = t.name
"""

# How a value is compared: words of truth in any case, lists with or without spaces.
_COMPARED = """CASE WHEN lower({0}) IN ('true', 'false') THEN lower({0})
                    ELSE replace({0}, ', ', ',') END"""

_DRIFT = f"""
SELECT p.charging_point_id, w.name, w.value, v.value,
       CASE WHEN NOT EXISTS (SELECT FROM variables AS any_of
                             WHERE any_of.charging_point_id = p.charging_point_id)
                THEN 'never read'
            WHEN v.name IS NULL THEN 'not offered'
            WHEN v.value IS NULL THEN 'not told'
            WHEN {_COMPARED.format("v.value")} = {_COMPARED.format("w.value")}
                THEN CASE WHEN v.after_restart THEN 'after restart' ELSE 'same' END
            WHEN v.readonly THEN 'readonly'
            ELSE 'differs' END
FROM setting_templates AS t
JOIN charging_points AS p ON coalesce(p.vendor, '') LIKE t.vendor
 AND coalesce(p.model, '') LIKE t.model AND coalesce(p.firmware_version, '') LIKE t.firmware
CROSS JOIN LATERAL jsonb_each_text(t.settings) AS w (name, value)
LEFT JOIN variables AS v ON v.charging_point_id = p.charging_point_id AND v.component = ''
 AND lower(v.name) = lower(w.name)
WHERE t.template = %s AND (%s::text[] IS NULL OR p.charging_point_id = ANY(%s))
ORDER BY p.charging_point_id, w.name
""".encode()


@dataclass(frozen=True, slots=True)
class Variable:
    """A setting of a charging point as it is known. value: None where it is not told."""

    name: str
    value: str | None
    readonly: bool | None
    after_restart: bool
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Template:
    """What charging points of a model should be set to. vendor, model, firmware: LIKE patterns."""

    template: str
    vendor: str
    model: str
    firmware: str
    settings: dict[str, str]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a template at a charging point.

    state: same, differs, readonly (it differs and cannot be written), after restart (written, and
    not yet in force), not told, not offered, or never read.
    """

    charging_point: str
    setting: str
    wanted: str
    reported: str | None
    state: str


# For the node that has the socket.


async def note(cursor: AsyncCursor, told: Sequence[tuple[str, Setting]]) -> None:
    """Note settings of charging points: those that were read, and those that were written."""
    last = {(name, setting.name): setting for name, setting in told}
    gone = [key for key, setting in last.items() if not setting.offered]
    if gone:
        await cursor.execute(_FORGET, [[name for name, _ in gone], [each for _, each in gone]])
    kept = sorted((key, setting) for key, setting in last.items() if setting.offered)
    if kept:
        await cursor.execute(
            _NOTE,
            [
                [name for (name, _), _ in kept],
                [setting.name for _, setting in kept],
                [setting.value for _, setting in kept],
                [setting.readonly for _, setting in kept],
                [setting.after_restart for _, setting in kept],
            ],
        )


# For the back office.


def of(connection: Connection, charging_point: str) -> list[Variable]:
    """Return the settings of a charging point, by name."""
    rows = connection.execute(
        "SELECT name, value, readonly, after_restart, known_at FROM variables"
        " WHERE charging_point_id = %s AND component = '' ORDER BY name",
        [charging_point],
    )
    return [Variable(*row) for row in rows]


def put_template(
    connection: Connection,
    template: str,
    settings: Mapping[str, str],
    *,
    vendor: str,
    model: str,
    firmware: str,
) -> None:
    """Keep a template, in the place of one of the same name. vendor, …: LIKE patterns."""
    connection.execute(
        "INSERT INTO setting_templates (template, vendor, model, firmware, settings)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (template) DO UPDATE"
        " SET vendor = excluded.vendor, model = excluded.model, firmware = excluded.firmware,"
        " settings = excluded.settings,"
        " changed_at = now()",
        [template, vendor, model, firmware, Jsonb(dict(settings))],
    )


def templates(connection: Connection, template: str | None = None) -> list[Template]:
    """Return the templates, or the one that is named, by name."""
    rows = connection.execute(
        "SELECT template, vendor, model, firmware, settings, changed_at FROM setting_templates"
        " WHERE %s::text IS NULL OR template = %s ORDER BY template",
        [template, template],
    )
    return [Template(*row) for row in rows]


def delete_template(connection: Connection, template: str) -> None:
    """Forget a template."""
    connection.execute("DELETE FROM setting_templates WHERE template = %s", [template])


def drift(
    connection: Connection, template: str, charging_points: Sequence[str] | None = None
) -> list[Difference]:
    """Return each setting of a template at each charging point that it is for."""
    names = None if charging_points is None else list(charging_points)
    return [Difference(*row) for row in connection.execute(_DRIFT, [template, names, names])]
