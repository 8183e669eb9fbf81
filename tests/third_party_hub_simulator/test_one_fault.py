"""The hub simulator takes every right message, and none that has one fault, whichever field it is.

The messages are complete ones: all members that the standard knows. Each fault is made of one of
them by the standard's own table.
"""

from __future__ import annotations

import json
import socket
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest

from tests.oicp_standard import STANDARD, faults
from third_party_hub_simulator.books import Books, new_session
from third_party_hub_simulator.faults import Faults
from third_party_hub_simulator.forms import faults_of_form
from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import Operation, without_nulls
from third_party_hub_simulator.rules import Terms

EVSE = "DE*VNI*E1*1"
SESSION = "b2688855-7f00-0002-6d8e-48d883f6abb6"
UID = "04A1B2C3"
CARD = {"RFIDMifareFamilyIdentification": {"UID": UID}}
INFO = [{"lang": "en-GB", "value": "Second gate"}, {"lang": "de", "value": "Zweites Tor"}]
PLACE = {"DecimalDegree": {"Longitude": "10.140", "Latitude": "54.323"}}
PERIODS = [{"begin": "08:00", "end": "12:00"}, {"begin": "14:00", "end": "18:30"}]
PARTNERS = {"CPOPartnerSessionID": "ours", "EMPPartnerSessionID": "theirs"}


def ago(minutes):
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="seconds")


RECORD = {
    "EvseID": EVSE,
    "ChargingStationID": "S1",
    "ChargingPoolID": "DE*VNI*P1",
    "ChargingStationNames": [{"lang": "en", "value": "Harbour"}],
    "HardwareManufacturer": "Example",
    "ChargingStationImage": "https://example.com/1.jpg",
    "SubOperatorName": "Harbour Ltd",
    "Address": {
        "Country": "DEU",
        "City": "Kiel",
        "Street": "Kai",
        "PostalCode": "24103",
        "HouseNum": "1",
        "Floor": "1",
        "Region": "Holstein",
        "ParkingFacility": True,
        "ParkingSpot": "E27",
        "TimeZone": "UTC+01:00",
    },
    "GeoCoordinates": PLACE,
    "GeoChargingPointEntrance": {"Google": {"Coordinates": "54.323 10.14"}},
    "Plugs": ["Type 2 Outlet", "CHAdeMO"],
    "DynamicPowerLevel": True,
    "ChargingFacilities": [
        {
            "PowerType": "AC_3_PHASE",
            "Power": 22,
            "Voltage": 400,
            "Amperage": 32,
            "ChargingModes": ["Mode_3"],
        }
    ],
    "RenewableEnergy": True,
    "EnergySource": [{"Energy": "Wind", "Percentage": 85}],
    "EnvironmentalImpact": {"CO2Emission": 30.3, "NuclearWaste": 0},
    "MaxCapacity": 50,
    "CalibrationLawDataAvailability": "Local",
    "AuthenticationModes": ["NFC RFID Classic", "REMOTE"],
    "PaymentOptions": ["Contract"],
    "ValueAddedServices": ["None"],
    "Accessibility": "Free publicly accessible",
    "AccessibilityLocation": "OnStreet",
    "HotlinePhoneNumber": "+4943112345",
    "AdditionalInfo": INFO,
    "ChargingStationLocationReference": INFO,
    "IsOpen24Hours": False,
    "OpeningTimes": [{"on": "Everyday", "Period": PERIODS}],
    "HubOperatorID": "DE*HUB",
    "ClearinghouseID": "C1",
    "IsHubjectCompatible": True,
    "DynamicInfoAvailable": "true",
}


PUSHES = {
    "evse-data": {
        "ActionType": "fullLoad",
        "OperatorEvseData": {
            "OperatorID": "DE*VNI",
            "OperatorName": "VNI",
            "EvseDataRecord": [RECORD],
        },
    },
    "evse-status": {
        "ActionType": "fullLoad",
        "OperatorEvseStatus": {
            "OperatorID": "DE*VNI",
            "OperatorName": "VNI",
            "EvseStatusRecord": [{"EvseID": EVSE, "EvseStatus": "Available"}],
        },
    },
    "pricing-products": {
        "ActionType": "fullLoad",
        "PricingProductData": {
            "OperatorID": "DE*VNI",
            "OperatorName": "VNI",
            "ProviderID": "*",
            "PricingDefaultPrice": 0.41,
            "PricingDefaultPriceCurrency": "EUR",
            "PricingDefaultReferenceUnit": "KILOWATT_HOUR",
            "PricingProductDataRecords": [
                {
                    "ProductID": "AC",
                    "ReferenceUnit": "KILOWATT_HOUR",
                    "ProductPriceCurrency": "EUR",
                    "PricePerReferenceUnit": 0.41,
                    "MaximumProductChargingPower": 22,
                    "IsValid24hours": False,
                    "ProductAvailabilityTimes": [{"on": "Workdays", "Periods": PERIODS}],
                    "AdditionalReferences": [
                        {
                            "AdditionalReference": "PARKING FEE",
                            "AdditionalReferenceUnit": "MINUTE",
                            "PricePerAdditionalReferenceUnit": 0.1,
                        }
                    ],
                }
            ],
        },
    },
    "evse-pricing": {
        "ActionType": "fullLoad",
        "EVSEPricing": [{"EvseID": EVSE, "ProviderID": "*", "EvseIDProductList": ["AC"]}],
    },
}
ASKED = {
    "authorize-start": {
        "OperatorID": "DE*VNI",
        "EvseID": EVSE,
        "Identification": CARD,
        "PartnerProductID": "AC3",
        "CPOPartnerSessionID": "another",
        "EMPPartnerSessionID": "theirs",
        "SessionID": SESSION,
    },
}
METERS = {
    "MeterValueStart": 100.1,
    "MeterValueInBetween": {"meterValues": [105.5, 106]},
    "MeterValueEnd": 111.401,
    "ConsumedEnergy": 11.301,
}


def complete():
    """Return a right and complete message of each name in STANDARD."""
    session = {"SessionID": SESSION, "EvseID": EVSE, "Identification": CARD, **PARTNERS}
    notified = {**session, "OperatorID": "DE*VNI"}
    return deepcopy(
        {
            **PUSHES,
            **ASKED,
            "authorize-stop": notified,
            **notifications(notified),
            "cdr": charge_detail_record(session),
        }
    )


def notifications(notified):
    begun = {
        **notified,
        "SessionStart": ago(30),
        "ChargingStart": ago(29),
        "MeterValueStart": 100.1,
        "PartnerProductID": "AC3",
    }
    between = {"MeterValueInBetween": METERS["MeterValueInBetween"]}
    return {
        "Start": {"Type": "Start", **begun},
        "Progress": {
            "Type": "Progress",
            **begun,
            **between,
            "EventOccurred": ago(19),
            "ChargingDuration": 600_000,
            "ConsumedEnergyProgress": 5.9,
        },
        "End": {
            "Type": "End",
            **begun,
            **METERS,
            "ChargingEnd": ago(2),
            "SessionEnd": ago(1),
            "PenaltyTimeStart": ago(1),
        },
        "Error": {
            "Type": "Error",
            **notified,
            "ErrorType": "ConnectorError",
            "ErrorAdditionalInfo": "the cable is not locked",
        },
    }


def charge_detail_record(session):
    return {
        **session,
        **METERS,
        "PartnerProductID": "AC3",
        "SessionStart": ago(30),
        "ChargingStart": ago(29),
        "ChargingEnd": ago(2),
        "SessionEnd": ago(1),
        "SignedMeteringValues": [
            {"SignedMeteringValue": "a", "MeteringStatus": "Start"},
            {"SignedMeteringValue": "z", "MeteringStatus": "End"},
        ],
        "CalibrationLawVerificationInfo": {
            "CalibrationLawCertificateID": "DE-1",
            "PublicKey": "04AB",
            "MeteringSignatureUrl": "https://example.com/1.xml",
            "MeteringSignatureEncodingFormat": "OCMF",
            "SignedMeteringValuesVerificationInstruction": "Open it.",
        },
        "HubOperatorID": "DE*HUB",
        "HubProviderID": "DE-HUB",
    }


NOTIFICATIONS = ("Start", "Progress", "End", "Error")


def take(name, body, prepared=()):
    """Let a hub that knows what it should take a message; return its code, None for HTTP 400."""
    hub = Hub(Books(), Terms(progress_interval=0), Faults(seed=1), {})
    hub.books.record("token", token={"uid": UID, "provider_id": "DE-EMP"})
    facts = new_session(
        SESSION, "rfid", "DE-EMP", EVSE, CARD, code="000", stops=[],
        cpo_partner_session_id="ours", emp_partner_session_id="theirs",
    )  # fmt: skip
    hub.books.record("session", session=facts)
    right = complete()
    for before in prepared:
        assert code_of(send(hub, before, right[before])) == "000"
    return code_of(send(hub, name, body))


def send(hub, name, body):
    """Send it as an operator does, but for the socket: pushes here are one after the other."""
    operation = Operation("notification" if name in NOTIFICATIONS else name)
    path = None if operation is Operation.NOTIFICATION else "DE*VNI"
    text = json.dumps(body, default=float).encode()
    with socket.socket() as peer:
        answer, _ = hub.take(operation, path, text, peer)
    return answer


def code_of(answer):
    return None if answer.http == 400 else answer.body["StatusCode"]["Code"]


PREPARED = {
    "evse-status": ["evse-data"],
    "authorize-start": ["evse-data"],
    "Progress": ["Start"],
    "End": ["Start"],
    "evse-pricing": ["evse-data", "pricing-products"],
}


@pytest.mark.parametrize("name", STANDARD)
def test_a_complete_message_is_taken(name):
    body = complete()[name]
    assert faults("notification" if name in NOTIFICATIONS else name, body) == []
    assert take(name, body, PREPARED.get(name, ())) == "000"


@pytest.mark.parametrize("name", STANDARD)
def test_a_message_with_one_fault_is_refused(name):
    taken = [
        wrong
        for wrong in STANDARD[name].wrong(complete()[name])
        if take(name, wrong, PREPARED.get(name, ())) == "000"
    ]
    assert taken == []


@pytest.mark.parametrize("name", STANDARD)
def test_what_is_just_right_has_no_fault_of_form(name):
    operation = Operation("notification" if name in NOTIFICATIONS else name)
    for right in STANDARD[name].edges(complete()[name]):
        if faults(operation, without_nulls(right)) == []:
            assert faults_of_form(operation, without_nulls(right)) == [], right
