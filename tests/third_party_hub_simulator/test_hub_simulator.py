"""The simulator must be able to contradict: right pushes pass, each wrong one is found."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import trustme

from scripts.programs import Program
from tests.hub import HubAtHand
from tests.waiting import eventually
from third_party_hub_simulator import control, pushes
from third_party_hub_simulator.books import Books
from third_party_hub_simulator.driver import Driver
from third_party_hub_simulator.faults import Faults
from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import Operation
from third_party_hub_simulator.rules import Terms
from third_party_hub_simulator.server import Servers

DATA = "/evsepush/v23/operators/DE*VNI/data-records"
STATUS = "/evsepush/v21/operators/DE*VNI/status-records"
START = "/charging/v21/operators/DE*VNI/authorize/start"
STOP = "/charging/v21/operators/DE*VNI/authorize/stop"
NOTIFY = "/notificationmgmt/v11/charging-notifications"
CDR = "/cdrmgmt/v22/operators/DE*VNI/charge-detail-record"
PRODUCTS = "/dynamicpricing/v10/operators/DE*VNI/pricing-products"
PRICES = "/dynamicpricing/v10/operators/DE*VNI/evse-pricing"
UID = "04A1B2C3"
CARD = {"RFIDMifareFamilyIdentification": {"UID": UID}}
EVSE = "DE*VNI*E1*1"


def record(evse=EVSE, **more):
    return {
        "EvseID": evse,
        "ChargingStationNames": [{"lang": "en", "value": "Harbour"}],
        "Address": {
            "Country": "DEU",
            "City": "Kiel",
            "Street": "Kai",
            "PostalCode": "24103",
            "HouseNum": "1",
        },
        "GeoCoordinates": {"DecimalDegree": {"Longitude": "10.140", "Latitude": "54.323"}},
        "Plugs": ["Type 2 Outlet"],
        "ChargingFacilities": [{"PowerType": "AC_3_PHASE", "Power": 22}],
        "RenewableEnergy": True,
        "CalibrationLawDataAvailability": "Local",
        "AuthenticationModes": ["NFC RFID Classic", "REMOTE"],
        "PaymentOptions": ["Contract"],
        "ValueAddedServices": ["None"],
        "Accessibility": "Free publicly accessible",
        "HotlinePhoneNumber": "+4943112345",
        "IsOpen24Hours": True,
        "IsHubjectCompatible": True,
        "DynamicInfoAvailable": "true",
        **more,
    }


def data(action="fullLoad", *records):
    return {
        "ActionType": action,
        "OperatorEvseData": {
            "OperatorID": "DE*VNI",
            "OperatorName": "VNI",
            "EvseDataRecord": list(records) or [record()],
        },
    }


def statuses(action="fullLoad", **states):
    return {
        "ActionType": action,
        "OperatorEvseStatus": {
            "OperatorID": "DE*VNI",
            "EvseStatusRecord": [
                {"EvseID": name, "EvseStatus": state}
                for name, state in (states or {EVSE: "Available"}).items()
            ],
        },
    }


def authorization(**more):
    return {"OperatorID": "DE*VNI", "EvseID": EVSE, "Identification": CARD, **more}


def ago(**parts):
    return (datetime.now(UTC) - timedelta(**parts)).isoformat(timespec="seconds")


def cdr(session, **more):
    return {
        "SessionID": session,
        "EvseID": EVSE,
        "Identification": CARD,
        "SessionStart": ago(minutes=30),
        "ChargingStart": ago(minutes=29),
        "ChargingEnd": ago(minutes=1),
        "SessionEnd": ago(seconds=2),
        "MeterValueStart": 100.1,
        "MeterValueEnd": 111.401,
        "ConsumedEnergy": 11.301,
        **more,
    }


def notification(session, kind, **more):
    required = {
        "Start": {"ChargingStart": ago(minutes=29)},
        "Progress": {
            "ChargingStart": ago(minutes=29),
            "EventOccurred": ago(minutes=19),
            "ChargingDuration": 600_000,
            "ConsumedEnergyProgress": 1.5,
        },
        "End": {"ChargingStart": ago(minutes=29), "ChargingEnd": ago(minutes=1)},
        "Error": {"ErrorType": "ConnectorError"},
    }[kind]
    return {
        "Type": kind,
        "SessionID": session,
        "EvseID": EVSE,
        "OperatorID": "DE*VNI",
        **required,
        **more,
    }


def code(response):
    return response.json()["StatusCode"]["Code"]


class HubHere(HubAtHand):
    """The same servers in a thread of this process: for the many tests that need no more."""

    def __init__(self, operator_port=1, limits=None, **terms):
        hub = Hub(Books(), Terms(**terms), Faults(seed=1), limits or {})
        driver = Driver(hub, f"http://127.0.0.1:{operator_port}")
        self.servers = Servers(
            ("127.0.0.1", 0, pushes.create_app(hub)),
            ("127.0.0.1", 0, control.create_app(hub, driver)),
        )
        self.port, self.control_port = self.servers.ports
        self.servers.__enter__()
        self.control.post("/tokens", uid=UID)

    def close(self):
        self.servers.__exit__()


def furnish(hub):
    """Let it know an EVSE with its status."""
    assert code(hub.push(DATA, data())) == "000"
    assert code(hub.push(STATUS, statuses())) == "000"
    return hub


@pytest.fixture
def run_hub():
    """Make hubs: ``run_hub(progress_interval=0)``."""
    hubs = []

    def run(**options):
        hubs.append(HubHere(**options))
        return hubs[-1]

    yield run
    for hub in hubs:
        hub.close()


@pytest.fixture
def hub(run_hub):
    """A hub that knows a card, and an EVSE with its status."""
    return furnish(run_hub())


@pytest.fixture
def program(run_hub_simulator):
    """The same as a program of its own."""
    return furnish(run_hub_simulator("--token", UID))


@pytest.fixture
def session(hub):
    """A session that the hub authorized."""
    answer = hub.push(START, authorization(CPOPartnerSessionID="ours"))
    assert answer.json()["AuthorizationStatus"] == "Authorized"
    return answer.json()["SessionID"]


def test_what_is_right_breaks_no_rule(hub, session):
    for kind in ("Start", "Progress", "End"):
        answer = hub.push(NOTIFY, notification(session, kind))
        assert (answer.status_code, code(answer)) == (200, "000")
        assert uuid.UUID(answer.headers["Process-ID"])
    answer = hub.push(CDR, cdr(session))
    assert answer.json() == {
        "Result": True,
        "StatusCode": {"Code": "000", "Description": "Success", "AdditionalInfo": None},
        "SessionID": session,
        "CPOPartnerSessionID": None,
        "EMPPartnerSessionID": None,
    }
    assert code(hub.push(DATA, data("insert", record("DE*VNI*E2*1")))) == "000"
    assert code(hub.push(STATUS, statuses("insert", **{"DE*VNI*E2*1": "Unknown"}))) == "000"
    assert code(hub.push(DATA, data("update", record(Plugs=["CHAdeMO"])))) == "000"
    assert code(hub.push(STATUS, statuses("update", **{EVSE: "Occupied"}))) == "000"
    assert code(hub.push(DATA, data("delete", record("DE*VNI*E2*1")))) == "000"
    assert hub.violations() == []
    held = hub.session(session)
    assert held["energy_wh"] == 11_301
    assert [n["type"] for n in held["notifications"]] == ["Start", "Progress", "End"]
    assert not held["open"]
    assert hub.statuses() == {EVSE: "Occupied"}
    figures = hub.figures()
    assert (figures["cdrs"], figures["energy_wh"], figures["sessions_open"]) == (1, 11_301, 0)


def test_raw_and_escaped_asterisks_name_the_same_operator(hub):
    assert code(hub.push(STATUS.replace("*", "%2A"), statuses())) == "000"
    assert code(hub.push(STATUS.replace("*", ""), statuses())) == "000"


def test_a_second_cdr_gets_404_and_the_books_keep_the_first(hub, session):
    first = cdr(session)
    hub.push(CDR, first)
    again = hub.push(CDR, first)
    assert (again.status_code, code(again)) == (404, "400")
    assert hub.violations() == []  # an answer may have been lost
    other = hub.push(CDR, cdr(session, ConsumedEnergy=11.302, MeterValueEnd=111.402))
    assert (other.status_code, code(other)) == (404, "400")
    assert hub.violations() == [("cdr", "one CDR")]
    assert hub.session(session)["energy_wh"] == 11_301
    assert hub.session(session)["cdr_copies"] == 2


@pytest.mark.parametrize(
    ("change", "rule", "answered"),
    [
        ({"ConsumedEnergy": 11.3}, "energy", "022"),
        ({"ConsumedEnergy": 11.3010001, "MeterValueEnd": None}, "energy", "022"),
        ({"ConsumedEnergy": 1000.5}, "form", None),
        ({"ConsumedEnergy": "11.301"}, "form", None),
        ({"MeterValueEnd": 100.0}, "energy", "022"),
        ({"MeterValueInBetween": {"meterValues": [105, 104]}}, "energy", "022"),
        ({"MeterValueInBetween": [99]}, "energy", "022"),
        # Minutes before the test, which runs long after these lines were read.
        ({"SessionEnd": 2}, "times", "022"),
        ({"SessionEnd": -5}, "times", "022"),
        ({"SessionStart": 3}, "times", "022"),
        ({"ChargingStart": "2026-11-24T10:00:00"}, "form", None),
        ({"EvseID": "DE*VNI*E2*1"}, "session", "022"),
        ({"EvseID": "de*vni*e1*1"}, "form", None),
        ({"SessionID": str(uuid.UUID(int=1))}, "session", "400"),
        ({"CPOPartnerSessionID": "another"}, "session", "022"),
        ({"Identification": {"RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}}},
         "identification", "022"),
        ({"Identification": {**CARD, "RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}}},
         "form", None),
        ({"Identification": {"RFIDMifareFamilyIdentification": {"UID": "04a1b2c3"}}}, "form", None),
        ({"SignedMeteringValues": [{"SignedMeteringValue": "x" * 3001}]}, "form", None),
        ({"SignedMeteringValues": [{"MeteringStatus": "End"}, {"MeteringStatus": "Start"}]},
         "signed values", "022"),
    ],
)  # fmt: skip
def test_a_wrong_cdr_is_found_and_not_kept(hub, session, change, rule, answered):
    changed = {
        name: ago(minutes=value) if isinstance(value, int) else value
        for name, value in change.items()
    }
    answer = hub.push(CDR, cdr(session, **changed))
    if answered is None:
        assert answer.status_code == 400
        assert answer.json().keys() == {"message", "validationErrors"}
        assert answer.json()["validationErrors"][0].keys() == {"fieldReference", "errorMessage"}
    else:
        assert code(answer) == answered
    assert {rule for _, rule in hub.violations()} == {rule}
    assert hub.figures()["cdrs"] == 0


@pytest.mark.parametrize(
    ("path", "body", "rule", "answered"),
    [
        (DATA, data("insert", record(RenewableEnergy=False)), "insert", "018"),
        (DATA, data("update", record("DE*VNI*E9*1")), "update", "603"),
        (DATA, data("delete", record("DE*VNI*E9*1")), "delete", "603"),
        (DATA, data("fullLoad", record(), record("DE*VNIE11")), "duplicates", "018"),
        (DATA, data("insert", record("DE*ABC*E9*1")), "operator", "018"),
        (DATA.replace("VNI", "ABC"), data(), "operator", "017"),
        (DATA, data("upsert"), "form", None),
        (DATA, data("insert", record("DE*VNI*E9", DynamicInfoAvailable=True)), "form", None),
        (DATA, data("insert", record("DE*VNI*E9", IsOpen24Hours=False)), "form", None),
        (DATA, data("insert", record("DE*VNI*E9", deltaType="insert")), "form", None),
        (DATA, data("insert", record("DE*VNI*E9", Plugs=[])), "form", None),
        (DATA, data("insert", record("DE*VNI*E9", HotlinePhoneNumber="0431 1")), "form", None),
        (DATA, b"{", "form", None),
        (DATA, data("insert", record("DE*VNI*E9", PaymentOptions=["No Payment", "Direct"])),
         "record", "022"),
        (DATA, data("insert", record("DE*VNI*E9", GeoCoordinates={
            "DecimalDegree": {"Longitude": "54.323", "Latitude": "110.140"}})), "record", "022"),
        (STATUS, statuses("insert", **{"DE*VNI*E9*1": "Available"}), "data before status", "603"),
        (STATUS, statuses("update", **{EVSE: "EvseNotFound"}), "form", None),
        (STATUS, statuses("update", **{EVSE: "Occupied", "DEVNIE11": "Occupied"}),
         "duplicates", "018"),
        (START, authorization(EvseID="DE*VNI*E9*1"), "data before use", "603"),
        (START, {"OperatorID": "DE*VNI"}, "form", None),
        (START, authorization(Identification={"RFIDIdentification": {"UID": UID, "RFID": "nfc"}}),
         "identification", "022"),
        (PRICES, {"ActionType": "fullLoad", "EVSEPricing": [
            {"EvseID": "DE*ABC*E1", "ProviderID": "*", "EvseIDProductList": ["DAY"]}]},
         "operator", "018"),
        (NOTIFY, notification(str(uuid.UUID(int=1)), "Start"), "session", "400"),
        (NOTIFY, {"Type": "Begin"}, "form", None),
        (PRICES, {"ActionType": "fullLoad", "EVSEPricing": [
            {"EvseID": EVSE, "ProviderID": "*", "EvseIDProductList": ["DAY"]}]},
         "products first", "022"),
    ],
)  # fmt: skip
def test_a_wrong_push_is_found(hub, path, body, rule, answered):
    before = hub.statuses()
    answer = hub.push(path, body)
    assert answer.status_code == 400 if answered is None else code(answer) == answered
    assert {rule for _, rule in hub.violations()} == {rule}
    assert hub.statuses() == before


@pytest.mark.parametrize(
    ("kind", "more", "rule"),
    [
        ("Start", {"ChargingStart": None}, "form"),
        ("Start", {"ChargingStart": ago(minutes=28)}, "sequence"),
        ("Progress", {"ChargingDuration": None, "ConsumedEnergyProgress": None}, "form"),
        ("Progress", {"ChargingDuration": 600}, "duration"),
        ("Progress", {"EventOccurred": ago(minutes=35)}, "times"),
        ("Progress", {"ConsumedEnergyProgress": 1.23456}, "energy"),
        ("End", {"ChargingEnd": None}, "form"),
        ("End", {"MeterValueStart": 1, "MeterValueEnd": 3, "ConsumedEnergy": 1}, "energy"),
        ("Error", {"ErrorType": "Broken"}, "form"),
        ("Error", {"ErrorAdditionalInfo": "x" * 251}, "form"),
    ],
)
def test_a_wrong_notification_is_found(hub, session, kind, more, rule):
    hub.push(NOTIFY, notification(session, "Start"))
    hub.push(NOTIFY, notification(session, kind, **more))
    assert {rule for _, rule in hub.violations()} == {rule}


def test_notifications_have_their_order(hub, session):
    assert code(hub.push(NOTIFY, notification(session, "End"))) == "022"
    hub.push(NOTIFY, notification(session, "Start"))
    end = notification(session, "End", ConsumedEnergy=11.3)
    assert code(hub.push(NOTIFY, end)) == "000"
    assert code(hub.push(NOTIFY, notification(session, "Progress"))) == "022"
    assert hub.violations() == [("notification", "sequence")] * 2
    # Its answer may have been lost.
    assert code(hub.push(NOTIFY, end)) == "000"
    assert hub.figures()["remarks"]["notification: End again"] == 1
    # The bill says something else than the notification did.
    assert code(hub.push(CDR, cdr(session))) == "022"
    assert hub.violations()[2:] == [("cdr", "energy")]


@pytest.mark.parametrize(("interval", "accepted"), [(300, 1), (0, 2)])
def test_progress_notifications_are_apart(run_hub, interval, accepted):
    hub = furnish(run_hub(progress_interval=interval))
    session = hub.push(START, authorization()).json()["SessionID"]
    hub.push(NOTIFY, notification(session, "Start"))
    first = notification(session, "Progress")
    second = notification(session, "Progress", ConsumedEnergyProgress=2)
    assert code(hub.push(NOTIFY, first)) == "000"
    hub.push(NOTIFY, second)
    progress = [n for n in hub.session(session)["notifications"] if n["type"] == "Progress"]
    assert len(progress) == accepted
    assert hub.violations() == [("notification", "progress interval")] * (2 - accepted)


def test_cards_are_authorized_from_a_list(run_hub_simulator, tmp_path):
    cards = tmp_path / "cards.csv"
    cards.write_text("# uid,provider,may stop\n04A1B2C3,DE-ONE,0011223344556677889A\n")
    hub = run_hub_simulator("--tokens", cards)
    hub.push(DATA, data())
    answer = hub.push(START, authorization()).json()
    assert (answer["AuthorizationStatus"], answer["ProviderID"]) == ("Authorized", "DE-ONE")
    stops = answer["AuthorizationStopIdentifications"]
    assert stops == [{"RFIDMifareFamilyIdentification": {"UID": "0011223344556677889A"}}]
    stranger = {"RFIDMifareFamilyIdentification": {"UID": "DEADBEEF"}}
    refused = hub.push(START, authorization(Identification=stranger)).json()
    assert refused["AuthorizationStatus"] == "NotAuthorized"
    assert refused["StatusCode"]["Code"] == "102"
    assert refused["SessionID"] is None

    def stop(identification):
        body = authorization(SessionID=answer["SessionID"], Identification=identification)
        return hub.push(STOP, body).json()["AuthorizationStatus"]

    assert [stop(CARD), stop(stops[0]), stop(stranger)] == [
        "Authorized",
        "Authorized",
        "NotAuthorized",
    ]
    hub.control.post("/tokens", uid="DEADBEEF", provider_id="DE-TWO")
    assert hub.push(START, authorization(Identification=stranger)).json()["SessionID"]
    hub.control.delete("/tokens/DEADBEEF")
    assert hub.push(START, authorization(Identification=stranger)).json()["SessionID"] is None
    assert hub.violations() == []


def test_prices_come_after_their_products(hub):
    product = {
        "ProductID": "DAY",
        "ReferenceUnit": "KILOWATT_HOUR",
        "ProductPriceCurrency": "EUR",
        "PricePerReferenceUnit": 0.49,
        "MaximumProductChargingPower": 22,
        "IsValid24hours": False,
        "ProductAvailabilityTimes": [
            {"on": "Everyday", "Periods": [{"begin": "08:00", "end": "20:00"}]}
        ],
    }
    body = {
        "ActionType": "fullLoad",
        "PricingProductData": {
            "OperatorID": "DE*VNI",
            "ProviderID": "*",
            "PricingDefaultPrice": 0.59,
            "PricingDefaultPriceCurrency": "EUR",
            "PricingDefaultReferenceUnit": "KILOWATT_HOUR",
            "PricingProductDataRecords": [product],
        },
    }
    assert code(hub.push(PRODUCTS, body)) == "000"
    for products in (["DAY"], [{"ProductID": "DAY"}]):
        prices = {
            "ActionType": "fullLoad",
            "EVSEPricing": [
                {"EvseID": EVSE, "ProviderID": "DE-EMP", "EvseIDProductList": products}
            ],
        }
        assert code(hub.push(PRICES, prices)) == "000"
    assert hub.control.get("/evses")[0]["products"] == ["DAY"]
    assert hub.violations() == []


def test_a_hub_that_is_killed_remembers(program):
    hub = program
    session = hub.push(START, authorization(CPOPartnerSessionID="ours")).json()["SessionID"]
    hub.push(NOTIFY, notification(session, "Start"))
    hub.push(CDR, cdr(session))
    before = hub.control.get("/sessions"), hub.control.get("/evses")
    hub.program.kill()
    with hub.file.open("a") as file:
        file.write('{"event": "cdr", "at": "2026-')  # it was killed while it wrote
    hub.start_again()
    assert (hub.control.get("/sessions"), hub.control.get("/evses")) == before
    again = hub.push(CDR, cdr(session))
    assert (again.status_code, code(again)) == (404, "400")
    hub.program.kill()
    hub.start_again()
    assert hub.session(session)["cdr_copies"] == 1


def test_more_calls_a_minute_than_allowed_are_refused(run_hub):
    hub = run_hub(limits={Operation.EVSE_DATA: 2})
    assert [hub.push(DATA, data()).status_code for _ in range(3)] == [200, 200, 429]
    assert hub.violations() == [("evse-data", "calls a minute")]


def test_two_pushes_of_one_operation_at_the_same_time_are_found(hub):
    hub.misbehave("slow", "evse-status", calls=1, seconds=1.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hub.push, STATUS, statuses())
        eventually(lambda: not hub.control.get("/faults"))
        assert code(hub.push(DATA, data())) == "000"  # another operation may be
        assert code(hub.push(STATUS, statuses())) == "000"
        assert code(first.result()) == "000"
    assert hub.violations() == [("evse-status", "sequential")]


def test_a_push_whose_caller_died_is_in_nobodys_way(hub):
    hub.misbehave("slow", "evse-status", calls=1, seconds=1.0)
    body = json.dumps(statuses()).encode()
    with socket.create_connection(("127.0.0.1", hub.port)) as caller:
        head = (
            f"POST /api/oicp{STATUS} HTTP/1.1\r\nHost: hub\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        caller.sendall(head.encode() + body)
        eventually(lambda: not hub.control.get("/faults"))
    assert code(hub.push(STATUS, statuses())) == "000"
    assert hub.violations() == []


def test_half_a_push_is_none(hub):
    with socket.create_connection(("127.0.0.1", hub.port)) as caller:
        caller.sendall(
            f"POST /api/oicp{STATUS} HTTP/1.1\r\nHost: hub\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1000) == b""
    assert hub.violations() == []


@pytest.mark.parametrize(
    ("kind", "http", "expected"),
    [
        ("validation", 400, "validationErrors"),
        ("unauthorized", 401, '"017"'),
        ("forbidden-html", 403, "<html>"),
        ("forbidden", 403, '"210"'),
        ("no-partner", 404, '"300"'),
        ("no-session", 404, '"400"'),
        ("timeout", 408, ""),
        ("too-many", 429, ""),
        ("error", 500, ""),
        ("unavailable", 503, '"009"'),
        ("system-error", 200, '"001"'),
        ("uncertain", 500, ""),
        ("slow", 200, '"000"'),
    ],
)
def test_misbehaviour_on_demand(hub, session, kind, http, expected):
    hub.misbehave(kind, "cdr", seconds=0.1)
    answer = hub.push(CDR, cdr(session))
    assert answer.status_code == http
    assert expected in answer.text
    done = kind in ("uncertain", "slow")
    assert hub.figures()["cdrs"] == done
    # It was for one call, and of no other operation.
    again = hub.push(CDR, cdr(session))
    assert again.status_code == (404 if done else 200)
    assert hub.control.get("/faults") == []


@pytest.mark.parametrize(("kind", "kept"), [("cut-before", 0), ("cut-after", 1)])
def test_connections_are_cut_on_demand(hub, session, kind, kept):
    hub.misbehave(kind)
    with pytest.raises(httpx.RemoteProtocolError):
        hub.push(CDR, cdr(session))
    assert hub.figures()["cdrs"] == kept


def test_a_share_of_the_calls_goes_wrong(hub):
    hub.misbehave("error", calls=None, share=0.5)
    codes = [hub.push(DATA, data()).status_code for _ in range(40)]
    assert 5 < codes.count(500) < 35
    hub.control.delete("/faults")
    assert hub.push(DATA, data()).status_code == 200


@pytest.fixture
def certificates(tmp_path):
    """Files of a CA, of the hub, of an operator, and of a stranger."""
    authority, other = trustme.CA(), trustme.CA()
    files = {"ca": tmp_path / "ca.pem"}
    authority.cert_pem.write_to_path(str(files["ca"]))
    for name, issuer in (("hub", authority), ("operator", authority), ("stranger", other)):
        made = issuer.issue_cert("127.0.0.1")
        files[name] = tmp_path / f"{name}.pem"
        made.private_key_and_cert_chain_pem.write_to_path(str(files[name]))
    return files


def test_only_who_shows_a_certificate_is_let_in(run_hub_simulator, certificates):
    hub = run_hub_simulator(
        *("--certificate", certificates["hub"], "--key", certificates["hub"]),
        *("--client-ca", certificates["ca"]),
    )

    def context(name):
        made = ssl.create_default_context(cafile=certificates["ca"])
        if name:
            made.load_cert_chain(certificates[name])
        return made

    assert code(hub.push(DATA, data(), verify=context("operator"))) == "000"
    for name in (None, "stranger"):
        with pytest.raises(httpx.TransportError):
            hub.push(DATA, data(), verify=context(name))
    assert hub.figures()["calls"] == {"evse-data": {"200": 1}}
    # A caller that never says a word keeps nobody waiting.
    with socket.create_connection(("127.0.0.1", hub.port)):
        assert code(hub.push(DATA, data(), verify=context("operator"))) == "000"


def simulator(*words):
    return subprocess.run(
        [sys.executable, "-m", "third_party_hub_simulator", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_shows_and_asks(program):
    hub = program
    session = hub.push(START, authorization()).json()["SessionID"]
    hub.push(CDR, cdr(session))
    control = ("--control", f"http://127.0.0.1:{hub.control_port}")
    for page, expected in (
        ("sessions", "11301"),
        ("evses", "Available"),
        ("calls", "authorize-start"),
        ("figures", "cdrs"),
    ):
        shown = simulator("show", page, *control)
        assert shown.returncode == 0, shown.stderr
        assert expected in shown.stdout
    assert simulator("violations", *control).returncode == 0
    added = simulator("faults", "add", "--kind", "error", "--operation", "cdr", *control)
    assert "error" in added.stdout
    assert hub.push(CDR, cdr(session)).status_code == 500
    hub.push(STATUS, statuses("update", **{EVSE: "Broken"}))
    broken = simulator("violations", "--json", *control)
    assert broken.returncode == 1
    assert json.loads(broken.stdout)[0]["rule"] == "form"
    # Nobody is at home at the operator's.
    started = simulator("start", "--evse", EVSE, *control)
    assert started.returncode == 1
    assert "no answer" in started.stdout
    unknown = simulator("stop", "--session", "nothing", *control)
    assert (unknown.returncode, "no session nothing" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "--control", "http://127.0.0.1:1"], "make run-third-party-hub-simulator"),
        (["serve", "--certificate", "/nowhere"], "--certificate and --key belong together"),
        (["serve", "--certificate", "/a", "--key", "/b"], "certificate /a, key /b"),
        (["serve", "--tokens", "/nowhere"], "lines of `uid,provider"),
        (["serve", "--file", "/nowhere/x"], "/nowhere/x cannot be used"),
        (["serve", "--limit", "cdr"], "invalid"),
    ],
)
def test_what_cannot_be_is_one_clear_sentence(words, expected):
    run = simulator(*words)
    assert run.returncode == 2
    assert expected in run.stderr
    assert "Traceback" not in run.stderr


def test_a_taken_port_is_one_clear_sentence(run_hub):
    hub = run_hub()
    run = simulator("serve", "--port", hub.port)
    assert run.returncode == 2
    assert f"cannot listen on 127.0.0.1:{hub.port}" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(run_hub_simulator, number):
    hub = run_hub_simulator()
    assert hub.program.stop(number) == 0
    assert "Traceback" not in hub.log.read_text()


class Operator:
    """Answers the hub with what a test gives it."""

    def __init__(self, answer):
        self.answer = answer
        self.heard = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as lines:
                head = [line for line in iter(lines.readline, b"\r\n") if line]
                if not head:
                    continue
                length = next(
                    int(h.split(b":")[1]) for h in head if h.lower().startswith(b"content-length")
                )
                self.heard.append((head[0].decode(), json.loads(lines.read(length))))
                body = json.dumps(self.answer).encode()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(body), body)
                )


@pytest.mark.parametrize(
    ("answer", "rules"),
    [
        ({"Result": True, "StatusCode": {"Code": "000"}}, set()),
        ({"Result": False, "StatusCode": {"Code": "501"}, "SessionID": None}, set()),
        ({"Result": True, "StatusCode": {"Code": "501"}}, {"answer's result"}),
        ({"Result": True, "StatusCode": {"Code": "0"}}, {"answer's form", "answer's result"}),
        ({"Result": True}, {"answer's form"}),
        ([], {"answer's form"}),
        (
            {"Result": True, "StatusCode": {"Code": "000"}, "SessionID": str(uuid.UUID(int=1))},
            {"answer's session"},
        ),
    ],
)
def test_an_operators_answers_are_checked_too(run_hub, answer, rules):
    operator = Operator(answer)
    hub = run_hub(operator_port=operator.port)
    answered = hub.control.post("/start", evse_id=EVSE, provider_id="DE-EMP")
    line, body = operator.heard[0]
    assert line.startswith(
        "POST /api/oicp/charging/v21/providers/DE-EMP/authorize-remote/start HTTP/1.1"
    )
    assert body["EvseID"] == EVSE
    assert body["PartnerProductID"] is None  # the hub writes what is absent as null
    assert {rule for _, rule in hub.violations()} == rules
    assert hub.session(answered["session"])["code"] == answered["code"] or not answered["code"]


def test_a_program_without_a_command_says_which_there_are(tmp_path):
    program = Program(["third_party_hub_simulator"], tmp_path / "log")
    assert program.wait(30) == 2
    assert "serve" in program.log_end()
