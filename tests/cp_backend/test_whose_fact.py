"""Whatever a charging point says counts for itself alone, whomever's things it names."""

import uuid

import pytest

from cp_backend import vocabulary as said
from cp_backend.handlers import HANDLERS
from tests.rows import (
    add_charging_point,
    add_event,
    add_evse,
    add_hub_session,
    add_reading,
    add_session,
    add_token,
    insert,
)
from tests.station import Station, ago, iso

HUB_TOKEN = "HUB0123456789ABCDEF"
HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a",
    "issuerKeyHash": "b",
    "serialNumber": "1",
    "responderURL": "http://127.0.0.1:1/",
}
# Tables of what happened, in which a row about another tells what the forger did.
NOT_HELD = {"messages", "refused_tokens", "handshakes"}


def meter(register):
    signed = {"value": "FORGED", "format": "SignedData", "context": "Transaction.End"}
    return [{"timestamp": iso(ago()), "sampledValue": [{"value": register}, signed]}]


def meter2(register):
    value = {
        "value": register,
        "signedMeterValue": {
            "signedMeterData": "Rk9SR0VE", "signingMethod": "", "encodingMethod": "",
            "publicKey": "",
        },
    }  # fmt: skip
    return [{"timestamp": iso(ago()), "sampledValue": [value]}]


def notices(own):
    """Reports in CP1's name: (version, action, payload)."""
    return [
        ("1.6", "FirmwareStatusNotification", {"status": "Installed"}),
        (
            "1.6",
            "SignedFirmwareStatusNotification",
            {"status": "Installed", "requestId": own.command},
        ),
        ("1.6", "LogStatusNotification", {"status": "Uploaded", "requestId": own.log}),
        ("1.6", "SecurityEventNotification", {"type": "CP1", "timestamp": iso(ago())}),
        ("2.0.1", "FirmwareStatusNotification", {"status": "Installed", "requestId": own.command}),
        ("2.0.1", "LogStatusNotification", {"status": "Uploaded", "requestId": own.log}),
        (
            "2.0.1",
            "ReservationStatusUpdate",
            {"reservationId": own.reservation, "reservationUpdateStatus": "Removed"},
        ),
        (
            "2.0.1",
            "NotifyReport",
            {
                "requestId": own.settings, "generatedAt": iso(ago()), "seqNo": 0,
                "reportData": [
                    {
                        "component": {"name": "OCPPCommCtrlr"},
                        "variable": {"name": "HeartbeatInterval"},
                        "variableAttribute": [{"value": "1"}],
                    }
                ],
            },
        ),
    ]  # fmt: skip


def questions():
    """Questions about certificates: type → (version, action, payload)."""
    return {
        said.CertificateRequested: [("1.6", "SignCertificate", {"csr": "CN=CP1"})],
        said.CertificateStatusAsked: [("2.0.1", "GetCertificateStatus", {"ocspRequestData": HASH})],
        said.ChainStatusAsked: [("2.1", "GetCertificateChainStatus", {"certificateStatusRequests": [
            {"certificateHashData": {k: v for k, v in HASH.items() if k != "responderURL"},
             "source": "OCSP", "urls": ["http://127.0.0.1:1/"]}]})],
        said.ContractCertificateAsked: [("2.0.1", "Get15118EVCertificate", {
            "iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "eA=="})],
        said.ContractPresented: [("2.0.1", "Authorize", {
            "idToken": {"idToken": HUB_TOKEN, "type": "eMAID"},
            "iso15118CertificateHashData": [HASH]})],
    }  # fmt: skip


def attempts(own):
    """Each type of message → what CP2 says of CP1's things: (version, action, payload).

    own: CP1's session, station session, command and reservation.
    """
    stop = {"transactionId": own.session, "meterStop": 999_999, "timestamp": iso(ago())}
    event = {
        "timestamp": iso(ago()),
        "triggerReason": "Trigger",
        "transactionInfo": {"transactionId": "station-1"},
        "meterValue": meter2(999_999),
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": HUB_TOKEN, "type": "Central"},
    }
    start = {"connectorId": 1, "idTag": HUB_TOKEN, "meterStart": 0, "timestamp": iso(ago())}
    return {
        said.Booted: [("1.6", "BootNotification", {
            "chargePointVendor": "X", "chargePointModel": "Y", "chargePointSerialNumber": "CP1"})],
        **questions(),
        said.DataRefused: [("1.6", "DataTransfer", {
            "vendorId": "org.openchargealliance.iso15118pnc", "messageId": "CP1"})],
        said.DataTransferred: [("1.6", "DataTransfer", {"vendorId": "V", "data": "CP1"})],
        said.EventsReported: [("2.0.1", "NotifyEvent", {"generatedAt": iso(ago()), "seqNo": 0,
            "eventData": [{"eventId": 1, "timestamp": iso(ago()), "trigger": "Delta",
                "actualValue": "Faulted", "eventNotificationType": "HardWiredNotification",
                "transactionId": "station-1",
                "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
                "variable": {"name": "AvailabilityState"}}]})],
        said.HeartbeatReceived: [("1.6", "Heartbeat", {})],
        said.MeterRead: [
            ("1.6", "MeterValues", {"connectorId": 1, "transactionId": own.session,
                                    "meterValue": meter("999999")}),
            ("2.0.1", "MeterValues", {"evseId": 1, "meterValue": meter2(999_999)}),
        ],
        said.Notice: notices(own),
        said.SessionEnded: [
            ("1.6", "StopTransaction", stop),
            ("1.6", "StopTransaction", {**stop, "idTag": HUB_TOKEN, "transactionData": meter("9")}),
        ],
        said.SessionReported: [
            ("2.0.1", "TransactionEvent", {**event, "eventType": kind, "seqNo": number})
            for number, kind in enumerate(("Updated", "Ended", "Started"), 5)
        ] + [("2.0.1", "TransactionEvent", {**event, "eventType": "Started", "seqNo": 0,
              "reservationId": own.reservation,
              "transactionInfo": {"transactionId": "x", "remoteStartId": own.start}})],
        said.SessionStarted: [
            ("1.6", "StartTransaction", {**start, "reservationId": own.reservation}),
            ("1.6", "StartTransaction", {**start, "idTag": "TAG"}),
        ],
        said.StatusReported: [
            ("1.6", "StatusNotification", {"connectorId": 1, "errorCode": "NoError",
                                           "status": "Faulted", "vendorId": "CP1"}),
            ("2.0.1", "StatusNotification", {"timestamp": iso(ago()), "connectorStatus": "Faulted",
                                             "evseId": 1, "connectorId": 1}),
        ],
        said.TokenPresented: [("1.6", "Authorize", {"idTag": HUB_TOKEN})],
    }  # fmt: skip


class Own:
    """What CP1 has, of each kind of thing that a message can name."""

    def __init__(self, database):
        add_charging_point(database)
        add_charging_point(database, "CP2")
        for name in ("CP1", "CP2"):
            add_evse(database, charging_point=name)
        add_token(database, "TAG")
        self.session = add_session(database, state="charging", id_tag=HUB_TOKEN)
        add_session(database, state="charging", station_session="station-1", evse_number=2)
        add_reading(database, self.session, 1_100)
        add_hub_session(database, str(uuid.uuid4()), id_tag=HUB_TOKEN, session_id=self.session)
        add_hub_session(database, str(uuid.uuid4()), id_tag=HUB_TOKEN)
        add_event(database, "session_started", session_id=self.session)
        self.reservation = insert(
            database, "reservations", hub_session_id="r", provider_id="P", charging_point_id="CP1",
            evse_number=1, identification={}, id_tag=HUB_TOKEN, cpo_partner_session_id="o",
            expires_at=ago(hours=-1), state="reserved",
        )["reservation_id"]  # fmt: skip
        self.command = self._command(database, "update_firmware", {"url": "http://127.0.0.1:1/"})
        self.log = self._command(database, "upload_log", {"log": "diagnostics"})
        self.settings = self._command(database, "read_settings", {})
        self.start = self._command(database, "remote_start", {"id_tag": HUB_TOKEN})

    def _command(self, database, kind, arguments):
        return insert(
            database, "commands", charging_point_id="CP1", kind=kind, arguments=arguments,
            requested_by="tests", deadline=ago(hours=-1), state="answered", outcome="accepted",
        )["command_id"]  # fmt: skip


# How a row is about a charging point, by the column that says so.
ABOUT = {
    "charging_point_id": "charging_point_id = %(name)s",
    "session_id": "session_id IN"
    " (SELECT session_id FROM sessions WHERE charging_point_id = %(name)s)",
    "command_id": "command_id IN"
    " (SELECT command_id FROM commands WHERE charging_point_id = %(name)s)",
    "payload": "payload ->> 'session_id' IN"
    " (SELECT session_id::text FROM sessions WHERE charging_point_id = %(name)s)",
}  # fmt: skip


def everything_of(database, name):
    """Every row about a charging point, in whatever table and in whose name: table → rows."""
    columns = database.execute(
        "SELECT c.table_name, array_agg(c.column_name::text) FROM information_schema.columns AS c"
        " JOIN pg_class AS p ON p.relname = c.table_name AND NOT p.relispartition"
        " WHERE c.table_schema = 'public' AND c.column_name = ANY(%s) AND c.table_name <> ALL(%s)"
        " GROUP BY 1 ORDER BY 1",
        [list(ABOUT), list(NOT_HELD)],
    ).fetchall()
    return {
        table: database.execute(
            f"SELECT to_jsonb(t)::text FROM {table} AS t"
            f" WHERE {' OR '.join(ABOUT[each] for each in found)} ORDER BY 1",
            {"name": name},
        ).fetchall()
        for table, found in columns
    }


def test_no_message_changes_anything_of_another_charging_point(run_node, database):
    node = run_node(roaming_timeout="0")
    own = Own(database)
    before = everything_of(database, "CP1")
    assert {len(before[table]) for table in ("commands", "hub_sessions", "sessions")} == {2, 4}
    said_by_cp2 = attempts(own)
    assert set(said_by_cp2) == set(HANDLERS)
    for version in ("1.6", "2.0.1", "2.1"):
        with Station(node.port, "CP2", subprotocols=[f"ocpp{version}"]) as forger:
            for message, tries in said_by_cp2.items():
                for _, action, payload in (each for each in tries if each[0] == version):
                    answer = forger.call(action, payload)
                    # Each is read as what it is: a refusal would try nothing.
                    assert not isinstance(answer, list), (message.__name__, action, answer)
                    assert everything_of(database, "CP1") == before, (message.__name__, action)
    # What CP2 said did come in.
    assert everything_of(database, "CP2")["unassigned_facts"]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_token_that_was_made_for_one_charging_point_is_nothing_at_another(
    run_node, database, version
):
    node = run_node(roaming_timeout="0")
    Own(database)
    shown = {"idTag": HUB_TOKEN} if version == "1.6" else {
        "idToken": {"idToken": HUB_TOKEN, "type": "Central"}
    }  # fmt: skip
    found = []
    for name in ("CP1", "CP2"):
        with Station(node.port, name, subprotocols=[f"ocpp{version}"]) as station:
            answer = station.call("Authorize", shown)
            found.append((answer.get("idTagInfo") or answer["idTokenInfo"])["status"])
    assert found[0] == "Accepted"
    assert found[1] in ("Invalid", "Unknown")
