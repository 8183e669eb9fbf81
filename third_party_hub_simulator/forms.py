"""The form of OICP 2.3's messages as JSON Schema, and of the hub's answers.

What a schema cannot express (sequence, arithmetic, times) is in `rules`. Source: OICP 2.3, CPO
side, services and operations.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from third_party_hub_simulator.fields import (
    ACTION,
    AMOUNT,
    COORDINATES,
    COUNTRY,
    CURRENCY,
    DAYS,
    ENERGY,
    EVSE_ID,
    FLAG,
    IDENTIFICATION,
    LANGUAGE_TEXTS,
    OPERATOR_ID,
    PARTNER_SESSION,
    PARTNERS,
    PERIODS,
    PHONE,
    POOL_ID,
    PRODUCT_ID,
    PROVIDER_ID,
    PROVIDER_ID_OR_ALL,
    READINGS,
    SESSION_ID,
    TIME,
    TIME_ZONE,
    UNIT,
    each,
    members,
    one_of,
    some,
    text,
    whole,
)
from third_party_hub_simulator.messages import STATUS_CODES, Json, Operation

_PLUG = one_of(
    *("Small Paddle Inductive", "Large Paddle Inductive", "AVCON Connector", "Tesla Connector"),
    *("NEMA 5-20", "Type E French Standard", "Type F Schuko", "Type G British Standard"),
    *("Type J Swiss Standard", "Type 1 Connector (Cable Attached)", "Type 2 Outlet"),
    *("Type 2 Connector (Cable Attached)", "Type 3 Outlet", "IEC 60309 Single Phase"),
    *("IEC 60309 Three Phase", "CCS Combo 2 Plug (Cable Attached)"),
    *("CCS Combo 1 Plug (Cable Attached)", "CHAdeMO"),
)
_ADDRESS = members(
    {
        "Country": COUNTRY,
        "City": text(50, 1),
        "Street": text(100, 2),
        "PostalCode": text(10),
        "HouseNum": text(10),
    },
    {
        "Floor": text(5),
        "Region": text(50),
        "ParkingFacility": FLAG,
        "ParkingSpot": text(5),
        "TimeZone": TIME_ZONE,
    },
)
_FACILITY = members(
    {"PowerType": one_of("AC_1_PHASE", "AC_3_PHASE", "DC"), "Power": whole(1, 999)},
    {
        "Voltage": whole(0, 999),
        "Amperage": whole(0, 99),
        "ChargingModes": each(one_of("Mode_1", "Mode_2", "Mode_3", "Mode_4", "CHAdeMO")),
    },
)
_ENERGY_SOURCE = members(
    {},
    {
        "Energy": one_of(
            *("Solar", "Wind", "HydroPower", "GeothermalEnergy", "Biomass", "Coal"),
            *("NuclearEnergy", "Petroleum", "NaturalGas"),
        ),
        "Percentage": whole(0, 100),
    },
)
_WHERE = one_of("OnStreet", "ParkingLot", "ParkingGarage", "UndergroundParkingGarage")

_EVSE_RECORD = members(
    {
        "EvseID": EVSE_ID,
        "ChargingStationNames": {**LANGUAGE_TEXTS, "minItems": 1},
        "Address": _ADDRESS,
        "GeoCoordinates": COORDINATES,
        "Plugs": some(_PLUG),
        "ChargingFacilities": some(_FACILITY),
        "RenewableEnergy": FLAG,
        "CalibrationLawDataAvailability": one_of("Local", "External", "Not Available"),
        "AuthenticationModes": some(
            one_of(
                *("NFC RFID Classic", "NFC RFID DESFire", "PnC", "REMOTE", "Direct Payment"),
                "No Authentication Required",
            )
        ),
        "PaymentOptions": some(one_of("No Payment", "Direct", "Contract")),
        "ValueAddedServices": some(
            one_of(
                *("Reservation", "DynamicPricing", "ParkingSensors", "MaximumPowerCharging"),
                *("PredictiveChargePointUsage", "ChargingPlans", "RoofProvided", "None"),
            )
        ),
        "Accessibility": one_of(
            *("Free publicly accessible", "Restricted access", "Paying publicly accessible"),
            "Test Station",
        ),
        "HotlinePhoneNumber": PHONE,
        "IsOpen24Hours": FLAG,
        "IsHubjectCompatible": FLAG,
        "DynamicInfoAvailable": one_of("true", "false", "auto"),
    },
    {
        "ChargingStationID": text(50),
        "ChargingStationId": text(50),
        "ChargingPoolID": POOL_ID,
        "HardwareManufacturer": text(50),
        "ChargingStationImage": text(200),
        "SubOperatorName": text(100),
        "DynamicPowerLevel": FLAG,
        "EnergySource": each(_ENERGY_SOURCE),
        "EnvironmentalImpact": members({}, {"CO2Emission": AMOUNT, "NuclearWaste": AMOUNT}),
        "MaxCapacity": whole(0),
        # A list by the text, one word by the OpenAPI.
        "AccessibilityLocation": {"anyOf": [_WHERE, each(_WHERE)]},
        "AdditionalInfo": LANGUAGE_TEXTS,
        "ChargingStationLocationReference": LANGUAGE_TEXTS,
        "GeoChargingPointEntrance": COORDINATES,
        "OpeningTimes": some(
            members(
                {"on": DAYS},
                {"Period": PERIODS, "Periods": PERIODS},
                anyOf=[{"required": ["Period"]}, {"required": ["Periods"]}],
            )
        ),
        "HubOperatorID": OPERATOR_ID,
        "ClearinghouseID": text(20),
        # The hub's own members: an operator never sends them.
        "deltaType": False,
        "lastUpdate": False,
    },
    # OpeningTimes if it is not always open.
    **{
        "if": {"properties": {"IsOpen24Hours": {"const": False}}, "required": ["IsOpen24Hours"]},
        "then": {"required": ["OpeningTimes"]},
    },
)

_KINDS = one_of("Start", "Progress", "End", "Error")
_NOTIFIED = {
    "Type": _KINDS,
    "SessionID": SESSION_ID,
    "EvseID": EVSE_ID,
    "OperatorID": OPERATOR_ID,
}
_CHARGING = {
    "SessionStart": TIME,
    "MeterValueStart": ENERGY,
    "PartnerProductID": PRODUCT_ID,
}


def _notification(required: Json, optional: Json | None = None, **more: Any) -> Json:
    return members(
        {**_NOTIFIED, **required},
        {**PARTNERS, "Identification": IDENTIFICATION, **(optional or {})},
        **more,
    )


NOTIFICATION_FORMS = {
    "Start": _notification({"ChargingStart": TIME}, _CHARGING),
    "Progress": _notification(
        {"ChargingStart": TIME, "EventOccurred": TIME},
        {
            **_CHARGING,
            "ChargingDuration": whole(0),
            "ConsumedEnergyProgress": ENERGY,
            "MeterValueInBetween": READINGS,
        },
        anyOf=[{"required": ["ChargingDuration"]}, {"required": ["ConsumedEnergyProgress"]}],
    ),
    "End": _notification(
        {"ChargingEnd": TIME},
        {
            **_CHARGING,
            "ChargingStart": TIME,
            "SessionEnd": TIME,
            "ConsumedEnergy": ENERGY,
            "MeterValueEnd": ENERGY,
            "MeterValueInBetween": READINGS,
            "PenaltyTimeStart": TIME,
        },
    ),
    "Error": _notification(
        {
            "ErrorType": one_of(
                "ConnectorError", "CriticalError", "Connector Error", "Critical Error"
            )
        },
        {"ErrorAdditionalInfo": text(250)},
    ),
}

_STATUS_RECORD = members(
    {
        "EvseID": EVSE_ID,
        "EvseStatus": one_of("Available", "Reserved", "Occupied", "OutOfService", "Unknown"),
    }
)
_SIGNED_VALUE = members(
    {},
    {
        "SignedMeteringValue": text(3000),
        "MeteringStatus": one_of("Start", "Progress", "End"),
    },
)
_VERIFICATION = members(
    {},
    {
        "CalibrationLawCertificateID": text(100),
        "PublicKey": text(1000),
        "MeteringSignatureUrl": text(100),
        "MeteringSignatureEncodingFormat": text(50),
        "SignedMeteringValuesVerificationInstruction": text(400),
    },
)
_PRODUCT = members(
    {
        "ProductID": PRODUCT_ID,
        "ReferenceUnit": UNIT,
        "ProductPriceCurrency": CURRENCY,
        "PricePerReferenceUnit": AMOUNT,
        "MaximumProductChargingPower": AMOUNT,
        "IsValid24hours": FLAG,
        "ProductAvailabilityTimes": each(
            members(
                {"on": DAYS},
                {"Periods": PERIODS, "Period": PERIODS},
                anyOf=[{"required": ["Periods"]}, {"required": ["Period"]}],
            )
        ),
    },
    {
        "AdditionalReferences": each(
            members(
                {
                    "AdditionalReference": one_of(
                        *("START FEE", "FIXED FEE", "PARKING FEE", "MINIMUM FEE", "MAXIMUM FEE")
                    ),
                    "AdditionalReferenceUnit": UNIT,
                    "PricePerAdditionalReferenceUnit": AMOUNT,
                }
            )
        )
    },
)

FORMS: dict[Operation, Json] = {
    Operation.EVSE_DATA: members(
        {
            "ActionType": ACTION,
            "OperatorEvseData": members(
                {
                    "OperatorID": OPERATOR_ID,
                    "OperatorName": text(100),
                    "EvseDataRecord": each(_EVSE_RECORD),
                }
            ),
        }
    ),
    Operation.EVSE_STATUS: members(
        {
            "ActionType": ACTION,
            "OperatorEvseStatus": members(
                {"OperatorID": OPERATOR_ID, "EvseStatusRecord": each(_STATUS_RECORD)},
                {"OperatorName": text(100)},
            ),
        }
    ),
    Operation.AUTHORIZE_START: members(
        {"OperatorID": OPERATOR_ID, "Identification": IDENTIFICATION},
        {
            "EvseID": EVSE_ID,
            "SessionID": SESSION_ID,
            "PartnerProductID": PRODUCT_ID,
            **PARTNERS,
        },
    ),
    Operation.AUTHORIZE_STOP: members(
        {"SessionID": SESSION_ID, "OperatorID": OPERATOR_ID, "Identification": IDENTIFICATION},
        {"EvseID": EVSE_ID, **PARTNERS},
    ),
    Operation.NOTIFICATION: members({"Type": _KINDS}),
    Operation.CDR: members(
        {
            "SessionID": SESSION_ID,
            "EvseID": EVSE_ID,
            "Identification": IDENTIFICATION,
            "SessionStart": TIME,
            "SessionEnd": TIME,
            "ChargingStart": TIME,
            "ChargingEnd": TIME,
            "ConsumedEnergy": {**ENERGY, "maximum": 1000},
        },
        {
            **PARTNERS,
            "MeterValueStart": ENERGY,
            "MeterValueInBetween": READINGS,
            "MeterValueEnd": ENERGY,
            "PartnerProductID": PRODUCT_ID,
            "SignedMeteringValues": each(_SIGNED_VALUE, maxItems=10),
            "CalibrationLawVerificationInfo": _VERIFICATION,
            "HubOperatorID": OPERATOR_ID,
            "HubProviderID": PROVIDER_ID,
        },
    ),
    Operation.PRICING_PRODUCTS: members(
        {
            "ActionType": ACTION,
            "PricingProductData": members(
                {
                    "OperatorID": OPERATOR_ID,
                    "ProviderID": PROVIDER_ID_OR_ALL,
                    "PricingDefaultPrice": AMOUNT,
                    "PricingDefaultPriceCurrency": CURRENCY,
                    "PricingDefaultReferenceUnit": UNIT,
                    "PricingProductDataRecords": each(_PRODUCT),
                },
                {"OperatorName": text(100)},
            ),
        }
    ),
    Operation.EVSE_PRICING: members(
        {
            "ActionType": ACTION,
            "EVSEPricing": some(
                members(
                    {
                        "EvseID": EVSE_ID,
                        "ProviderID": PROVIDER_ID_OR_ALL,
                        # Of names by the OpenAPI, of objects by the text.
                        "EvseIDProductList": some(
                            {"anyOf": [PRODUCT_ID, members({"ProductID": PRODUCT_ID})]}
                        ),
                    }
                )
            ),
        }
    ),
}

ACKNOWLEDGMENT = members(
    {
        "Result": {"type": "boolean"},
        "StatusCode": members(
            {"Code": one_of(*STATUS_CODES)},
            {"Description": text(200), "AdditionalInfo": text(1000)},
        ),
    },
    {
        "SessionID": SESSION_ID,
        "CPOPartnerSessionID": text(50),  # the hub allows 250; ours are to stay short
        "EMPPartnerSessionID": PARTNER_SESSION,
    },
)


def _validator(form: Json) -> Any:
    return jsonschema_rs.validator_for(form, validate_formats=True)


_VALIDATORS = {operation: _validator(form) for operation, form in FORMS.items()}
_NOTIFICATION_VALIDATORS = {kind: _validator(form) for kind, form in NOTIFICATION_FORMS.items()}
_ACKNOWLEDGMENT_VALIDATOR = _validator(ACKNOWLEDGMENT)


def faults_of_form(operation: Operation, body: Any) -> list[tuple[str, str]]:
    """Return (field, what is wrong with it) for everything wrong with a message's form."""
    validator = _VALIDATORS[operation]
    if operation is Operation.NOTIFICATION and isinstance(body, dict):
        validator = _NOTIFICATION_VALIDATORS.get(str(body.get("Type")), validator)
    return _faults(validator, body)


def faults_of_acknowledgment(body: Any) -> list[tuple[str, str]]:
    """Return what is wrong with an operator's answer to the hub."""
    return _faults(_ACKNOWLEDGMENT_VALIDATOR, body)


def _faults(validator: Any, body: Any) -> list[tuple[str, str]]:
    return [
        (".".join(map(str, error.instance_path)) or "(whole)", error.message[:300])
        for error in validator.iter_errors(body)
    ]
