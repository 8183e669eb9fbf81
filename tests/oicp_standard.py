"""OICP 2.3's messages field by field, as the standard has them, for tests to hold others against.

A table of its own: neither what we write nor what the hub simulator takes is derived from it, so
that they cannot be wrong together. Where the standard's text and its OpenAPI differ the stricter
counts, since what is right by both is taken by all. Source: OICP 2.3, CPO side: services and
operations, data types, and the OpenAPI of each service.
"""

from __future__ import annotations

from typing import Any

from tests.field_kinds import (
    Each,
    Either,
    Flag,
    Members,
    Moment,
    Number,
    Text,
    Whole,
    words,
)

EVSE_ID = Text(
    pattern=r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30}"
    r"|\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}"
)
OPERATOR_ID = Text(pattern=r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}|\+?[0-9]{1,3}\*[0-9]{3}")
PROVIDER_ID = Text(pattern=r"[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}")
PROVIDER_ID_OR_ALL = Text(pattern=r"[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}|\*")
SESSION_ID = Text(pattern=r"[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{12}")
EVCO_ID = Text(
    pattern=r"[A-Za-z]{2}-?[A-Za-z0-9]{3}-?C[A-Za-z0-9]{8}-?[0-9A-Za-z]"
    r"|[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}[*-]?[A-Za-z0-9]{6}[*-]?[0-9X]"
)
UID = Text(pattern="[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20}")
PRODUCT_ID = Text(50)
PARTNER_SESSION = Text(250)
KWH = Number(3)
PRICE = Number()
CLOCK = Text(pattern="([01][0-9]|2[0-3]):[0-5][0-9]")
PERIOD = Members({"begin": CLOCK, "end": CLOCK})
DAYS = words(
    "Everyday", "Workdays", "Weekend", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
    "Saturday", "Sunday",
)  # fmt: skip
UNIT = words("HOUR", "KILOWATT_HOUR", "MINUTE")
CURRENCY = Text(
    pattern="AED|AFN|ALL|AMD|ANG|AOA|ARS|AUD|AWG|AZN|BAM|BBD|BDT|BGN|BHD|BIF|BMD|BND|BOB|BRL|"
    "BSD|BTN|BWP|BYN|BZD|CAD|CDF|CHF|CLP|CNY|COP|CRC|CUP|CVE|CZK|DJF|DKK|DOP|DZD|EGP|"
    "ERN|ETB|EUR|FJD|FKP|GBP|GEL|GHS|GIP|GMD|GNF|GTQ|GYD|HKD|HNL|HTG|HUF|IDR|ILS|INR|"
    "IQD|IRR|ISK|JMD|JOD|JPY|KES|KGS|KHR|KMF|KPW|KRW|KWD|KYD|KZT|LAK|LBP|LKR|LRD|LSL|"
    "LYD|MAD|MDL|MGA|MKD|MMK|MNT|MOP|MUR|MVR|MWK|MXN|MYR|MZN|NAD|NGN|NIO|NOK|NPR|NZD|"
    "OMR|PAB|PEN|PGK|PHP|PKR|PLN|PYG|QAR|RON|RSD|RUB|RWF|SAR|SBD|SCR|SDG|SEK|SGD|SOS|"
    "SRD|SSP|SVC|SYP|SZL|THB|TJS|TMT|TND|TOP|TRY|TTD|TWD|TZS|UAH|UGX|USD|UYU|UZS|VND|"
    "VUV|WST|XAF|XCD|XOF|XPF|YER|ZAR|ZMW"
)
TEXT_OF_LANGUAGE = Members(
    {
        "lang": Text(
            pattern="[a-z]{2,3}(-[A-Z]{2,3}(-[a-zA-Z]{4})?)?(-x-[a-zA-Z0-9]{1,8})?",
        ),
        "value": Text(150),
    }
)
DEGREES = Text(pattern=r"-?1?[0-9]{1,2}\.[0-9]{1,6}")
COORDINATES = Members(
    {},
    {
        "Google": Members(
            {"Coordinates": Text(pattern=r"-?1?\d{1,2}\.\d{1,6}\s*,?\s*-?1?\d{1,2}\.\d{1,6}")}
        ),
        "DecimalDegree": Members({"Longitude": DEGREES, "Latitude": DEGREES}),
        "DegreeMinuteSeconds": Members({"Longitude": Text(), "Latitude": Text()}),
    },
    one=True,
)
CONTRACT = Members({"EvcoID": EVCO_ID})
IDENTIFICATION = Members(
    {},
    {
        "RFIDMifareFamilyIdentification": Members({"UID": UID}),
        "RFIDIdentification": Members(
            {
                "UID": UID,
                "RFID": words("mifareCls", "mifareDes", "calypso", "nfc", "mifareFamily"),
            },
            {"EvcoID": EVCO_ID, "PrintedNumber": Text(150), "ExpiryDate": Moment()},
        ),
        "QRCodeIdentification": Members({"EvcoID": EVCO_ID}, {"PIN": Text(20)}),
        "PlugAndChargeIdentification": CONTRACT,
        "RemoteIdentification": CONTRACT,
    },
    one=True,
)
PARTNERS = {"CPOPartnerSessionID": PARTNER_SESSION, "EMPPartnerSessionID": PARTNER_SESSION}
BETWEEN = Either(Members({}, {"meterValues": Each(KWH)}), Each(KWH))

ACCESS = words("OnStreet", "ParkingLot", "ParkingGarage", "UndergroundParkingGarage")

EVSE_RECORD = Members(
    {
        "EvseID": EVSE_ID,
        "ChargingStationNames": Each(TEXT_OF_LANGUAGE, 1),
        "Address": Members(
            {
                "Country": Text(pattern="[A-Z]{3}"),
                "City": Text(50, 1),
                "Street": Text(100, 2),
                "PostalCode": Text(10),
                "HouseNum": Text(10),
            },
            {
                "Floor": Text(5),
                "Region": Text(50),
                "ParkingFacility": Flag(),
                "ParkingSpot": Text(5),
                "TimeZone": Text(pattern="UTC[+-][0-9]{2}:[0-9]{2}"),
            },
        ),
        "GeoCoordinates": COORDINATES,
        "Plugs": Each(
            words(
                "Small Paddle Inductive", "Large Paddle Inductive", "AVCON Connector",
                "Tesla Connector", "NEMA 5-20", "Type E French Standard", "Type F Schuko",
                "Type G British Standard", "Type J Swiss Standard",
                "Type 1 Connector (Cable Attached)", "Type 2 Outlet",
                "Type 2 Connector (Cable Attached)", "Type 3 Outlet", "IEC 60309 Single Phase",
                "IEC 60309 Three Phase", "CCS Combo 2 Plug (Cable Attached)",
                "CCS Combo 1 Plug (Cable Attached)", "CHAdeMO",
            ),
            1,
        ),
        "ChargingFacilities": Each(
            Members(
                {"PowerType": words("AC_1_PHASE", "AC_3_PHASE", "DC"), "Power": Whole(1, 999)},
                {
                    "Voltage": Whole(0, 999),
                    "Amperage": Whole(0, 99),
                    "ChargingModes": Each(words("Mode_1", "Mode_2", "Mode_3", "Mode_4", "CHAdeMO")),
                },
            ),
            1,
        ),
        "RenewableEnergy": Flag(),
        "CalibrationLawDataAvailability": words("Local", "External", "Not Available"),
        "AuthenticationModes": Each(
            words(
                "NFC RFID Classic", "NFC RFID DESFire", "PnC", "REMOTE", "Direct Payment",
                "No Authentication Required",
            ),
            1,
        ),
        "PaymentOptions": Each(words("No Payment", "Direct", "Contract"), 1),
        "ValueAddedServices": Each(
            words(
                "Reservation", "DynamicPricing", "ParkingSensors", "MaximumPowerCharging",
                "PredictiveChargePointUsage", "ChargingPlans", "RoofProvided", "None",
            ),
            1,
        ),
        "Accessibility": words(
            "Free publicly accessible", "Restricted access", "Paying publicly accessible",
            "Test Station",
        ),
        "HotlinePhoneNumber": Text(pattern=r"\+[0-9]{5,15}"),
        "IsOpen24Hours": Flag(),
        "IsHubjectCompatible": Flag(),
        "DynamicInfoAvailable": words("true", "false", "auto"),
    },
    {
        "ChargingStationID": Text(50),
        "ChargingPoolID": Text(pattern=r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?P[A-Za-z0-9*]{1,30}"),
        "HardwareManufacturer": Text(50),
        "ChargingStationImage": Text(200),
        "SubOperatorName": Text(100),
        "DynamicPowerLevel": Flag(),
        "EnergySource": Each(
            Members(
                {},
                {
                    "Energy": words(
                        "Solar", "Wind", "HydroPower", "GeothermalEnergy", "Biomass", "Coal",
                        "NuclearEnergy", "Petroleum", "NaturalGas",
                    ),
                    "Percentage": Whole(0, 100),
                },
            )
        ),
        "EnvironmentalImpact": Members({}, {"CO2Emission": Number(), "NuclearWaste": Number()}),
        "MaxCapacity": Whole(0),
        "AccessibilityLocation": Either(ACCESS, Each(ACCESS)),
        "AdditionalInfo": Each(TEXT_OF_LANGUAGE),
        "ChargingStationLocationReference": Each(TEXT_OF_LANGUAGE),
        "GeoChargingPointEntrance": COORDINATES,
        "OpeningTimes": Each(Members({"on": DAYS, "Period": Each(PERIOD, 1)}), 1),
        "HubOperatorID": OPERATOR_ID,
        "ClearinghouseID": Text(20),
    },
)  # fmt: skip
ACTION = words("fullLoad", "update", "insert", "delete")
NOTIFIED = {"SessionID": SESSION_ID, "EvseID": EVSE_ID, "OperatorID": OPERATOR_ID}
NOTIFIED_TOO = {**PARTNERS, "Identification": IDENTIFICATION}
CHARGING_NOTIFIED_TOO = {
    **NOTIFIED_TOO,
    "SessionStart": Moment(),
    "MeterValueStart": KWH,
    "PartnerProductID": PRODUCT_ID,
}
VERIFICATION = Members(
    {},
    {
        "CalibrationLawCertificateID": Text(100),
        "PublicKey": Text(1000),
        "MeteringSignatureUrl": Text(100),
        "MeteringSignatureEncodingFormat": Text(50),
        "SignedMeteringValuesVerificationInstruction": Text(400),
    },
)

STANDARD = {
    "evse-data": Members(
        {
            "ActionType": ACTION,
            "OperatorEvseData": Members(
                {
                    "OperatorID": OPERATOR_ID,
                    "OperatorName": Text(100),
                    "EvseDataRecord": Each(EVSE_RECORD),
                }
            ),
        }
    ),
    "evse-status": Members(
        {
            "ActionType": ACTION,
            "OperatorEvseStatus": Members(
                {
                    "OperatorID": OPERATOR_ID,
                    "EvseStatusRecord": Each(
                        Members(
                            {
                                "EvseID": EVSE_ID,
                                # The hub alone says EvseNotFound.
                                "EvseStatus": words(
                                    "Available", "Reserved", "Occupied", "OutOfService", "Unknown"
                                ),
                            }
                        )
                    ),
                },
                {"OperatorName": Text(100)},
            ),
        }
    ),
    "authorize-start": Members(
        {"OperatorID": OPERATOR_ID, "Identification": IDENTIFICATION},
        {
            "SessionID": SESSION_ID,
            "EvseID": EVSE_ID,
            "PartnerProductID": PRODUCT_ID,
            **PARTNERS,
        },
    ),
    "authorize-stop": Members(
        {"SessionID": SESSION_ID, "OperatorID": OPERATOR_ID, "Identification": IDENTIFICATION},
        {"EvseID": EVSE_ID, **PARTNERS},
    ),
    "Start": Members(
        {"Type": words("Start"), "ChargingStart": Moment(), **NOTIFIED}, CHARGING_NOTIFIED_TOO
    ),
    "Progress": Members(
        {
            "Type": words("Progress"),
            "ChargingStart": Moment(),
            "EventOccurred": Moment(),
            **NOTIFIED,
        },
        {
            **CHARGING_NOTIFIED_TOO,
            "ChargingDuration": Whole(0),
            "ConsumedEnergyProgress": KWH,
            "MeterValueInBetween": BETWEEN,
        },
    ),
    "End": Members(
        {"Type": words("End"), "ChargingEnd": Moment(), **NOTIFIED},
        {
            **CHARGING_NOTIFIED_TOO,
            "ChargingStart": Moment(),
            "SessionEnd": Moment(),
            "ConsumedEnergy": KWH,
            "MeterValueEnd": KWH,
            "MeterValueInBetween": BETWEEN,
            "PenaltyTimeStart": Moment(),
        },
    ),
    "Error": Members(
        {
            "Type": words("Error"),
            # With a space in the text, without in the examples.
            "ErrorType": Either(
                words("ConnectorError", "CriticalError"),
                words("Connector Error", "Critical Error"),
            ),
            **NOTIFIED,
        },
        {**NOTIFIED_TOO, "ErrorAdditionalInfo": Text(250)},
    ),
    "cdr": Members(
        {
            "SessionID": SESSION_ID,
            "EvseID": EVSE_ID,
            "Identification": IDENTIFICATION,
            "SessionStart": Moment(),
            "SessionEnd": Moment(),
            "ChargingStart": Moment(),
            "ChargingEnd": Moment(),
            "ConsumedEnergy": Number(3, most=1000),
        },
        {
            **PARTNERS,
            "PartnerProductID": PRODUCT_ID,
            "MeterValueStart": KWH,
            "MeterValueEnd": KWH,
            "MeterValueInBetween": BETWEEN,
            "SignedMeteringValues": Each(
                Members(
                    {},
                    {
                        "SignedMeteringValue": Text(3000),
                        "MeteringStatus": words("Start", "Progress", "End"),
                    },
                ),
                most=10,
            ),
            "CalibrationLawVerificationInfo": VERIFICATION,
            "HubOperatorID": OPERATOR_ID,
            "HubProviderID": PROVIDER_ID,
        },
    ),
    "pricing-products": Members(
        {
            "ActionType": ACTION,
            "PricingProductData": Members(
                {
                    "OperatorID": OPERATOR_ID,
                    "ProviderID": PROVIDER_ID_OR_ALL,
                    "PricingDefaultPrice": PRICE,
                    "PricingDefaultPriceCurrency": CURRENCY,
                    "PricingDefaultReferenceUnit": UNIT,
                    "PricingProductDataRecords": Each(
                        Members(
                            {
                                "ProductID": Text(50),
                                "ReferenceUnit": UNIT,
                                "ProductPriceCurrency": CURRENCY,
                                "PricePerReferenceUnit": PRICE,
                                "MaximumProductChargingPower": Number(),
                                "IsValid24hours": Flag(),
                                "ProductAvailabilityTimes": Each(
                                    Members({"on": DAYS, "Periods": Each(PERIOD, 1)})
                                ),
                            },
                            {
                                "AdditionalReferences": Each(
                                    Members(
                                        {
                                            "AdditionalReference": words(
                                                "START FEE", "FIXED FEE", "PARKING FEE",
                                                "MINIMUM FEE", "MAXIMUM FEE",
                                            ),
                                            "AdditionalReferenceUnit": UNIT,
                                            "PricePerAdditionalReferenceUnit": PRICE,
                                        }
                                    )
                                )
                            },
                        )
                    ),
                },
                {"OperatorName": Text(100)},
            ),
        }
    ),
    "evse-pricing": Members(
        {
            "ActionType": ACTION,
            "EVSEPricing": Each(
                Members(
                    {
                        "EvseID": EVSE_ID,
                        "ProviderID": PROVIDER_ID_OR_ALL,
                        # Of objects with a ProductID by the text.
                        "EvseIDProductList": Either(
                            Each(Text(50), 1), Each(Members({"ProductID": Text(50)}), 1)
                        ),
                    }
                ),
                1,
            ),
        }
    ),
}  # fmt: skip
"""Each message that an operator sends; notifications by their type."""


def message_of(operation: str, body: Any) -> str:
    """Return a message's name in STANDARD."""
    return str(body.get("Type")) if operation == "notification" else operation


def faults(operation: str, body: Any) -> list[str]:
    """Return what the standard has against a message that we send: nothing, if it is right."""
    name = message_of(operation, body)
    found = list(STANDARD[name].faults(body, name))
    if operation == "evse-data":
        for record in body["OperatorEvseData"]["EvseDataRecord"]:
            if record.get("IsOpen24Hours") is False and "OpeningTimes" not in record:
                found.append("OpeningTimes is missing")
            if "No Payment" in record["PaymentOptions"] and len(record["PaymentOptions"]) > 1:
                found.append("No Payment goes with nothing else")
    if name == "Progress" and not {"ChargingDuration", "ConsumedEnergyProgress"} & body.keys():
        found.append("neither ChargingDuration nor ConsumedEnergyProgress")
    return found
