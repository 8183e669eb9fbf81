"""Where charging points deviate from the standard, and how each is to be taken."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from charging.database import audit, deviations
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.deviations import Deviation
from charging.identity import parse_charging_point_id
from operations import charging_points
from operations.errors import InvalidError, valid

MAX_LIMIT = 10_000


def list_most(
    connection: Connection, *, charging_point: str | None = None, limit: int = 100
) -> list[Deviation]:
    """Return deviations by model, the most frequent first. Raises InvalidError, NotFoundError.

    charging_point: only its own.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidError(f"--limit must be 1 to {MAX_LIMIT}")
    if charging_point is not None:
        charging_point = valid(parse_charging_point_id, charging_point)
        charging_points.check_known(connection, charging_point)
    return deviations.read(connection, charging_point_id=charging_point, limit=limit)


def set_handling(
    connection: Connection,
    charging_point: str,
    *,
    by: Asker,
    strict: bool | None = None,
    free_charging: bool | None = None,
    time_zone: str | None = None,
) -> None:
    """Set how a charging point is taken, from its next connection on; None leaves it.

    strict: what deviates from the standard is refused, as tests of conformance want it.
    free_charging: sessions without a token are accepted. time_zone: of times that it sends without
    one, as the IANA database names it. Raises InvalidError, NotFoundError.
    """
    wanted = {"strict": strict, "free_charging": free_charging, "time_zone": time_zone}
    changes = {name: value for name, value in wanted.items() if value is not None}
    if not changes:
        raise InvalidError("say --strict or --tolerant, --free-charging or --time-zone")
    if time_zone is not None:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidError(f"{time_zone!r} is no time zone such as Europe/Berlin") from None
    with connection.transaction():
        changed = connection.execute(
            "UPDATE charging_points SET strict = coalesce(%(strict)s, strict),"
            " free_charging = coalesce(%(free_charging)s, free_charging),"
            " time_zone = coalesce(%(time_zone)s, time_zone)"
            " WHERE charging_point_id = %(name)s",
            {**wanted, "name": charging_point},
        )
        if changed.rowcount == 0:
            raise charging_points.unknown(charging_point)
        audit.write(connection, by, "set_handling", charging_point, changes)
