"""The form of OICP 2.3's messages as JSON Schema, and of the hub's answers.

What a schema cannot express (sequence, arithmetic, times) is in `rules`. Source: OICP 2.3, CPO
side.
"""

from __future__ import annotations

from typing import Any

import jsonschema_rs

from third_party_hub_simulator.messages import STATUS_CODES, Json, Operation


def _object(required: Json, optional: Json | None = None, **more: Any) -> Json:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        **more,
    }


def _list(of: Json, **more: Any) -> Json:
    return {"type": "array", "items": of, **more}


def _text(longest: int | None = None, pattern: str | None = None) -> Json:
    schema: Json = {"type": "string"}
    if longest is not None:
        schema["maxLength"] = longest
    if pattern is not None:
        schema["pattern"] = pattern
    return schema


def _one_of(*values: str) -> Json:
    return {"enum": list(values)}


_EVSE_ID = _text(
    pattern=r"^(([A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30})"
    r"|(\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}))$"
)
_OPERATOR_ID = _text(pattern=r"^(([A-Za-z]{2}\*?[A-Za-z0-9]{3})|(\+?[0-9]{1,3}\*[0-9]{3}))$")
_PROVIDER = r"[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}"
_PROVIDER_ID = _text(pattern=f"^{_PROVIDER}$")
_PROVIDER_ID_OR_ALL = _text(pattern=rf"^({_PROVIDER}|\*)$")
_SESSION_ID = _text(pattern=r"^[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{12}$")
_EVCO_ID = _text(
    pattern=r"^(([A-Za-z]{2}-?[A-Za-z0-9]{3}-?C[A-Za-z0-9]{8}-?[0-9A-Za-z])"
    r"|([A-Za-z]{2}[*-]?[A-Za-z0-9]{3}[*-]?[A-Za-z0-9]{6}[*-]?[0-9X]))$"
)
_UID = _text(pattern=r"^([0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20})$")
_TIME = _text(
    pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
)
_CLOCK = _text(pattern=r"^[0-9]{2}:[0-9]{2}$")
_ENERGY = {"type": "number", "minimum": 0}
_PRICE = {"type": "number", "minimum": 0}
_PARTNER_SESSION = _text(250)

_IDENTIFICATION = _object(
    {},
    {
        "RFIDMifareFamilyIdentification": _object({"UID": _UID}),
        "RFIDIdentification": _object(
            {
                "UID": _UID,
                "RFID": _one_of("mifareCls", "mifareDes", "calypso", "nfc", "mifareFamily"),
            },
            {"EvcoID": _EVCO_ID},
        ),
        "QRCodeIdentification": _object({"EvcoID": _EVCO_ID}),
        "PlugAndChargeIdentification": _object({"EvcoID": _EVCO_ID}),
        "RemoteIdentification": _object({"EvcoID": _EVCO_ID}),
    },
    minProperties=1,
    maxProperties=1,
    additionalProperties=False,
)

_PARTNERS = {
    "CPOPartnerSessionID": _PARTNER_SESSION,
    "EMPPartnerSessionID": _PARTNER_SESSION,
}

_BETWEEN = {
    "anyOf": [_list(_ENERGY), _object({"meterValues": _list(_ENERGY)})],
}

_DAYS = _one_of(
    *("Everyday", "Workdays", "Weekend", "Monday", "Tuesday", "Wednesday", "Thursday"),
    *("Friday", "Saturday", "Sunday"),
)
_PERIODS = {
    "anyOf": [
        _object({"begin": _CLOCK, "end": _CLOCK}),
        _list(_object({"begin": _CLOCK, "end": _CLOCK})),
    ]
}
_OPENING = _object({"on": _DAYS}, {"Period": _PERIODS, "Periods": _PERIODS})

_PLUGS = _one_of(
    *("Small Paddle Inductive", "Large Paddle Inductive", "AVCON Connector", "Tesla Connector"),
    *("NEMA 5-20", "Type E French Standard", "Type F Schuko", "Type G British Standard"),
    *("Type J Swiss Standard", "Type 1 Connector (Cable Attached)", "Type 2 Outlet"),
    *("Type 2 Connector (Cable Attached)", "Type 3 Outlet", "IEC 60309 Single Phase"),
    *("IEC 60309 Three Phase", "CCS Combo 2 Plug (Cable Attached)"),
    *("CCS Combo 1 Plug (Cable Attached)", "CHAdeMO"),
)
_COORDINATES = _object(
    {},
    {
        "Google": _object(
            {"Coordinates": _text(pattern=r"^-?1?\d{1,2}\.\d{1,6}\s*\,?\s*-?1?\d{1,2}\.\d{1,6}$")}
        ),
        "DecimalDegree": _object(
            {
                "Longitude": _text(pattern=r"^-?1?\d{1,2}\.\d{1,6}$"),
                "Latitude": _text(pattern=r"^-?1?\d{1,2}\.\d{1,6}$"),
            }
        ),
        "DegreeMinuteSeconds": _object({"Longitude": _text(), "Latitude": _text()}),
    },
    minProperties=1,
    maxProperties=1,
    additionalProperties=False,
)
_LANGUAGE_TEXT = _object(
    {"lang": _text(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9-]+)?$"), "value": _text(150)}
)

_EVSE_RECORD = _object(
    {
        "EvseID": _EVSE_ID,
        "ChargingStationNames": _list(_LANGUAGE_TEXT, minItems=1),
        "Address": _object(
            {
                "Country": _text(pattern="^[A-Z]{3}$"),
                "City": _text(50),
                "Street": _text(100),
                "PostalCode": _text(10),
                "HouseNum": _text(10),
            },
            {
                "Floor": _text(5),
                "Region": _text(50),
                "TimeZone": _text(pattern=r"^UTC[+-][0-9]{2}:[0-9]{2}$"),
            },
        ),
        "GeoCoordinates": _COORDINATES,
        "Plugs": _list(_PLUGS, minItems=1),
        "ChargingFacilities": _list(
            _object(
                {
                    "PowerType": _one_of("AC_1_PHASE", "AC_3_PHASE", "DC"),
                    "Power": {"type": "number", "exclusiveMinimum": 0},
                },
                {"Voltage": {"type": "number"}, "Amperage": {"type": "number"}},
            ),
            minItems=1,
        ),
        "RenewableEnergy": {"type": "boolean"},
        "CalibrationLawDataAvailability": _one_of("Local", "External", "Not Available"),
        "AuthenticationModes": _list(
            _one_of(
                *("NFC RFID Classic", "NFC RFID DESFire", "PnC", "REMOTE", "Direct Payment"),
                "No Authentication Required",
            ),
            minItems=1,
        ),
        "PaymentOptions": _list(_one_of("No Payment", "Direct", "Contract"), minItems=1),
        "ValueAddedServices": _list(
            _one_of(
                *("Reservation", "DynamicPricing", "ParkingSensors", "MaximumPowerCharging"),
                *("PredictiveChargePointUsage", "ChargingPlans", "RoofProvided", "None"),
            ),
            minItems=1,
        ),
        "Accessibility": _one_of(
            *("Free publicly accessible", "Restricted access", "Paying publicly accessible"),
            "Test Station",
        ),
        "HotlinePhoneNumber": _text(pattern=r"^\+[0-9]{5,15}$"),
        "IsOpen24Hours": {"type": "boolean"},
        "IsHubjectCompatible": {"type": "boolean"},
        "DynamicInfoAvailable": _one_of("true", "false", "auto"),
    },
    {
        "ChargingStationID": _text(50),
        "ChargingStationId": _text(50),
        "OpeningTimes": _list(_OPENING, minItems=1),
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

_ACTION = _one_of("fullLoad", "update", "insert", "delete")

_NOTIFICATION = {
    "Type": _one_of("Start", "Progress", "End", "Error"),
    "SessionID": _SESSION_ID,
    "Identification": _IDENTIFICATION,
    "EvseID": _EVSE_ID,
    "OperatorID": _OPERATOR_ID,
}
_METERS = {"MeterValueStart": _ENERGY, "MeterValueInBetween": _BETWEEN, "MeterValueEnd": _ENERGY}


def _notification(required: Json, optional: Json | None = None, **more: Any) -> Json:
    head = {name: _NOTIFICATION[name] for name in ("Type", "SessionID", "EvseID", "OperatorID")}
    return _object(
        {**head, **required},
        {
            **_PARTNERS,
            **_METERS,
            "Identification": _IDENTIFICATION,
            "SessionStart": _TIME,
            "SessionEnd": _TIME,
            "ChargingStart": _TIME,
            "ChargingEnd": _TIME,
            "EventOccurred": _TIME,
            "ChargingDuration": {"type": "integer", "minimum": 0},
            "ConsumedEnergy": _ENERGY,
            "ConsumedEnergyProgress": _ENERGY,
            "PenaltyTimeStart": _TIME,
            **(optional or {}),
        },
        **more,
    )


NOTIFICATION_FORMS = {
    "Start": _notification({"ChargingStart": _TIME}),
    "Progress": _notification(
        {"ChargingStart": _TIME, "EventOccurred": _TIME},
        anyOf=[{"required": ["ChargingDuration"]}, {"required": ["ConsumedEnergyProgress"]}],
    ),
    "End": _notification({"ChargingEnd": _TIME}),
    "Error": _notification(
        {
            "ErrorType": _one_of(
                "ConnectorError", "CriticalError", "Connector Error", "Critical Error"
            )
        },
        {"ErrorAdditionalInfo": _text(250)},
    ),
}

FORMS: dict[Operation, Json] = {
    Operation.EVSE_DATA: _object(
        {
            "ActionType": _ACTION,
            "OperatorEvseData": _object(
                {
                    "OperatorID": _OPERATOR_ID,
                    "OperatorName": _text(100),
                    "EvseDataRecord": _list(_EVSE_RECORD),
                }
            ),
        }
    ),
    Operation.EVSE_STATUS: _object(
        {
            "ActionType": _ACTION,
            "OperatorEvseStatus": _object(
                {
                    "OperatorID": _OPERATOR_ID,
                    "EvseStatusRecord": _list(
                        _object(
                            {
                                "EvseID": _EVSE_ID,
                                "EvseStatus": _one_of(
                                    "Available", "Reserved", "Occupied", "OutOfService", "Unknown"
                                ),
                            }
                        )
                    ),
                },
                {"OperatorName": _text(100)},
            ),
        }
    ),
    Operation.AUTHORIZE_START: _object(
        {"OperatorID": _OPERATOR_ID, "Identification": _IDENTIFICATION},
        {"EvseID": _EVSE_ID, "SessionID": _SESSION_ID, **_PARTNERS},
    ),
    Operation.AUTHORIZE_STOP: _object(
        {"SessionID": _SESSION_ID, "OperatorID": _OPERATOR_ID, "Identification": _IDENTIFICATION},
        {"EvseID": _EVSE_ID, **_PARTNERS},
    ),
    Operation.NOTIFICATION: _object({"Type": _NOTIFICATION["Type"]}),
    Operation.CDR: _object(
        {
            "SessionID": _SESSION_ID,
            "EvseID": _EVSE_ID,
            "Identification": _IDENTIFICATION,
            "SessionStart": _TIME,
            "SessionEnd": _TIME,
            "ChargingStart": _TIME,
            "ChargingEnd": _TIME,
            "ConsumedEnergy": {**_ENERGY, "maximum": 1000},
        },
        {
            **_PARTNERS,
            **_METERS,
            "PartnerProductID": _text(100),
            "MeteringSignature": _text(200),
            "SignedMeteringValues": _list(
                _object(
                    {},
                    {
                        "SignedMeteringValue": _text(3000),
                        "MeteringStatus": _one_of("Start", "Progress", "End"),
                    },
                ),
                maxItems=10,
            ),
            "HubOperatorID": _OPERATOR_ID,
            "HubProviderID": _PROVIDER_ID,
        },
    ),
    Operation.PRICING_PRODUCTS: _object(
        {
            "ActionType": _ACTION,
            "PricingProductData": _object(
                {
                    "OperatorID": _OPERATOR_ID,
                    "ProviderID": _PROVIDER_ID_OR_ALL,
                    "PricingDefaultPrice": _PRICE,
                    "PricingDefaultPriceCurrency": _text(pattern="^[A-Z]{3}$"),
                    "PricingDefaultReferenceUnit": _one_of("HOUR", "KILOWATT_HOUR", "MINUTE"),
                    "PricingProductDataRecords": _list(
                        _object(
                            {
                                "ProductID": _text(50),
                                "ReferenceUnit": _one_of("HOUR", "KILOWATT_HOUR", "MINUTE"),
                                "ProductPriceCurrency": _text(pattern="^[A-Z]{3}$"),
                                "PricePerReferenceUnit": _PRICE,
                                "MaximumProductChargingPower": {"type": "number", "minimum": 0},
                                "IsValid24hours": {"type": "boolean"},
                                "ProductAvailabilityTimes": _list(
                                    _object(
                                        {"on": _DAYS}, {"Periods": _PERIODS, "Period": _PERIODS}
                                    )
                                ),
                            }
                        )
                    ),
                },
                {"OperatorName": _text(100)},
            ),
        }
    ),
    Operation.EVSE_PRICING: _object(
        {
            "ActionType": _ACTION,
            "EVSEPricing": _list(
                _object(
                    {
                        "EvseID": _EVSE_ID,
                        "ProviderID": _PROVIDER_ID_OR_ALL,
                        "EvseIDProductList": _list(
                            {"anyOf": [_text(50), _object({"ProductID": _text(50)})]}
                        ),
                    }
                )
            ),
        }
    ),
}

ACKNOWLEDGMENT = _object(
    {
        "Result": {"type": "boolean"},
        "StatusCode": _object(
            {"Code": _one_of(*STATUS_CODES)},
            {"Description": _text(200), "AdditionalInfo": _text(1000)},
        ),
    },
    {
        "SessionID": _SESSION_ID,
        "CPOPartnerSessionID": _text(50),  # the hub allows 250; ours are to stay short
        "EMPPartnerSessionID": _PARTNER_SESSION,
    },
)

_VALIDATORS = {operation: jsonschema_rs.validator_for(form) for operation, form in FORMS.items()}
_NOTIFICATION_VALIDATORS = {
    kind: jsonschema_rs.validator_for(form) for kind, form in NOTIFICATION_FORMS.items()
}
_ACKNOWLEDGMENT_VALIDATOR = jsonschema_rs.validator_for(ACKNOWLEDGMENT)


def faults_of_form(operation: Operation, body: Any) -> list[tuple[str, str]]:
    """Return (field, what is wrong with it) for everything wrong with a message's form."""
    validator = _VALIDATORS[operation]
    if operation is Operation.NOTIFICATION and isinstance(body, dict):
        validator = _NOTIFICATION_VALIDATORS.get(body.get("Type", ""), validator)
    return _faults(validator, body)


def faults_of_acknowledgment(body: Any) -> list[tuple[str, str]]:
    """Return what is wrong with an operator's answer to the hub."""
    return _faults(_ACKNOWLEDGMENT_VALIDATOR, body)


def _faults(validator: Any, body: Any) -> list[tuple[str, str]]:
    return [
        (".".join(map(str, error.instance_path)) or "(whole)", error.message[:300])
        for error in validator.iter_errors(body)
    ]
