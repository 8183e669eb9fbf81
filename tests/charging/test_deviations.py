"""Counts of deviations in the database, and their bound."""

from collections.abc import Sequence

import psycopg
import pytest

from charging.database import deviations
from charging.database.deviations import MOST_OF_A_CHARGING_POINT, Counted
from charging.database.migrate import downgrade, upgrade
from tests.databases import new_database
from tests.rows import add_charging_point


async def record(url: str, counted: Sequence[Counted]) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await deviations.record(connection.cursor(), counted)


def deviating(charging_point_id: str, path: str = "reason", count: int = 1) -> Counted:
    return Counted(charging_point_id, "StopTransaction", path, "word", count, "StoppedByEV")


async def test_counts_add_up_by_charging_point_and_model(database, database_url):
    for name, firmware in (("CP1", "1.0"), ("CP2", "1.0"), ("CP3", None)):
        add_charging_point(database, name)
        database.execute(
            "UPDATE charging_points SET vendor = 'V', model = 'M', firmware_version = %s"
            " WHERE charging_point_id = %s",
            [firmware, name],
        )
    await record(database_url, [deviating("CP1", count=3), deviating("CP2"), deviating("CP3")])
    await record(database_url, [deviating("CP1", count=2), deviating("nobody")])
    rows = deviations.read(database)
    assert [(r.firmware_version, r.charging_points, r.count) for r in rows] == [
        ("1.0", 2, 6),
        ("", 1, 1),
    ]
    assert rows[0].vendor == "V"
    assert rows[0].sample == "StoppedByEV"
    assert [r.count for r in deviations.read(database, charging_point_id="CP1")] == [5]


async def test_a_charging_point_fills_no_table(database, database_url):
    add_charging_point(database, "CP1")
    for n in range(MOST_OF_A_CHARGING_POINT + 5):
        await record(database_url, [deviating("CP1", f"own{n}")])
    await record(database_url, [deviating("CP1", "own0")])
    row = database.execute("SELECT count(*), max(count) FROM deviations").fetchone()
    assert row == (MOST_OF_A_CHARGING_POINT, 2)


def test_sessions_with_the_same_facts_outlive_the_way_back(server_url):
    with new_database(server_url, "test_same_facts") as url:
        upgrade(url)
        with psycopg.connect(url, autocommit=True) as connection:
            add_charging_point(connection, "CP1")
            for _ in range(2):
                connection.execute(
                    "INSERT INTO sessions (charging_point_id, evse_number, id_tag, state,"
                    " started_at, meter_start_wh, start_decision, ended_at, meter_stop_wh)"
                    " VALUES ('CP1', 1, 'T', 'ended', '1970-01-01Z', 0, 'accepted', now(), 5)"
                )
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(
                    "INSERT INTO sessions (charging_point_id, evse_number, id_tag, state,"
                    " started_at, meter_start_wh, start_decision)"
                    " SELECT 'CP1', 1, 'T', 'charging', '1970-01-01Z', 0, 'accepted'"
                    " FROM generate_series(1, 2)"
                )
        downgrade(url, "0007")
        with psycopg.connect(url, autocommit=True) as connection:
            rows = connection.execute("SELECT DISTINCT started_at FROM sessions").fetchall()
        assert len(rows) == 2
        upgrade(url)
