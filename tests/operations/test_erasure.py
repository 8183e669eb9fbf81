"""A card is erased: nothing of it is left in any table, and the books are what they were."""

from __future__ import annotations

import io
import re
import sys
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from charging.database import erasure
from charging.database.audit import Asker
from charging.database.connection import connect
from charging.database.grant import grant
from operations import bills, energy_audits, tariffs, tokens
from operations.__main__ import main
from operations.erasure import erase_token
from operations.errors import ConflictError, NotFoundError
from tests.rows import (
    add_charging_point,
    add_evse,
    add_hub_session,
    add_session,
    insert,
)
from tests.station import Station, ago, iso

BY = Asker("Ada", "tests")
CARD = "04A1B2C3"
SPELLINGS = ("04A1B2C3", "04a1b2c3", "04:A1:B2:C3", "04-a1-b2-c3")
TARIFF = (
    "tariff,valid_from,currency,tax_percent,session_fee,hours,price_per_kwh\n"
    "default,2020-01-01,EUR,19,0,,0.40\n"
)
# Columns of text or JSON that never hold a card. Whoever adds a column decides where it belongs.
NO_CARD = {
    "absences",
    "api_keys",
    "archives",
    "bill_months",
    "charging_points",
    "command_progress",
    "connections",
    "connectors",
    "data_vendors",
    "deviations",
    "energy_audits",
    "evse_details",
    "evses",
    "file_links",
    "files",
    "hash_keys",
    "hub_queues",
    "local_lists",
    "messages",
    "meter_values",
    "nodes",
    "other_passwords",
    "people",
    "person_sessions",
    "price_products",
    "refused_handshakes",
    "refused_tokens",
    "sample_forms",
    "setting_templates",
    "sign_in_failures",
    "state_history",
    "tariffs",
    "variables",
}


def everything(database):
    """Each row of each table as text, by table."""
    names = [
        row[0]
        for row in database.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            " UNION SELECT relid::regclass::text FROM pg_partition_tree('messages')"
        )
    ]
    for name in names:
        query = sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(name))
        for (row,) in database.execute(query).fetchall():
            yield name, row


def tables_with(database, card):
    said = re.compile("[-: ]?".join(re.findall("..", card)), re.IGNORECASE)
    return {name for name, row in everything(database) if said.search(row)}


def test_every_table_is_searched_or_known_to_have_no_card(database):
    found = {
        row[0]
        for row in database.execute(
            "SELECT DISTINCT c.table_name FROM information_schema.columns AS c"
            " JOIN pg_class AS p ON p.oid = to_regclass(c.table_name) AND NOT p.relispartition"
            " WHERE c.table_schema = 'public' AND c.data_type IN ('text', 'jsonb', 'ARRAY')"
            " AND c.table_name <> 'alembic_version'"
        )
    }
    places = {place.table for place in erasure.PLACES}
    assert found == places | NO_CARD
    assert not places & NO_CARD


@pytest.fixture
def used(node, database):
    """A card that has charged, was refused, was asked about and is on a bill."""
    tariffs.import_table(database, TARIFF, by=BY)
    with Station(node.port) as station:
        station.boot()
        tokens.add(database, CARD, by=BY, note="Erika Mustermann")
        for place, spelling in enumerate(SPELLINGS[:3]):
            assert station.call("Authorize", {"idTag": spelling})["idTagInfo"]["status"]
            began = ago(hours=6 - 2 * place)
            started = station.start(spelling, 1000 + 1500 * place, began)
            ended = iso(began + timedelta(hours=1))
            station.stop(
                started["transactionId"], 2500 + 1500 * place, idTag=spelling, timestamp=ended
            )
        unknown = {"transactionId": 4711, "idTag": SPELLINGS[3], "meterStop": 5,
                   "timestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
        station.call("StopTransaction", unknown)
    add_evse(database, 2, "DE*VNI*E1*2")
    session = add_session(database, id_tag=CARD, evse_number=2)
    rfid = {"RFIDMifareFamilyIdentification": {"UID": SPELLINGS[1]}}
    add_hub_session(database, "hub-1", id_tag=CARD, session_id=session, identification=rfid,
                    stop_id_tags=f"{{{CARD}}}")  # fmt: skip
    insert(database, "deliveries", queue="charge-detail-record", key="hub-1",
           hub_session_id="hub-1", state="delivered", settled_at=datetime.now(UTC),
           payload={"Identification": rfid}, delivered={"Identification": rfid})  # fmt: skip
    insert(database, "refused_tokens", id_tag=CARD, charging_point_id="CP1", decision="unknown",
           rule="not_registered", count=1)  # fmt: skip
    insert(database, "commands", charging_point_id="CP1", kind="start", requested_by="Ada",
           arguments={"token": SPELLINGS[1]}, deadline=datetime.now(UTC))  # fmt: skip
    return database


def books(database):
    """What is billed and what is audited."""
    made = energy_audits.make(
        database, datetime.now(UTC).date() - timedelta(days=1), until=date(2100, 1, 1)
    )
    bills.book(database)
    entries = database.execute(
        "SELECT session_id, energy_wh, net, tax FROM bill_entries ORDER BY entry_id"
    ).fetchall()
    sessions = database.execute(
        "SELECT session_id, state, energy_wh, started_at, ended_at FROM sessions ORDER BY 1"
    ).fetchall()
    return made.audit, entries, sessions


def test_nothing_of_an_erased_card_is_left_and_the_books_stay(used):
    before = books(used)
    assert before[1]
    assert {"sessions", "tokens", "bill_entries", "deliveries", "unassigned_facts", "commands"} <= (
        tables_with(used, CARD)
    )
    erased = erase_token(used, "04:a1:b2:c3", by=BY)
    assert erased.stand_in.startswith("ERASED")
    assert tables_with(used, CARD) == set()
    assert not [name for name, row in everything(used) if "Mustermann" in row]
    assert books(used) == before
    kept = used.execute("SELECT DISTINCT id_tag FROM sessions").fetchall()
    assert kept == [(erased.stand_in,)]
    # Nobody can charge with what took its place, nor with the card.
    row = used.execute("SELECT id_tag, blocked, note FROM tokens").fetchone()
    assert row == (erased.stand_in, True, "")
    with pytest.raises(NotFoundError, match="stands nowhere"):
        erase_token(used, CARD, by=BY)
    # Its sessions are still told together, should the same card come once more and be erased.
    tokens.add(used, CARD, by=BY)
    used.execute("DELETE FROM tokens WHERE blocked")
    assert erase_token(used, CARD, by=BY).stand_in == erased.stand_in


def test_a_card_is_not_erased_while_something_goes_on(database, capsys, monkeypatch, database_url):
    monkeypatch.setenv("DATABASE_URL", database_url)
    add_charging_point(database)
    tokens.add(database, CARD, by=BY)
    session = add_session(database, id_tag=CARD, state="charging")
    assert main(["tokens", "erase", CARD, "--yes"]) == 1
    assert f"it charges in session {session}" in capsys.readouterr().err
    database.execute("UPDATE sessions SET state = 'ended', ended_at = now(), meter_stop_wh = 2000")
    add_hub_session(database, "hub-1", id_tag=CARD, session_id=session)
    insert(database, "deliveries", queue="charge-detail-record", key="hub-1",
           hub_session_id="hub-1", state="parked", payload={})  # fmt: skip
    with pytest.raises(ConflictError, match="the hub has not taken its record"):
        erase_token(database, CARD, by=BY)
    database.execute("UPDATE deliveries SET state = 'delivered'")
    insert(database, "local_lists", charging_point_id="CP1", version=3,
           entries=[{"id_tag": CARD}])  # fmt: skip
    with pytest.raises(ConflictError, match=r"local lists \(CP1\)"):
        erase_token(database, CARD, by=BY)
    assert tables_with(database, CARD) >= {"tokens", "sessions", "hub_sessions", "local_lists"}
    monkeypatch.setitem(sys.__dict__, "stdin", io.StringIO("n\n"))
    assert main(["tokens", "erase", CARD, "--forget-local-lists"]) == 1
    assert "nothing was erased" in capsys.readouterr().err
    assert main(["tokens", "erase", CARD, "--forget-local-lists", "--yes"]) == 0
    assert "has taken its place in rows: 1 of tokens, 1 of sessions" in capsys.readouterr().out
    assert tables_with(database, CARD) == set()


def test_the_user_of_the_services_may_erase(database, database_url):
    """Each statement is a user's who owns no table."""
    grant(database_url, "eraser", "secret")
    tokens.add(database, "SOMEBODY'S \"CARD\\", by=BY)
    url = psycopg.conninfo.make_conninfo(database_url, user="eraser", password="secret")
    with connect(url, "erase") as connection:
        assert erase_token(connection, "somebody's \"card\\", by=BY).rows == {"tokens": 1}
