"""Large tables of EVSEs taken into a database in use: whole, in order, in nobody's way."""

import json
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.database.audit import Asker
from charging.database.connection import Limits, connect, rows
from charging.identity import evse_id_key
from operations import evses, prices
from operations.errors import ConflictError, InvalidError, TableFaultsError
from operations.evses import Imported, _in_order, _Wanted
from operations.imports import PART_ROWS
from tests.rows import evse_row
from tests.waiting import eventually

BY = Asker("Ada", "tests")

MANY = 2 * PART_ROWS + 200


def charging_point(number):
    return f"CP{number:05d}"


def table(names=range(1, MANY + 1), **more):
    """A table in which connector 1 of the n-th charging point has the n-th of some names."""
    return json.dumps(
        [
            evse_row(1, charging_point=charging_point(n), evse_id=f"DE*VNI*E{name}", **more)
            for n, name in enumerate(names, 1)
        ]
    )


@pytest.fixture
def stations(database):
    database.execute(
        "INSERT INTO charging_points (charging_point_id)"
        " SELECT 'CP' || lpad(n::text, 5, '0') FROM generate_series(1, %s) AS n",
        [MANY],
    )


def names(database):
    found = database.execute("SELECT evse_id FROM evses ORDER BY charging_point_id").fetchall()
    return [int(evse_id.removeprefix("DE*VNI*E")) for (evse_id,) in found]


def test_a_table_is_written_whole_and_the_second_time_costs_nothing(database, stations):
    assert evses.import_table(database, table(), by=BY) == Imported(MANY, MANY)
    assert names(database) == list(range(1, MANY + 1))
    assert database.execute("SELECT count(*) FROM evse_details").fetchone() == (MANY,)
    assert database.execute("SELECT count(*) FROM events").fetchone() == (MANY,)
    evses.import_table(database, table(), by=BY)
    assert database.execute("SELECT count(*) FROM events").fetchone() == (MANY,)
    evses.import_table(database, table(name="Quay"), by=BY)
    assert database.execute("SELECT count(*) FROM events").fetchone() == (2 * MANY,)
    assert {row["details"]["name"] for row in rows(database, "SELECT * FROM evse_details")} == {
        "Quay"
    }


def test_every_fault_is_named_before_anything_is_written(database, stations):
    wrong = json.loads(table())
    wrong[3]["plugs"] = "wooden"
    wrong[-1]["charging_point"] = "NOBODY"
    wrong[-2]["prices"] = ["CHEAP"]
    with pytest.raises(TableFaultsError) as caught:
        evses.import_table(database, json.dumps(wrong), by=BY)
    assert [(fault.row, fault.column) for fault in caught.value.faults] == [
        (4, "plugs"),
        (MANY - 1, "prices"),
        (MANY, "charging_point"),
    ]
    assert "3 things are wrong" in str(caught.value)
    assert database.execute("SELECT count(*) FROM evses").fetchone() == (0,)
    with pytest.raises(InvalidError):
        evses.import_table(database, "no table", by=BY)


@pytest.mark.parametrize(
    "moved",
    [
        [*range(2, MANY + 1), 1],  # one circle through all parts
        [MANY, *range(1, MANY)],
        range(2, MANY + 2),  # a chain: the last one's new name is free
        range(MANY),
        range(MANY, 0, -1),  # as many circles of two as there can be
    ],
    ids=["circle", "circle back", "chain", "chain back", "exchanged"],
)
def test_names_may_change_hands_within_a_table(database, stations, moved):
    moved = [name + 10 for name in moved]
    evses.import_table(database, table([name + 10 for name in range(1, MANY + 1)]), by=BY)
    database.execute("TRUNCATE events")
    evses.import_table(database, table(moved), by=BY)
    assert names(database) == moved
    # The relay takes names away in the order of events: who gets a name must come after.
    lost: dict[str, int] = {}
    got: dict[str, int] = {}
    now = dict(zip(map(charging_point, range(1, MANY + 1)), moved, strict=True))
    for event in rows(database, "SELECT * FROM events ORDER BY event_id"):
        if key := event["payload"].get("former_key"):
            lost[key] = event["event_id"]
        got[evse_id_key(f"DE*VNI*E{now[event['charging_point_id']]}")] = event["event_id"]
    assert all(lost[key] < got[key] for key in lost.keys() & got.keys())


@given(st.permutations(range(12)), st.integers(1, 4))
def test_no_name_is_given_before_its_holder_has_lost_it(names, part):
    places = [(charging_point(n), 1) for n in range(12)]
    holder = {f"E{n}": place for n, place in enumerate(places)}
    wanted = [_Wanted(place, f"E{name}", True) for place, name in zip(places, names, strict=True)]
    ordered, freed = _in_order(wanted, holder)
    assert sorted(row.place for row in ordered) == places
    for place in freed:
        holder = {key: held for key, held in holder.items() if held != place}
    for start in range(0, 12, part):
        now = ordered[start : start + part]
        movers = {row.place for row in now}
        holder = {key: held for key, held in holder.items() if held not in movers}
        for row in now:
            assert row.key not in holder
            holder[row.key] = row.place


@contextmanager
def stopped_in_the_middle(database_url, database, text):
    """Import a table that is stopped by a row that somebody holds; yield the running import."""
    evses.import_table(database, table(), by=BY)
    database.execute("TRUNCATE events")
    with (
        ThreadPoolExecutor(1) as pool,
        connect(database_url, "importing", Limits(statement=60)) as importing,
        psycopg.connect(database_url) as holding,
    ):
        holding.execute(
            "SELECT 1 FROM evses WHERE charging_point_id = %s FOR UPDATE",
            [charging_point(PART_ROWS + 100)],
        )
        running = pool.submit(evses.import_table, importing, text, by=BY)
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'importing' AND wait_event_type = 'Lock'"
        )
        eventually(lambda: running.done() or database.execute(waits).fetchone(), 60)
        assert not running.done(), running.result()
        yield running
        holding.rollback()
        wait([running])


def test_an_import_stands_in_nobody_s_way_but_for_the_part_that_it_writes(
    database_url, database, stations
):
    with stopped_in_the_middle(database_url, database, table(name="Quay")) as running:
        with connect(database_url, "node", Limits(lock=0.05)) as node:
            for number in (1, PART_ROWS, 2 * PART_ROWS + 1, MANY):
                node.execute(
                    "UPDATE evses SET status = 'Charging' WHERE charging_point_id = %s",
                    [charging_point(number)],
                )
        # What is done is done: the relay can begin.
        assert database.execute("SELECT count(*) FROM events").fetchone() == (PART_ROWS,)
        with pytest.raises(ConflictError, match="another import"):
            evses.import_table(database, table(), by=BY)
        with pytest.raises(ConflictError, match="another import"):
            prices.import_table(
                database, "product_id,currency,price,max_power_kw\nA,EUR,1,22\n", by=BY
            )
    assert running.result() == Imported(MANY, MANY)
    assert database.execute("SELECT count(*) FROM events").fetchone() == (MANY,)


def test_an_import_that_was_cut_off_is_completed_by_the_same_file(database_url, database, stations):
    with stopped_in_the_middle(database_url, database, table(name="Quay")) as running:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'importing'"
        )
        with pytest.raises(psycopg.OperationalError):
            running.result()
    assert evses.import_table(database, table(name="Quay"), by=BY) == Imported(MANY, MANY)
    # Nothing was written twice.
    assert database.execute("SELECT count(*) FROM events").fetchone() == (MANY,)


def test_two_operators_may_not_give_one_name_twice(database, stations):
    evses.import_table(database, table([1]), by=BY)
    with pytest.raises(TableFaultsError, match="is connector 1 of CP00001 already"):
        evses.import_table(
            database,
            json.dumps([evse_row(1, charging_point="CP00002", evse_id="de*vni*e1")]),
            by=BY,
        )
