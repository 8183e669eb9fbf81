"""Readings in few bytes, over a real socket down to their rows."""

from datetime import timedelta

from tests.station import Station, ago, iso
from tests.waiting import eventually

WHOLE = "whole_samples(sampled_values, form_id, form_values)"
BEGIN = ago(hours=1)


def samples(power, **more):
    return [
        {"value": "1500", "measurand": "Energy.Active.Import.Register", "unit": "Wh", **more},
        {"value": power, "measurand": "Power.Active.Import", "unit": "W"},
    ]


def say(station, second, sampled):
    reading = {"timestamp": iso(BEGIN + timedelta(seconds=second)), "sampledValue": sampled}
    assert station.call("MeterValues", {"connectorId": 1, "meterValue": [reading]}) == {}


def one(database, query):
    return database.execute(query).fetchone()[0]


def learn(station, database):
    """Say readings until one is kept in few bytes; return what was said, by its second."""
    said = {}

    def is_compact():
        said[len(said)] = samples(f"{len(said)}.5")
        say(station, len(said) - 1, said[len(said) - 1])
        return one(database, "SELECT bool_or(form_id IS NOT NULL) FROM meter_values")

    eventually(is_compact)
    return said


def test_a_form_that_returns_is_learnt_and_nothing_is_lost(node, database):
    with Station(node.port) as station:
        station.boot()
        said = learn(station, database)
        for second in (0, len(said) - 1):  # a repetition is none the less seen
            say(station, second, said[second])
    rows = database.execute(
        f"SELECT {WHOLE}, form_id IS NULL, sampled_values IS NULL FROM meter_values"
        " ORDER BY sampled_at, form_id"
    ).fetchall()
    assert [row[0] for row in rows] == list(said.values())
    assert rows[0][1:] == (True, False)
    assert rows[-1][1:] == (False, True)


def test_a_database_that_has_gone_back_in_time_gets_readings_whole(node, database):
    with Station(node.port) as station:
        station.boot()
        learn(station, database)
        database.execute("DELETE FROM meter_values")
        database.execute("DELETE FROM sample_forms")
        say(station, 2000, samples("100"))
        assert one(database, "SELECT sampled_values FROM meter_values") == samples("100")
        database.execute("DELETE FROM meter_values")
        learn(station, database)


def test_a_charging_point_that_never_says_the_same_fills_no_table(node, database):
    with Station(node.port) as station:
        station.boot()
        for number in range(40):
            for _ in range(2):
                say(station, number, samples(f"{number}", phase=f"L{number}"))
    assert one(database, "SELECT count(*) FROM meter_values") == 40
    # One a second is learnt.
    assert one(database, "SELECT count(*) FROM sample_forms") < 20
