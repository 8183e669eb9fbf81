"""EVSEs: the names of connectors in roaming, and the master data that drivers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from charging.database import audit, events
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.events import Event
from charging.event import EventKind
from charging.identity import evse_id_key, parse_evse_id
from charging.master_data import details, read_evses
from charging.tables import Fault, Row
from operations import imports
from operations.errors import ConflictError, InvalidError, NotFoundError, TableFaultsError, valid

Place = tuple[str, int]
"""A connector: its charging point and its number there."""


@dataclass(frozen=True, slots=True)
class Evse:
    """An EVSE as it is now. state: charging.evse.EvseState; status, error_code: as reported.

    at_the_hub: the status that the hub has.
    """

    charging_point: str
    evse: int
    evse_id: str | None
    roaming: bool
    master_data: bool
    state: str
    status: str | None
    error_code: str | None
    status_at: datetime | None
    at_the_hub: str | None


@dataclass(frozen=True, slots=True)
class Imported:
    """What a table was: its rows, and how many of them are offered for roaming."""

    imported: int
    roaming: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A row of a table. details: None where they are not to be changed."""

    place: Place
    evse_id: str
    roaming: bool
    details: Row | None = None

    @property
    def key(self) -> str:
        return evse_id_key(self.evse_id)


@dataclass(frozen=True, slots=True)
class _Held:
    """What a connector is now."""

    evse_id: str | None
    key: str | None
    roaming: bool
    details: Row | None

    def differs(self, wanted: _Wanted) -> bool:
        """Return whether something is to be written."""
        return (self.evse_id, self.roaming) != (wanted.evse_id, wanted.roaming) or (
            wanted.details is not None and self.details != wanted.details
        )


def name(
    connection: Connection,
    charging_point: str,
    evse_number: int,
    evse_id: str,
    *,
    by: Asker,
    roaming: bool = True,
) -> str:
    """Give a connector its EVSE id; return it in upper case.

    Raises InvalidError, NotFoundError, ConflictError.
    """
    wanted = _Wanted((charging_point, evse_number), valid(parse_evse_id, evse_id), roaming)
    if evse_number < 1:
        raise InvalidError("connectors are counted from 1; 0 is the whole charging point")
    try:
        with connection.transaction():
            _write(connection, [wanted])
            detail = {"evse_number": evse_number, "evse_id": wanted.evse_id, "roaming": roaming}
            audit.write(connection, by, "name_evse", charging_point, detail)
    except psycopg.errors.ForeignKeyViolation:
        raise NotFoundError(f"no charging point {charging_point!r}; register it first") from None
    except psycopg.errors.UniqueViolation:
        raise ConflictError(
            f"{wanted.evse_id} is another connector's; `evses list` shows whose"
        ) from None
    return wanted.evse_id


def set_roaming(
    connection: Connection, evse_ids: Sequence[str], *, by: Asker, roaming: bool
) -> list[str]:
    """Offer EVSEs to the hub, or withdraw them; return their keys. Raises NotFoundError."""
    keys = {evse_id_key(valid(parse_evse_id, name)): name for name in evse_ids}
    with connection.transaction():
        rows = connection.execute(
            "UPDATE evses SET roaming = %s WHERE evse_id_key = ANY(%s)"
            " RETURNING evse_id_key, charging_point_id, evse_number",
            [roaming, list(keys)],
        ).fetchall()
        unknown = [name for key, name in keys.items() if key not in {row[0] for row in rows}]
        if unknown:
            raise NotFoundError(f"no EVSE {', '.join(unknown)}; `evses list` shows those there are")
        events.write(connection, [_changed((name, number)) for _, name, number in rows])
        for key, name, number in rows:
            detail = {"evse_number": number, "evse_id_key": key}
            audit.write(connection, by, "offer_evse" if roaming else "withdraw_evse", name, detail)
    return sorted(row[0] for row in rows)


def list_all(connection: Connection) -> list[Evse]:
    """Return all EVSEs with their state."""
    with connection.cursor(row_factory=class_row(Evse)) as cursor:
        return cursor.execute(
            """
            SELECT e.charging_point_id AS charging_point, e.evse_number AS evse, e.evse_id,
                   e.roaming, d.details IS NOT NULL AS master_data, e.state, e.status,
                   e.error_code, e.status_at, h.delivered ->> 'EvseStatus' AS at_the_hub
            FROM evses AS e
            LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
            LEFT JOIN deliveries AS h ON h.queue = 'evse-status' AND h.key = e.evse_id_key
            WHERE e.evse_number > 0 ORDER BY e.charging_point_id, e.evse_number
            """
        ).fetchall()


def import_table(connection: Connection, text: str, *, by: Asker) -> Imported:
    """Name connectors and fill in their master data, by a table in CSV or JSON.

    connection: in autocommit. An interrupted one: see operations.imports. Raises
    InvalidError, TableFaultsError; then nothing was written. Raises ConflictError where another
    import runs, or where another operator changed names meanwhile: some parts may be written then.
    """
    rows, faults = imports.read(text, read_evses)
    with imports.exclusively(connection):
        owners = _owners(connection)
        if found := [*faults, *_faults_of_place(connection, rows, owners)]:
            raise TableFaultsError(sorted(found, key=lambda fault: fault.row))
        wanted = [
            _Wanted(
                (row["charging_point"], row["evse_number"]),
                row["evse_id"],
                row["roaming"],
                details(row),
            )
            for _, row in rows
        ]
        ordered, freed = _in_order(wanted, owners)
        audit.write(connection, by, "import_evses", "", {"rows": len(wanted)})
        try:
            imports.in_parts(connection, sorted(freed), lambda part: _free(connection, part))
            imports.in_parts(connection, ordered, lambda part: _write(connection, part))
        except (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation):
            raise ConflictError(
                "another operator changed EVSEs meanwhile, so only a part was imported;"
                " import the file again"
            ) from None
    return Imported(len(wanted), sum(row.roaming for row in wanted))


def _owners(connection: Connection) -> dict[str, Place]:
    """Return which connector has each name, by its key."""
    return {
        key: (charging_point, number)
        for charging_point, number, key in connection.execute(
            "SELECT charging_point_id, evse_number, evse_id_key FROM evses"
            " WHERE evse_id_key IS NOT NULL"
        )
    }


def _faults_of_place(
    connection: Connection, rows: Sequence[tuple[int, Row]], owners: Mapping[str, Place]
) -> list[Fault]:
    """Return what the database has against rows that are right in themselves."""
    known = {row[0] for row in connection.execute("SELECT charging_point_id FROM charging_points")}
    products = {row[0] for row in connection.execute("SELECT product_id FROM price_products")}
    here = {(row.get("charging_point"), row.get("evse_number")) for _, row in rows}
    faults = []
    for number, row in rows:
        charging_point = row.get("charging_point")
        if isinstance(charging_point, str) and charging_point not in known:
            faults.append(Fault(number, "charging_point", f"{charging_point!r} is not registered"))
        if isinstance(row.get("evse_id"), str):
            owner = owners.get(evse_id_key(row["evse_id"]))
            if owner is not None and owner not in here:
                faults.append(
                    Fault(number, "evse_id", f"is connector {owner[1]} of {owner[0]} already")
                )
        faults.extend(
            Fault(number, "prices", f"there is no price {product!r}; import prices first")
            for product in row.get("prices") or ()
            if product not in products
        )
    return faults


def _in_order(
    wanted: Sequence[_Wanted], owners: Mapping[str, Place]
) -> tuple[list[_Wanted], list[Place]]:
    """Return rows so that a name is given up before another connector gets it.

    Names that only change hands in a circle have no such order: of each circle one connector is
    returned that must lose its name before.
    """
    by_place = {row.place: row for row in wanted}
    taker: dict[Place, _Wanted] = {}
    waiting: set[Place] = set()
    for row in wanted:
        owner = owners.get(row.key)
        if owner is not None and owner != row.place and owner in by_place:
            taker[owner] = row
            waiting.add(row.place)
    ordered: list[_Wanted] = []
    done: set[Place] = set()

    def follow(row: _Wanted | None) -> None:
        while row is not None and row.place not in done:
            done.add(row.place)
            ordered.append(row)
            row = taker.get(row.place)

    in_turn = sorted(wanted, key=lambda row: row.place)
    for row in in_turn:
        if row.place not in waiting:
            follow(row)
    freed: list[Place] = []
    for row in in_turn:
        if row.place not in done:
            freed.append(row.place)
            follow(taker[row.place])
    return ordered, freed


def _free(connection: Connection, places: Sequence[Place]) -> None:
    """Take names away from connectors that get others."""
    held = _held(connection, places)
    _set_nameless(connection, list(held))
    events.write(connection, [_changed(place, held[place].key) for place in held])


def _write(connection: Connection, part: Sequence[_Wanted]) -> None:
    """Write the rows that differ from what is there, and an event for each."""
    held = _held(connection, [row.place for row in part])
    in_turn = [row for row in part if row.place not in held or held[row.place].differs(row)]
    changed = sorted(in_turn, key=lambda row: row.place)
    former = {
        row.place: held[row.place].key
        for row in changed
        if row.place in held and held[row.place].key not in (None, row.key)
    }
    # Names may change hands within a part, so all are free before any is given.
    _set_nameless(connection, list(former))
    connection.execute(
        """
        INSERT INTO evses (charging_point_id, evse_number, evse_id, evse_id_key, roaming)
        SELECT * FROM unnest(%s::text[], %s::int[], %s::text[], %s::text[], %s::boolean[])
        ON CONFLICT (charging_point_id, evse_number) DO UPDATE
        SET evse_id = excluded.evse_id, evse_id_key = excluded.evse_id_key,
            roaming = excluded.roaming
        """,
        [
            *_columns([row.place for row in changed]),
            [row.evse_id for row in changed],
            [row.key for row in changed],
            [row.roaming for row in changed],
        ],
    )
    described = [row for row in changed if row.details is not None]
    connection.execute(
        """
        INSERT INTO evse_details (charging_point_id, evse_number, details)
        SELECT * FROM unnest(%s::text[], %s::int[], %s::jsonb[])
        ON CONFLICT (charging_point_id, evse_number)
        DO UPDATE SET details = excluded.details, updated_at = now()
        """,
        [*_columns([row.place for row in described]), [Jsonb(row.details) for row in described]],
    )
    # The relay reads events in their order: a name must be given up before it is taken.
    events.write(connection, [_changed(row.place, former.get(row.place)) for row in in_turn])


def _held(connection: Connection, places: Sequence[Place]) -> dict[Place, _Held]:
    """Lock connectors, in one order for everybody; return what they are now."""
    rows = connection.execute(
        """
        SELECT e.charging_point_id, e.evse_number, e.evse_id, e.evse_id_key, e.roaming, d.details
        FROM evses AS e
        JOIN unnest(%s::text[], %s::int[]) AS t (charging_point_id, evse_number)
            USING (charging_point_id, evse_number)
        LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
        ORDER BY charging_point_id, evse_number FOR UPDATE OF e
        """,
        _columns(places),
    )
    return {(row[0], row[1]): _Held(*row[2:]) for row in rows}


def _set_nameless(connection: Connection, places: Sequence[Place]) -> None:
    connection.execute(
        "UPDATE evses AS e SET evse_id = NULL, evse_id_key = NULL"
        " FROM unnest(%s::text[], %s::int[]) AS t (charging_point_id, evse_number)"
        " WHERE e.charging_point_id = t.charging_point_id AND e.evse_number = t.evse_number",
        _columns(places),
    )


def _columns(places: Sequence[Place]) -> list[list[Any]]:
    return [[place[0] for place in places], [place[1] for place in places]]


def _changed(place: Place, former_key: str | None = None) -> Event:
    """Return the event that a connector's name, data or place in roaming has changed.

    former_key: of the name that it no longer has.
    """
    payload: dict[str, Any] = {"evse_number": place[1]}
    if former_key is not None:
        payload["former_key"] = former_key
    return Event(EventKind.EVSE_CHANGED, place[0], payload)
