"""What we call at the hub: path, limit and body of each operation. Source: OICP 2.3, CPO side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from charging.delivery import Queue
from third_party_backend.oicp.identification import of_uid

Json = dict[str, Any]


class Action(StrEnum):
    """ActionType of a push."""

    FULL_LOAD = "fullLoad"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Operator:
    """We, as the hub knows us."""

    operator_id: str
    operator_name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the hub. path: after ``/api/oicp``; an operator id needs no encoding."""

    path: str
    body: Json


CALLS_PER_MINUTE = {
    Queue.EVSE_DATA: 375,
    Queue.EVSE_STATUS: 2000,
    Queue.NOTIFICATION: 100,
    Queue.CHARGE_DETAIL_RECORD: 350,
    Queue.PRICING_PRODUCTS: 6,
    Queue.EVSE_PRICING: 6,
}
AUTHORIZE_STARTS_PER_MINUTE = 200
AUTHORIZE_STOPS_PER_MINUTE = 50


def push(queue: Queue, operator: Operator, action: Action, records: Sequence[Json]) -> Call:
    """Write the call that delivers records of one queue.

    records: one for notifications and charge detail records, of one provider for products;
    action is without meaning for the first two.
    """
    ours = f"operators/{operator.operator_id}"
    match queue:
        case Queue.EVSE_DATA:
            return Call(
                f"/evsepush/v23/{ours}/data-records",
                {
                    "ActionType": action.value,
                    "OperatorEvseData": {
                        "OperatorID": operator.operator_id,
                        "OperatorName": operator.operator_name,
                        "EvseDataRecord": list(records),
                    },
                },
            )
        case Queue.EVSE_STATUS:
            return Call(
                f"/evsepush/v21/{ours}/status-records",
                {
                    "ActionType": action.value,
                    "OperatorEvseStatus": {
                        "OperatorID": operator.operator_id,
                        "OperatorName": operator.operator_name,
                        "EvseStatusRecord": list(records),
                    },
                },
            )
        case Queue.NOTIFICATION:
            return Call("/notificationmgmt/v11/charging-notifications", records[0])
        case Queue.CHARGE_DETAIL_RECORD:
            return Call(f"/cdrmgmt/v22/{ours}/charge-detail-record", records[0])
        case Queue.PRICING_PRODUCTS:
            return Call(
                f"/dynamicpricing/v10/{ours}/pricing-products",
                {
                    "ActionType": action.value,
                    "PricingProductData": _products(operator, records),
                },
            )
        case Queue.EVSE_PRICING:
            return Call(
                f"/dynamicpricing/v10/{ours}/evse-pricing",
                {"ActionType": action.value, "EVSEPricing": list(records)},
            )


def _products(operator: Operator, records: Sequence[Json]) -> Json:
    """Write PricingProductData. A row holds provider and default price beside the record itself.

    Rows of the version before have no default price: theirs is the first record's.
    """
    first = records[0]["record"]
    default = records[0].get("default") or {
        "PricingDefaultPrice": first["PricePerReferenceUnit"],
        "PricingDefaultPriceCurrency": first["ProductPriceCurrency"],
        "PricingDefaultReferenceUnit": first["ReferenceUnit"],
    }
    return {
        "OperatorID": operator.operator_id,
        "OperatorName": operator.operator_name,
        "ProviderID": records[0]["provider"],
        **default,
        "PricingProductDataRecords": [record["record"] for record in records],
    }


def authorize_start(
    operator: Operator, uid: str, evse_id: str | None, cpo_partner_session_id: str
) -> Call:
    """Ask whether a card may charge. evse_id: where, so far as it is known."""
    return Call(
        f"/charging/v21/operators/{operator.operator_id}/authorize/start",
        {
            "OperatorID": operator.operator_id,
            "Identification": of_uid(uid),
            "CPOPartnerSessionID": cpo_partner_session_id,
            **({"EvseID": evse_id} if evse_id else {}),
        },
    )


def authorize_stop(
    operator: Operator,
    uid: str,
    evse_id: str | None,
    hub_session_id: str,
    cpo_partner_session_id: str,
) -> Call:
    """Ask whether a card may end a session that another began."""
    return Call(
        f"/charging/v21/operators/{operator.operator_id}/authorize/stop",
        {
            "SessionID": hub_session_id,
            "OperatorID": operator.operator_id,
            "Identification": of_uid(uid),
            "CPOPartnerSessionID": cpo_partner_session_id,
            **({"EvseID": evse_id} if evse_id else {}),
        },
    )
