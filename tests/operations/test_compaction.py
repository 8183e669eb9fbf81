"""Readings that an earlier version kept whole, put into few bytes while services run."""

from datetime import UTC, datetime, timedelta

import pytest

from operations.__main__ import main
from operations.compaction import Compacted, compact
from tests.rows import add_charging_point, add_reading

READINGS = 300
WHOLE = (
    "SELECT digest, whole_samples(sampled_values, form_id, form_values),"
    " power_of_samples(sampled_values, form_id, form_values) FROM meter_values ORDER BY digest"
)


@pytest.fixture
def readings(database):
    add_charging_point(database)
    now = datetime.now(UTC)
    for number in range(READINGS):
        text = [{"value": f"{number}.50", "unit": "W", "measurand": "Power.Active.Import"}]
        as_number = [{"value": number + 0.25, "unitOfMeasure": {"unit": "Wh"}}]
        signed = [{"value": "x", "format": "SignedData"}]
        samples = (text, as_number, signed)[number % 3]
        if number == 0:
            samples = [{"value": "7", "phase": "said once"}]
        at = now - timedelta(seconds=number)
        add_reading(database, None, number, sampled_at=at, digest=number, sampled_values=samples)


def table_of(done):
    return next(each for each in done if each.compacted or each.whole)


def test_every_reading_stays_what_it_was(database, database_url, readings):
    before = database.execute(WHOLE).fetchall()
    shares = []
    done = table_of(compact(database, lambda table, share: shares.append(share)))
    assert (done.compacted, done.whole) == (READINGS * 2 // 3 - 1, READINGS // 3 + 1)
    assert database.execute(WHOLE).fetchall() == before
    assert shares[-1] == 1.0
    counts = database.execute(
        "SELECT count(*) FILTER (WHERE form_id IS NULL), count(*) FILTER (WHERE sampled_values"
        " IS NULL), count(*) FROM meter_values"
    ).fetchone()
    assert counts == (done.whole, done.compacted, READINGS)
    again = table_of(compact(database))
    assert again == Compacted(done.table, 0, done.whole)


def test_it_is_said_on_the_command_line(database, database_url, readings, capsys, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert main(["maintain", "--compact-readings"]) == 0
    told = capsys.readouterr()
    assert f"{READINGS * 2 // 3 - 1} readings compacted, {READINGS // 3 + 1} stay whole" in told.out
    assert "100% compacted" in told.err
