"""What charging points are set to, what a template wants, and putting it right in waves."""

import psycopg
import pytest

from charging.command import Setting
from charging.database import jobs, variables
from operations import jobs as job_office
from operations import settings
from operations.command_line.asker import BY
from operations.errors import InvalidError, NotFoundError
from operations.jobs import Pace
from tests.rows import add_charging_point, add_connection, add_node

WANTED = {"HeartbeatInterval": "300", "LocalPreAuthorize": "true", "Measurands": "A,B"}


@pytest.fixture
def fleet(database):
    node = add_node(database)
    names = [f"CP{n}" for n in range(5)]
    for name in names:
        add_charging_point(database, name, vendor="V", model="M1", firmware_version="1.0")
        add_connection(database, node, charging_point=name)
    add_charging_point(database, "other", vendor="V", model="M2")
    return names


@pytest.fixture
async def node(database_url, fleet):
    """What a node does: note settings, move jobs on."""
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)

    async def act(told=None):
        async with connection.transaction(), connection.cursor() as cursor:
            if told is None:
                await jobs.advance(cursor)
            else:
                await variables.note(cursor, told)

    yield act
    await connection.close()


def put(database, **more):
    settings.put_template(database, "m1", more.pop("values", WANTED), model="M1", by=BY, **more)


def told(name, **values):
    return [(name, Setting(each, value)) for each, value in values.items()]


async def test_drift_has_a_word_for_each_way_to_differ(database, node, fleet):
    put(database)
    same = {"HeartbeatInterval": "300", "LocalPreAuthorize": "True", "Measurands": "A, B"}
    await node(told("CP0", **same))
    await node(told("CP1", **{**same, "HeartbeatInterval": "60"}))
    await node(
        [
            *told("CP2", **same),
            ("CP2", Setting("HeartbeatInterval", "60", readonly=True)),
            ("CP2", Setting("LocalPreAuthorize", "true", after_restart=True)),
        ]
    )
    await node([("CP3", Setting("heartbeatinterval", None)), *told("CP3", Measurands="A,B")])
    found = settings.drift(database, "m1")
    counts = (found.charging_points, found.same, found.differ, found.never_read, found.other)
    assert counts == (5, 1, 1, 1, 2)
    states = {(d.charging_point, d.setting): d.state for d in found.differences}
    assert states == {
        ("CP1", "HeartbeatInterval"): "differs",
        ("CP2", "HeartbeatInterval"): "readonly",
        ("CP2", "LocalPreAuthorize"): "after restart",
        ("CP3", "HeartbeatInterval"): "not told",
        ("CP3", "LocalPreAuthorize"): "not offered",
        **{("CP4", name): "never read" for name in WANTED},
    }


async def test_what_is_no_longer_offered_is_forgotten(database, node, fleet):
    await node(told("CP0", A="1", B="2"))
    await node([("CP0", Setting("A", offered=False)), ("CP0", Setting("B", "3"))])
    assert [(v.name, v.value) for v in settings.of(database, "CP0")] == [("B", "3")]


async def test_each_is_written_what_differs_in_waves(database, node, fleet):
    put(database)
    for number, name in enumerate(fleet):
        await node(told(name, HeartbeatInterval=str(number), LocalPreAuthorize="true"))
    pace = Pace(per_minute=60_000, wave=2, wave_seconds=60)
    job = settings.apply(database, "m1", by=BY, pace=pace)
    answered = "UPDATE commands SET state = 'answered', outcome = 'accepted'"
    counts = []
    for _ in range(3):
        database.execute("UPDATE jobs SET paced_at = now() - interval '1 minute'")
        await node()
        counts.append(job_office.show(database, job).waiting)
    assert counts == [3, 3, 3]
    (arguments,) = database.execute("SELECT arguments FROM commands LIMIT 1").fetchone()
    assert arguments == {"values": {"HeartbeatInterval": "300"}}
    database.execute(answered)
    await node()
    assert job_office.show(database, job).waiting == 3  # the wave has ended, its minute has not
    database.execute("UPDATE job_items SET answered_at = answered_at - interval '2 minutes'")
    database.execute("UPDATE jobs SET started_at = started_at - interval '1 hour'")
    await node()
    assert job_office.show(database, job).waiting == 1
    # The second wave goes silent, and the third is never asked.
    database.execute(answered)
    database.execute("DELETE FROM connections WHERE charging_point_id IN ('CP0', 'CP2', 'CP3')")
    await node()
    found = job_office.show(database, job)
    assert (found.state, found.waiting) == ("stopped", 1)
    assert "3 went silent" in found.reason


def test_what_cannot_be_is_said(database, fleet):
    with pytest.raises(InvalidError, match="is a password"):
        put(database, values={"AuthorizationKey": "x" * 16})
    with pytest.raises(InvalidError, match="at least one"):
        put(database, values={})
    with pytest.raises(InvalidError, match="a value is a text"):
        put(database, values={"A": 1})
    with pytest.raises(NotFoundError, match="no template 'm2'"):
        settings.drift(database, "m2")
    put(database)
    with pytest.raises(InvalidError, match="no charging point is known to differ"):
        settings.apply(database, "m1", by=BY, pace=Pace())
    settings.delete_template(database, "m1", by=BY)
    assert settings.templates(database) == []
