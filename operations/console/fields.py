"""What stands in the fields of a form: texts, whole numbers and times in the viewer's zone."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import request

from operations.console.access import person
from operations.errors import InvalidError


def text(name: str) -> str:
    """Return a field's text, without blanks around it."""
    return request.form.get(name, "").strip()


def number(name: str) -> int | None:
    """Return a whole number; None where the field is empty. Raises InvalidError."""
    typed = text(name).replace(",", "")
    if not typed:
        return None
    if not (typed.isascii() and typed.isdigit() and len(typed) < 18):
        raise InvalidError(f"{name.replace('_', ' ')}: {typed!r} is no whole number")
    return int(typed)


def time(name: str) -> datetime | None:
    """Return a time, aware UTC; None where the field is empty. Raises InvalidError."""
    typed = text(name)
    if not typed:
        return None
    try:
        found = datetime.fromisoformat(typed)
    except ValueError:
        example = "2026-12-31T12:00"
        raise InvalidError(
            f"{name.replace('_', ' ')}: {typed!r} is no time such as {example}"
        ) from None
    return aware(found)


def aware(found: datetime) -> datetime:
    """Return a time in UTC; one without an offset is the viewer's. Raises InvalidError."""
    try:
        return (found if found.tzinfo else found.replace(tzinfo=person().zone)).astimezone(UTC)
    except OverflowError:
        raise InvalidError(f"{found} is too far away") from None
