"""Times as charging points write them: one table of notations.

The standard wants RFC 3339 (OCPP 1.6 section 3.12: ISO 8601 with "Z"). Without I/O: what the time
is, and in which zone a charging point stands, come from the caller.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from cp_backend.ocpp.errors import CallRefusedError, ErrorCode

_MAX_LENGTH = 80
UNKNOWN_TIME = "1970-01-01T00:00:00.000Z"
"""Stands for a time that did not come or cannot be read: as of a clock without a battery, the time
of receipt takes its place, with a doubt, and what is repeated is known again."""
_FIRST_YEAR = 1000  # no database and no program of ours has to hold one before

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_CLOCK = (
    r"(?:[T,\s_]+(?P<hour>\d{1,2})[:.](?P<minute>\d{1,2})"
    r"(?:[:.](?P<second>\d{1,2})(?:[.,:](?P<fraction>\d{0,12}))?)?\s*(?P<half>[ap]\.?m\.?)?)?"
)
# Hours from UTC, of the names that mean one zone alone.
_NAMED_ZONES = {
    "wet": 0,
    "west": 1,
    "cet": 1,
    "cest": 2,
    "eet": 2,
    "eest": 3,
    "msk": 3,
    "jst": 9,
    "est": -5,
    "edt": -4,
    "pst": -8,
    "pdt": -7,
}
_ZONE = (
    r"\s*(?P<zone>z|utc|gmt|(?:z|utc|gmt)?\s*[+-]\d{1,2}(?::?\d{2})?(?::?\d{2})?"
    rf"|{'|'.join(_NAMED_ZONES)})?\s*z?(?:\s*\([^)]*\))?"
)
_NAMED_MONTH = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"


def _notation(date: str) -> re.Pattern[str]:
    return re.compile(date + _CLOCK + _ZONE, re.ASCII | re.IGNORECASE)


_YEAR_FIRST = _notation(
    r"(?P<year>\d{4})(?P<dash>[-/.:])(?P<month>\d{1,2})(?P=dash)(?P<day>\d{1,2})"
)
_YEAR_LAST = _notation(r"(?P<day>\d{1,2})(?P<dash>[-/.])(?P<month>\d{1,2})(?P=dash)(?P<year>\d{4})")
_DAY_MONTH = _notation(
    rf"(?:[a-z]{{3,9}},?\s+)?(?P<day>\d{{1,2}})[-\s]+{_NAMED_MONTH}[-\s]+(?P<year>\d{{4}}|\d\d)"
)
_MONTH_DAY = _notation(
    rf"(?:[a-z]{{3,9}},?\s+)?{_NAMED_MONTH}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})"
)
_YEAR_NAMED = _notation(rf"(?P<year>\d{{4}})[-/\s]{_NAMED_MONTH}[-/\s](?P<day>\d{{1,2}})")
_SHORT_YEAR = _notation(r"(?P<first>\d\d)(?P<dash>[-/.])(?P<second_>\d\d)(?P=dash)(?P<last>\d\d)")
_C_TIME = re.compile(
    rf"(?:[a-z]{{3,9}},?\s+)?{_NAMED_MONTH}\s+(?P<day>\d{{1,2}}){_CLOCK}{_ZONE},?\s+(?P<year>\d{{4}})",
    re.ASCII | re.IGNORECASE,
)
_COMPACT = re.compile(
    r"(?P<year>(?:19|20)\d{2})(?P<month>\d{2})(?P<day>\d{2})(?:[T\s]?(?P<hour>\d{2})"
    r":?(?P<minute>\d{2})(?::?(?P<second>\d{2}))?(?:[.,](?P<fraction>\d{1,12}))?)?" + _ZONE,
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_DATE_CALL = re.compile(r"/?Date\((-?\d{1,19})(?:[+-]\d{4})?\)/?", re.ASCII)
# A date and a clock that hyphens part, which else would be taken for an offset.
_HYPHENS = re.compile(
    r"(\d{4}-\d{1,2}-\d{1,2})[-_T\s](\d{1,2})([:-])(\d{1,2})\3(\d{1,2}.*)", re.ASCII | re.DOTALL
)
_ZONE_NAME = re.compile(r"\[[A-Za-z_/+-]{1,40}\]$")  # as Java writes it, behind an offset or Z
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?", re.ASCII)

# Beyond these, from 1973 on, an epoch is told in milliseconds, microseconds, nanoseconds.
_EPOCH_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def write_time(time: datetime) -> str:
    """Write an aware UTC time as OCPP does: ISO 8601, milliseconds, Z."""
    return f"{time.isoformat(timespec='milliseconds')[:23]}Z"


@cache
def zone_of(name: str) -> tzinfo:
    """Return a zone of the IANA database by its name; UTC for an unknown one."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError):
        return UTC


def read_time(value: object, near: datetime, zone: tzinfo = UTC) -> datetime | None:
    """Read a time in whatever notation; None for what is none.

    value: text, or seconds, milliseconds, microseconds or nanoseconds since 1970.
    near: aware; of two readings of 01/02/2026 the one that is nearer to it is taken.
    zone: the charging point's, for a time that has none. Returns an aware UTC time.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _epoch(float(value)) if abs(value) < 1e20 else None
    if not isinstance(value, str) or len(value) > _MAX_LENGTH:
        return None
    text = _ZONE_NAME.sub("", value.strip().strip("\"'").strip())
    if not text.isascii():  # a minus or digits of another width
        text = unicodedata.normalize("NFKC", text).replace("\u2212", "-")
    text = _DATE_CALL.sub(r"\1", _HYPHENS.sub(r"\1T\2:\4:\5", text))
    try:
        plain = text[4:5] == "-" and text[10:11] in ("T", "t", " ") and text.isascii()
        time = datetime.fromisoformat(text) if plain else None
    except ValueError:
        time = None
    if time is not None:
        return _to_utc(time, zone)
    for pattern, build in _NOTATIONS:
        if match := pattern.fullmatch(text):
            return build(match, near, zone)
    return None


def read_payload_time(text: str) -> datetime:
    """Read a time of a payload that has passed its schema, as aware UTC.

    Raises CallRefusedError (PropertyConstraintViolation).
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        try:
            time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except OverflowError:  # at the end of the calendar
            time = time.replace(tzinfo=UTC)
        return time if time.year >= _FIRST_YEAR else datetime.fromisoformat(UNKNOWN_TIME)
    odd = read_time(text, datetime.now(UTC))  # a small z, which the schema allows
    if odd is None:
        raise CallRefusedError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "a timestamp is not ISO 8601"
        )
    return odd


def _to_utc(time: datetime, zone: tzinfo) -> datetime | None:
    try:
        if time.tzinfo is None:
            time = time.replace(tzinfo=zone)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _epoch(number: float) -> datetime | None:
    for limit, unit in _EPOCH_UNITS:
        if abs(number) >= limit:
            number /= unit
            break
    if not math.isfinite(number):
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    except OverflowError:
        return None


def _offset(text: str | None, zone: tzinfo) -> tzinfo | None:
    if not text:
        return zone
    if (hours := _NAMED_ZONES.get(text.strip().lower())) is not None:
        return timezone(timedelta(hours=hours))
    match = _OFFSET.search(text)
    if match is None:
        return UTC
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    if minutes >= 24 * 60:
        return None
    return timezone(timedelta(minutes=minutes if match[1] == "+" else -minutes))


def _build(
    parts: dict[str, str | None], zone: tzinfo, month: int | None = None, day: int | None = None
) -> datetime | None:
    """Put a time together; 24:00 is the next day's beginning, a leap second the one before."""
    hour = int(parts.get("hour") or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    midnight = hour == 24
    if (name := parts.get("name")) is not None:
        month = _MONTHS.index(name.lower()) + 1
    offset = _offset(parts.get("zone"), zone)
    year = parts["year"] or "0"
    if offset is None:
        return None
    try:
        time = datetime(
            int(year) + (2000 if len(year) == 2 else 0),
            month or int(parts["month"] or 0),
            day or int(parts["day"] or 0),
            0 if midnight else hour,
            int(parts.get("minute") or 0),
            min(int(parts.get("second") or 0), 59),
            int((parts.get("fraction") or "0")[:6].ljust(6, "0")),
            offset,
        )
        return (time + timedelta(days=midnight)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _read_plain(match: re.Match[str], near: datetime, zone: tzinfo) -> datetime | None:
    return _build(match.groupdict(), zone)


def _read_year_last(match: re.Match[str], near: datetime, zone: tzinfo) -> datetime | None:
    """Read dd.mm.yyyy, and mm/dd/yyyy where that is the only or the nearer reading."""
    parts = match.groupdict()
    first, second = int(match["day"]), int(match["month"])
    day_first = _build(parts, zone)
    if match["dash"] == ".":
        return day_first
    month_first = _build(parts, zone, month=first, day=second) if first <= 12 else None
    readings = [time for time in (day_first, month_first) if time is not None]
    return min(readings, key=lambda time: abs(time - near), default=None)


def _read_short_year(match: re.Match[str], near: datetime, zone: tzinfo) -> datetime | None:
    """Read yy-mm-dd, dd.mm.yy or mm/dd/yy, whichever is nearest."""
    parts = match.groupdict()
    first, middle, last = parts["first"], parts["second_"], parts["last"]
    orders = ((first, middle, last), (last, middle, first), (last, first, middle))
    readings = [
        _build({**parts, "year": year, "month": month, "day": day}, zone)
        for year, month, day in orders
    ]
    return min(
        (time for time in readings if time is not None),
        key=lambda time: abs(time - near),
        default=None,
    )


def _read_number(match: re.Match[str], near: datetime, zone: tzinfo) -> datetime | None:
    return _epoch(float(match[0]))


_NOTATIONS: tuple[
    tuple[re.Pattern[str], Callable[[re.Match[str], datetime, tzinfo], datetime | None]], ...
] = (
    (_YEAR_FIRST, _read_plain),
    (_YEAR_LAST, _read_year_last),
    (_COMPACT, _read_plain),
    (_NUMBER, _read_number),
    (_DAY_MONTH, _read_plain),
    (_C_TIME, _read_plain),
    (_MONTH_DAY, _read_plain),
    (_YEAR_NAMED, _read_plain),
    (_SHORT_YEAR, _read_short_year),
)
