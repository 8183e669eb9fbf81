"""Roaming: EVSEs and prices that the hub offers, what waits for it, and what it refused."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.price import ALL_PROVIDERS
from operations import evses, hub, prices
from operations.api.endpoints import Body, Query, endpoint
from operations.evses import Evse, Imported
from operations.hub import Doubtful, HubQueue, HubSession, Parked
from operations.people import Role
from operations.prices import Price


class LimitQuery(Query):
    """How many."""

    limit: int = Field(100, ge=1, le=1000)


class Offer(Body):
    """EVSE ids, and whether they are offered to the hub."""

    evse_ids: list[str] = Field(min_length=1)
    roaming: bool


class Name(Body):
    """A connector's EVSE id."""

    evse_id: str
    roaming: bool = True


class PriceQuery(Query):
    """Whose price; ``*`` for all providers'."""

    provider: str = ALL_PROVIDERS


class Requeue(Body):
    """found_right: it was looked into, and is sent although it is not plausible."""

    found_right: bool = False


class Reason(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=300)


@dataclass(frozen=True)
class Keys:
    """EVSE ids as they are compared."""

    evse_ids: list[str]


@dataclass(frozen=True)
class Rows:
    """How many rows a table has that was imported."""

    imported: int


@endpoint("GET", "/evses")
def list_evses(connection: Connection) -> list[Evse]:
    """List all EVSEs with their state, here and at the hub."""
    return evses.list_all(connection)


@endpoint("PUT", "/charging-points/{charging_point}/evses/{evse}/name", Role.OPERATOR)
def name_evse(
    connection: Connection, by: Asker, charging_point: str, evse: int, body: Name
) -> Keys:
    """Give a connector its EVSE id."""
    key = evses.name(connection, charging_point, evse, body.evse_id, by=by, roaming=body.roaming)
    return Keys([key])


@endpoint("POST", "/evses/offer", Role.OPERATOR)
def offer_evses(connection: Connection, by: Asker, body: Offer) -> Keys:
    """Offer EVSEs to the hub, or withdraw them."""
    return Keys(evses.set_roaming(connection, body.evse_ids, by=by, roaming=body.roaming))


@endpoint("POST", "/evses/import", Role.OPERATOR)
def import_evses(connection: Connection, by: Asker, table: str) -> Imported:
    """Name EVSEs and fill in their master data by a table; nothing, where a row is wrong."""
    return evses.import_table(connection, table, by=by)


@endpoint("GET", "/prices")
def list_prices(connection: Connection) -> list[Price]:
    """List what drivers of other providers are asked."""
    return prices.list_all(connection)


@endpoint("POST", "/prices/import", Role.OPERATOR)
def import_prices(connection: Connection, by: Asker, table: str) -> Rows:
    """Add or change prices by a table; nothing, where a row is wrong."""
    return Rows(prices.import_table(connection, table, by=by))


@endpoint("DELETE", "/prices/{product}", Role.OPERATOR, status=204)
def remove_price(connection: Connection, by: Asker, product: str, query: PriceQuery) -> None:
    """Take a price away that no EVSE has."""
    prices.remove(connection, product, by=by, provider=query.provider)


@endpoint("GET", "/hub/queues")
def list_hub_queues(connection: Connection) -> list[HubQueue]:
    """List the queues to the hub: what waits, since when, what was refused."""
    return hub.list_queues(connection)


@endpoint("POST", "/hub/queues/{queue}/full-load", Role.OPERATOR, status=204)
def request_full_load(connection: Connection, by: Asker, queue: str) -> None:
    """Have all of a queue sent again, which replaces what the hub has."""
    hub.request_full_load(connection, queue, by=by)


@endpoint("GET", "/hub/parked")
def list_parked(connection: Connection) -> list[Parked]:
    """List what the hub refused, and why."""
    return hub.list_parked(connection)


@endpoint("POST", "/hub/parked/{delivery}/requeue", Role.OPERATOR, status=204)
def requeue(connection: Connection, by: Asker, delivery: int, body: Requeue) -> None:
    """Send something again that the hub refused."""
    hub.requeue(connection, [delivery], by=by, found_right=body.found_right)


@endpoint("POST", "/hub/parked/{delivery}/drop", Role.OPERATOR, status=204)
def drop(connection: Connection, by: Asker, delivery: int, body: Reason) -> None:
    """Give something up that the hub refused; it stays in the books with the reason."""
    hub.drop(connection, delivery, body.reason, by=by)


@endpoint("GET", "/hub/doubtful")
def list_doubtful(connection: Connection) -> list[Doubtful]:
    """List what counts as arrived by an answer that may mean something else."""
    return hub.list_doubtful(connection)


@endpoint("POST", "/hub/doubtful/{delivery}/confirm", Role.OPERATOR, status=204)
def confirm(connection: Connection, by: Asker, delivery: int, body: Reason) -> None:
    """Note that somebody has seen it at the hub."""
    hub.confirm(connection, delivery, body.reason, by=by)


@endpoint("GET", "/hub/sessions")
def list_hub_sessions(connection: Connection, query: LimitQuery) -> list[HubSession]:
    """List the hub's sessions, the newest first, with their records."""
    return hub.list_sessions(connection, limit=query.limit)
