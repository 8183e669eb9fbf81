"""What the roaming hub is to be told: one row of `deliveries` for each thing it shall know.

waiting → delivered, or parked when the hub refused it for good: an operator looks at it and
queues it again. dropped: it became pointless while it waited. Rows of the catalogue (EVSEs,
statuses, prices) live for ever and wait anew whenever what they hold changes, so only the newest
state is ever sent; `payload` is what the hub shall have, `delivered` what it has.
"""

from __future__ import annotations

from enum import StrEnum

DELIVERIES_CHANNEL = "deliveries"
"""NOTIFY channel that wakes the relay; the payload is the queue, or empty for all."""


OUTBOX = "outbox"
"""Stands as the queue of an event that could not be turned into deliveries; the key is its id."""


class Queue(StrEnum):
    """The queues to the hub. Each is worked strictly one call after the other.

    The key of a row in each: an EVSE's key (`evse_id_key`), `<hub session>/<type>`, the hub's
    session, `<provider>/<product>`, an EVSE's key.
    """

    EVSE_DATA = "evse-data"
    EVSE_STATUS = "evse-status"
    NOTIFICATION = "notification"
    CHARGE_DETAIL_RECORD = "charge-detail-record"
    PRICING_PRODUCTS = "pricing-products"
    EVSE_PRICING = "evse-pricing"


class DeliveryState(StrEnum):
    """The life of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    PARKED = "parked"
    DROPPED = "dropped"
