"""Rows for tests: whatever a test does not name has a value that holds.

The functions take an open connection in autocommit and return what the database made of the row,
where there is something to return. Other columns are given by name: ``add_session(database,
state="charging")``. A value that is a dictionary or a list becomes JSON.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from charging.identity import evse_id_key

Database = psycopg.Connection[Any]

CHARGING_POINT = "CP1"
EVSE = "DE*VNI*E1*1"


def insert(database: Database, table: str, **columns: Any) -> dict[str, Any]:
    """Insert one row; return it whole, column → value, with what the database filled in."""
    values = {
        name: json.dumps(value) if isinstance(value, dict | list) else value
        for name, value in columns.items()
    }
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(map(sql.Placeholder, values)),
    )
    with database.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        row = cursor.execute(statement, values).fetchone()
    assert row is not None
    return row


def add_charging_point(database: Database, name: str = CHARGING_POINT, **columns: Any) -> str:
    """A registered charging point, by default one that needs no password; return its name."""
    insert(database, "charging_points", charging_point_id=name, **columns)
    return name


def add_evse(
    database: Database,
    number: int = 1,
    evse_id: str | None = None,
    charging_point: str = CHARGING_POINT,
    **columns: Any,
) -> None:
    """An EVSE of a charging point that is there; evse_id: its name in roaming, if it has one."""
    insert(
        database,
        "evses",
        charging_point_id=charging_point,
        evse_number=number,
        evse_id=evse_id,
        evse_id_key=evse_id and evse_id_key(evse_id),
        **columns,
    )


def set_status(database: Database, status: str, number: int | None = None) -> None:
    """Let EVSE `number` of every charging point, or all EVSEs, have a status of OCPP 1.6."""
    database.execute(
        "UPDATE evses SET status = %(status)s, status_at = now()"
        " WHERE %(number)s::int IS NULL OR evse_number = %(number)s",
        {"status": status, "number": number},
    )


def set_details(database: Database, number: int | None = None, **details: Any) -> None:
    """Change master data of EVSE `number`, or of all EVSEs, past every check of the importer."""
    database.execute(
        "UPDATE evse_details SET details = details || %(details)s"
        " WHERE %(number)s::int IS NULL OR evse_number = %(number)s",
        {"details": json.dumps(details), "number": number},
    )


def add_token(database: Database, token: str, **columns: Any) -> None:
    """A token of our own that may charge."""
    insert(database, "tokens", id_tag=token, **columns)


def add_session(database: Database, **columns: Any) -> int:
    """A session of EVSE 1, ended after an hour with 1,500 Wh; return its number.

    ``state="charging"`` makes one that has not ended.
    """
    ended = {} if columns.get("state") == "charging" else _end(columns)
    row = {
        "charging_point_id": CHARGING_POINT,
        "evse_number": 1,
        "id_tag": "TAG",
        "state": "ended",
        "started_at": datetime.now(UTC) - timedelta(hours=1),
        "meter_start_wh": 1_000,
        "start_status": "Accepted",
        **ended,
        **columns,
    }
    return int(insert(database, "sessions", **row)["session_id"])


def _end(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        "ended_at": datetime.now(UTC),
        "meter_stop_wh": columns.get("meter_start_wh", 1_000) + 1_500,
        "stop_reason": "Local",
    }


def add_reading(database: Database, session: int | None, energy_wh: int, **columns: Any) -> None:
    """A reading of the energy register, within a session or outside all."""
    row = {
        "charging_point_id": CHARGING_POINT,
        "evse_number": 1,
        "sampled_at": datetime.now(UTC),
        "sampled_values": [{"value": str(energy_wh)}],
        "digest": energy_wh,
        **columns,
    }
    insert(database, "meter_values", session_id=session, energy_wh=energy_wh, **row)


def add_hub_session(database: Database, hub_session: str, **columns: Any) -> None:
    """A session of the hub at EVSE 1 of CP1, started from a driver's app and accepted."""
    row = {
        "provider_id": "DE-EMP",
        "evse_id": EVSE,
        "charging_point_id": CHARGING_POINT,
        "evse_number": 1,
        "identification": {"RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}},
        "id_tag": "HUB0",
        "cpo_partner_session_id": "ours",
        "state": "accepted",
        **columns,
    }
    insert(database, "hub_sessions", hub_session_id=hub_session, **row)


def add_event(
    database: Database, kind: str, charging_point: str = CHARGING_POINT, **payload: Any
) -> None:
    """What the relay reads: ``add_event(database, "evse_changed", evse_number=1)``."""
    insert(
        database,
        "events",
        kind=kind,
        charging_point_id=charging_point,
        payload=payload,
        occurred_at=datetime.now(UTC),
    )


def add_node(database: Database, **columns: Any) -> UUID:
    """A node whose heartbeat is fresh; return its id."""
    row = {"node_id": uuid4(), "address": "127.0.0.1:9000", "process_id": 1, **columns}
    found: UUID = insert(database, "nodes", **row)["node_id"]
    return found


def add_connection(
    database: Database, node: UUID, charging_point: str = CHARGING_POINT, **columns: Any
) -> None:
    """A charging point's socket, held by a node."""
    row = {
        "connection_id": 1,
        "ocpp_version": "ocpp1.6",
        "remote_address": "",
        "connected_at": datetime.now(UTC),
        **columns,
    }
    insert(database, "connections", charging_point_id=charging_point, node_id=node, **row)


def evse_row(number: int = 1, **more: Any) -> dict[str, Any]:
    """A row of an operator's table of EVSEs: connector `number` of CP1."""
    return {
        "charging_point": CHARGING_POINT,
        "evse_number": number,
        "evse_id": f"DE*VNI*E1*{number}",
        "name": "Harbour",
        "country": "DEU",
        "city": "Kiel",
        "street": "Kai",
        "house_number": "1",
        "postal_code": "24103",
        "latitude": 54.323,
        "longitude": 10.14,
        "plugs": ["Type 2 Outlet"],
        "power_type": "AC_3_PHASE",
        "power_kw": 22,
        "hotline": "+4943112345",
        **more,
    }
