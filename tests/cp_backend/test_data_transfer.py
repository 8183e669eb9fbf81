"""Vendors' own messages: taken from registered vendors, and kept whole."""

import pytest

from operations import vendors
from operations.command_line.asker import BY
from operations.errors import ExistsError, InvalidError, NotFoundError
from tests.station import Station


@pytest.fixture
def station(node):
    with Station(node.port) as station:
        station.boot()
        yield station


def sent(station, vendor, message=None, data=None):
    members = {"vendorId": vendor, "messageId": message, "data": data}
    return station.call("DataTransfer", {k: v for k, v in members.items() if v is not None})


def test_a_registered_vendors_messages_are_kept(station, database):
    vendors.add(database, "com.acme", by=BY)
    vendors.add(database, "com.other", "ping", by=BY)
    assert sent(station, "com.acme", "door", '{"open": true}') == {"status": "Accepted"}
    assert sent(station, "com.acme") == {"status": "Accepted"}
    assert sent(station, "com.other", "ping") == {"status": "Accepted"}
    assert sent(station, "com.other", "pong") == {"status": "UnknownMessageId"}
    assert sent(station, "com.other") == {"status": "UnknownMessageId"}
    assert sent(station, "com.none", "ping") == {"status": "UnknownVendorId"}
    kept = database.execute(
        "SELECT status, detail->>'vendor', detail->>'data' FROM notices WHERE kind = 'data'"
        " ORDER BY notice_id"
    ).fetchall()
    assert kept == [
        ("door", "com.acme", '{"open": true}'),
        ("", "com.acme", None),
        ("ping", "com.other", None),
    ]


def test_vendors_are_added_and_removed(database):
    vendors.add(database, "com.acme", by=BY)
    with pytest.raises(ExistsError, match="any message"):
        vendors.add(database, "com.acme", by=BY)
    with pytest.raises(InvalidError, match="empty"):
        vendors.add(database, "", by=BY)
    with pytest.raises(InvalidError, match="message: at most 50"):
        vendors.add(database, "com.acme", "x" * 51, by=BY)
    vendors.remove(database, "com.acme", by=BY)
    with pytest.raises(NotFoundError):
        vendors.remove(database, "com.acme", by=BY)
    assert vendors.list_all(database) == []
