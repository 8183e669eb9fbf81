"""Times as charging points write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.ocpp.times import read_time, write_time

NEAR = datetime(2026, 3, 2, tzinfo=UTC)
TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
ELEVEN = datetime(2026, 3, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T10:00:00Z",
        "2026-03-01T10:00:00z",
        "2026-03-01t10:00:00Z",
        "2026-03-01T10:00:00.000000000Z",
        "2026-03-01T10:00:00,0Z",
        "2026-03-01T10:00:00.Z",
        "2026-03-01T10:00Z",
        "2026-03-01T10.00.00Z",
        "2026-03-01T10:00:00Z[UTC]",
        "2026-03-01T11:00:00+01:00[Europe/Berlin]",
        "2026-03-01T12:00:00+02:00",
        "2026-03-01T12:00:00+0200",
        "2026-03-01T12:00:00+02",
        "2026-03-01T12:00:00 +02:00",
        "2026-03-01T12:00:00+02:00Z",
        "2026-03-01T12:00:00Z+02:00",
        "2026-03-01T12:00:00UTC+2",
        "2026-03-01T10:00:00+0000",
        "2026-03-01T10:00:00 UTC",
        "2026-03-01T10:00:00 GMT",
        " 2026-03-01T10:00:00Z ",
        '"2026-03-01T10:00:00Z"',
        "2026-3-1T10:0:0Z",
        "2026/03/01 10:00:00Z",
        "2026-03-01 10:00:00 AM Z",
        "01.03.2026 10:00:00 UTC",
        "20260301T100000Z",
        "20260301100000Z",
        "Sun, 01 Mar 2026 10:00:00 GMT",
        "Sun Mar  1 10:00:00 UTC 2026",
        "2026-03-01-10:00:00Z",
        "2026-03-01-10-00-00Z",
        "2026-03-01T10-00-00Z",
        "20260301 10:00:00Z",
        "2026-Mar-01 10:00:00Z",
        "Mar 1, 2026 10:00:00 AM GMT",
        "Sun Mar 01 2026 11:00:00 GMT+0100 (Central European Standard Time)",
        "Sunday, 01-Mar-26 10:00:00 GMT",
        "26-03-01T10:00:00Z",
        "01.03.26 10:00:00 UTC",
        "26/03/01,12:00:00+02",
        "2026-03-01T11:00:00 CET",
        "2026-03-01T12:00:00 CEST",
        "2026-03-01T12\uff1a00\uff1a00+02:00",
        "2026-03-01T08:00:00\u221202:00",
        "/Date(1772359200000)/",
        "/Date(1772359200000+0100)/",
        "1772359200",
        "1772359200000",
        1772359200,
        1772359200.0,
        1772359200000,
        1772359200000000,
    ],
)
def test_a_time_with_its_zone_is_read_in_every_notation(text):
    assert read_time(text, NEAR, ZoneInfo("Europe/Berlin")) == TEN


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T11:00:00",
        "2026-03-01 11:00:00",
        "2026-03-01T11:00",
        "2026/03/01 11:00:00",
        "01.03.2026 11:00:00",
        "01.03.2026 11:00",
        "1/3/2026 11:00",
        "3/1/2026 11:00",
        "03-01-2026 11:00",
        "20260301110000",
        "Sun Mar  1 11:00:00 2026",
        "2026-03-01 11:00:00 am",
    ],
)
def test_a_time_without_a_zone_is_the_charging_points(text):
    assert read_time(text, NEAR) == ELEVEN
    assert read_time(text, NEAR, ZoneInfo("Europe/Berlin")) == TEN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T24:00:00Z", datetime(2026, 3, 2, tzinfo=UTC)),
        ("2026-03-01T23:59:60Z", datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)),
        ("2026-03-01T3:11:55Z", datetime(2026, 3, 1, 3, 11, 55, tzinfo=UTC)),
        ("2026-03-01 03:11:55 PM", datetime(2026, 3, 1, 15, 11, 55, tzinfo=UTC)),
        ("2026-03-01 12:00:00 AM", datetime(2026, 3, 1, tzinfo=UTC)),
        ("20260301", datetime(2026, 3, 1, tzinfo=UTC)),
        ("13/01/2026", datetime(2026, 1, 13, tzinfo=UTC)),
        ("1970-01-01T00:00:00.740Z", datetime(1970, 1, 1, 0, 0, 0, 740000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_edges_of_the_clock(text, expected):
    assert read_time(text, NEAR) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "now",
        "0000-00-00T00:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01 13:00:00 PM",
        "2026-03-01T10:00:00+99:00",
        "9999-12-31T23:59:59-10:00",
        "2026-03-01T10:00:00Z" * 10,
        "9" * 30,
        1e300,
        float("nan"),
        10**400,
        True,
        None,
        {},
        [],
    ],
)
def test_what_is_no_time_is_none(value):
    assert read_time(value, NEAR) is None


@given(st.text(max_size=70) | st.integers() | st.floats() | st.none() | st.booleans())
def test_anything_is_a_utc_time_or_none(value):
    time = read_time(value, NEAR)
    assert time is None or time.tzinfo is UTC


@given(st.integers(0, 4_000_000_000))
def test_what_is_written_is_read(seconds):
    time = datetime.fromtimestamp(seconds, UTC)
    assert read_time(write_time(time), NEAR) == time
