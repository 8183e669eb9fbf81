"""EVSEs and prices as the hub wants them, written from what an operator filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from charging.master_data import ALWAYS_OPEN
from charging.time_zone import standard_offset

Json = dict[str, Any]

PRODUCTS_OF_EVSE = "EvseIDProductList"
"""The member of an EVSE's pricing that names its products."""

MOST_AMPERE = 99
"""OICP's Amperage has two digits. Source: hubject/oicp#153."""

_VERIFICATION = {
    "CalibrationLawCertificateID": "calibration_certificate",
    "PublicKey": "signature_public_key",
    "MeteringSignatureUrl": "signature_url",
    "MeteringSignatureEncodingFormat": "signature_format",
    "SignedMeteringValuesVerificationInstruction": "signature_instruction",
}

_FEES = {
    "start_fee": ("START FEE", None),
    "fixed_fee": ("FIXED FEE", None),
    "parking_fee_per_minute": ("PARKING FEE", "MINUTE"),
    "minimum_fee": ("MINIMUM FEE", None),
    "maximum_fee": ("MAXIMUM FEE", None),
}


def evse_record(evse_id: str, details: Json) -> Json:
    """Write an EvseDataRecord. details: `charging.master_data.details`. Raises KeyError."""
    opening = details["opening"]
    always = opening == [ALWAYS_OPEN]
    facility: Json = {
        "PowerType": details["power_type"],
        "Power": _whole_kw(details["power_kw"]),
    }
    if "voltage_v" in details:
        facility["Voltage"] = details["voltage_v"]
    if details.get("current_a", MOST_AMPERE + 1) <= MOST_AMPERE:
        facility["Amperage"] = details["current_a"]
    address: Json = {
        "Country": details["country"],
        "City": details["city"],
        "Street": details["street"],
        "PostalCode": details["postal_code"],
        "HouseNum": details["house_number"],
    }
    if "time_zone" in details:
        address["TimeZone"] = standard_offset(details["time_zone"])
    record: Json = {
        "EvseID": evse_id,
        "ChargingStationNames": [{"lang": details["language"], "value": details["name"]}],
        "Address": address,
        "GeoCoordinates": {
            "DecimalDegree": {
                "Latitude": details["latitude"],
                "Longitude": details["longitude"],
            }
        },
        "Plugs": details["plugs"],
        "ChargingFacilities": [facility],
        "RenewableEnergy": details["renewable_energy"],
        "CalibrationLawDataAvailability": details["calibration_law"],
        "AuthenticationModes": details["authentication_modes"],
        "PaymentOptions": details["payment_options"],
        "ValueAddedServices": details["value_added_services"],
        "Accessibility": details["accessibility"],
        "HotlinePhoneNumber": details["hotline"],
        "IsOpen24Hours": always,
        "IsHubjectCompatible": True,
        # We tell every change of status.
        "DynamicInfoAvailable": "true",
    }
    if "station_id" in details:
        record["ChargingStationID"] = details["station_id"]
    if not always:
        record["OpeningTimes"] = [_opening(span) for span in opening]
    return record


def _whole_kw(power_kw: str) -> int:
    """Return a power as OICP has it: whole kW, and never none."""
    return max(1, int(Decimal(power_kw).quantize(Decimal(1), ROUND_HALF_UP)))


def verification(details: Mapping[str, Any]) -> Json:
    """Write CalibrationLawVerificationInfo: by what an EVSE's signed values are verified."""
    return {member: details[name] for member, name in _VERIFICATION.items() if name in details}


def _opening(span: str) -> Json:
    days, begin, end = re.split("[ -]", span)
    return {"on": days, "Period": [{"begin": begin, "end": end}]}


def status_record(evse_id: str, status: str) -> Json:
    """Write an EvseStatusRecord."""
    return {"EvseID": evse_id, "EvseStatus": status}


def product_record(product_id: str, details: Json) -> Json:
    """Write a PricingProductDataRecord. details: `charging.price.details`. Raises KeyError."""
    record: Json = {
        "ProductID": product_id,
        "ReferenceUnit": details["unit"],
        "ProductPriceCurrency": details["currency"],
        "PricePerReferenceUnit": Decimal(details["price"]),
        "MaximumProductChargingPower": Decimal(details["max_power_kw"]),
        "IsValid24hours": True,
        "ProductAvailabilityTimes": [
            {"Periods": [{"begin": "00:00", "end": "23:59"}], "on": "Everyday"}
        ],
    }
    references = []
    for name, (reference, unit) in _FEES.items():
        if name in details:
            references.append(
                {
                    "AdditionalReference": reference,
                    "AdditionalReferenceUnit": unit or details["unit"],
                    "PricePerAdditionalReferenceUnit": Decimal(details[name]),
                }
            )
    if references:
        record["AdditionalReferences"] = references
    return record


def default_price(details: Json) -> Json:
    """Write the members of PricingProductData that hold a provider's default price."""
    return {
        "PricingDefaultPrice": Decimal(details["price"]),
        "PricingDefaultPriceCurrency": details["currency"],
        "PricingDefaultReferenceUnit": details["unit"],
    }


def evse_pricing(evse_id: str, provider_id: str, product_ids: list[str]) -> Json:
    """Write an EVSEPricing."""
    return {
        "EvseID": evse_id,
        "ProviderID": provider_id,
        PRODUCTS_OF_EVSE: product_ids,
    }
