"""Which nodes live and which charging points are online."""

from uuid import UUID

import psycopg
import pytest

from charging.database.connection import rows
from charging.database.presence import forget_silent_nodes, is_online, node_state, online

NODE = UUID(int=1)


@pytest.fixture
def silent_for(database):
    """Make the node that holds CP1 silent for so many seconds."""
    database.execute("INSERT INTO charging_points (charging_point_id) VALUES ('CP1'), ('CP2')")
    database.execute(
        "INSERT INTO nodes (node_id, address, process_id) VALUES (%s, '10.0.0.1', 1)", [NODE]
    )
    database.execute(
        "INSERT INTO connections (charging_point_id, node_id, connection_id, ocpp_version,"
        " remote_address, connected_at) VALUES ('CP1', %s, 1, 'ocpp1.6', '', now())",
        [NODE],
    )

    def set_silence(seconds, *, draining=False):
        database.execute(
            "UPDATE nodes SET heartbeat_at = now() - make_interval(secs => %s), draining = %s",
            [seconds, draining],
        )

    return set_silence


@pytest.mark.parametrize(
    ("seconds", "draining", "is_there", "state"),
    [
        (0, False, True, "serving"),
        (14, False, True, "serving"),
        (14, True, True, "draining"),
        (16, False, False, "silent"),
        (16, True, False, "silent"),
    ],
)
def test_a_node_takes_its_charging_points_with_it(
    database, silent_for, seconds, draining, is_there, state
):
    silent_for(seconds, draining=draining)
    assert online(database, "CP1") is is_there
    assert online(database, "CP2") is False
    assert rows(database, f"SELECT {node_state('n')} AS state FROM nodes AS n") == [
        {"state": state}
    ]
    found = rows(
        database,
        "SELECT charging_point_id FROM charging_points AS p"
        f" WHERE {is_online('p.charging_point_id')}",
    )
    assert found == ([{"charging_point_id": "CP1"}] if is_there else [])


def test_another_limit_can_be_asked_for(database, silent_for):
    silent_for(16)
    assert online(database, "CP1", 20)


async def test_a_node_that_stays_silent_is_forgotten(database_url, database, silent_for):
    for seconds, left in ((59, 1), (61, 0)):
        silent_for(seconds)
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await forget_silent_nodes(connection.cursor())
        assert database.execute("SELECT count(*) FROM connections").fetchone() == (left,)
