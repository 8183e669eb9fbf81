"""Vendors whose own messages (data transfers) are taken; `explain` shows what they sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import Connection
from operations.errors import ExistsError, InvalidError, NotFoundError

_MAX_VENDOR = 255
_MAX_MESSAGE = 50


@dataclass(frozen=True, slots=True)
class Vendor:
    """A registered vendor. message: the only kind that is taken; empty: any."""

    vendor: str
    message: str
    note: str
    created_at: datetime


def add(
    connection: Connection, vendor: str, message: str = "", *, note: str = "", by: Asker
) -> None:
    """Take a vendor's messages, spelled just so. Raises InvalidError, ExistsError."""
    for name, text, most in (("vendor", vendor, _MAX_VENDOR), ("message", message, _MAX_MESSAGE)):
        if len(text) > most or not text.isprintable():
            raise InvalidError(f"{name}: at most {most} printable characters")
    if not vendor:
        raise InvalidError("vendor: is empty")
    with connection.transaction():
        added = connection.execute(
            "INSERT INTO data_vendors (vendor_id, message_id, note) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [vendor, message, note],
        )
        if not added.rowcount:
            raise ExistsError(f"{vendor} {message or '(any message)'} is registered already")
        audit.write(connection, by, "add_vendor", f"vendor {vendor}", {"message": message})


def remove(connection: Connection, vendor: str, message: str = "", *, by: Asker) -> None:
    """Take a vendor's messages no longer. Raises NotFoundError."""
    with connection.transaction():
        removed = connection.execute(
            "DELETE FROM data_vendors WHERE vendor_id = %s AND message_id = %s", [vendor, message]
        )
        if not removed.rowcount:
            raise NotFoundError(f"{vendor} {message or '(any message)'} is not registered")
        audit.write(connection, by, "remove_vendor", f"vendor {vendor}", {"message": message})


def list_all(connection: Connection) -> list[Vendor]:
    """Return the registered vendors, by name."""
    rows = connection.execute(
        "SELECT vendor_id, message_id, note, created_at FROM data_vendors"
        " ORDER BY vendor_id, message_id"
    )
    return [Vendor(*row) for row in rows]
