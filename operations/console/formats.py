"""How values look on a page: numbers with units, times in the viewer's zone, text kept harmless."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from operations.console.access import person
from operations.plain_text import plain


def add_to(app: Flask) -> None:
    """Give an application's templates these formats; all text passes `plain`."""
    app.jinja_env.filters |= {
        "ago": ago,
        "energy": energy,
        "moment": moment,
        "power": power,
        "span": length,
        "words": words,
    }
    app.jinja_env.finalize = finalize


def finalize(value: Any) -> Any:
    """Keep control characters, and those that turn text around, off a page; nothing for None."""
    if value is None:
        return ""
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def energy(wh: int | None) -> str:
    """Return an energy in kWh, of a small one in Wh."""
    if wh is None:
        return "–"
    return f"{wh:,} Wh" if abs(wh) < 1000 else f"{wh / 1000:,.2f} kWh"


def power(watts: int | None) -> str:
    """Return a power in kW, of a small one in W."""
    if watts is None:
        return "–"
    if abs(watts) < 1000:
        return f"{watts:,} W"
    return f"{watts / 1000:,.1f} kW" if abs(watts) < 1_000_000 else f"{watts / 1e6:,.2f} MW"


def words(name: str | None) -> str:
    """Return one of our own words for people: ``suspended_by_vehicle`` without underscores."""
    return (name or "").replace("_", " ")


def moment(time: datetime | None) -> Markup:
    """Return a time in the viewer's zone, with its offset."""
    if time is None:
        return Markup("–")
    local = time.astimezone(person().zone)
    shown = f"{local:%Y-%m-%d %H:%M:%S} {_offset(local)}"
    return Markup('<time datetime="{}">{}</time>').format(
        time.astimezone(UTC).isoformat(timespec="milliseconds"), shown
    )


def ago(time: datetime | None) -> Markup:
    """Return how long ago a time is, with the time itself for those who point at it."""
    if time is None:
        return Markup("–")
    local = time.astimezone(person().zone)
    title = f"{local:%Y-%m-%d %H:%M:%S} {_offset(local)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        time.astimezone(UTC).isoformat(timespec="milliseconds"), title, _span(time)
    )


def midnight() -> datetime:
    """Return the viewer's last midnight."""
    local = datetime.now(person().zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _span(time: datetime) -> str:
    span = datetime.now(UTC) - time
    if span < timedelta(0):
        return f"in {length(-span)}"
    return f"{length(span)} ago"


def length(span: timedelta) -> str:
    """Return a length of time for people: ``3 h``."""
    seconds = int(span.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _offset(local: datetime) -> str:
    text = f"{local:%z}"
    return f"{text[:3]}:{text[3:]}"


def label(text: str) -> Markup:
    """Return a text as the beginning of a label: first letter large, no underscores."""
    plainly = words(text)
    return escape(plainly[:1].upper() + plainly[1:])
