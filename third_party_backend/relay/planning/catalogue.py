"""EVSEs, their statuses and which prices they have: what the hub shall know of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from charging.database.connection import Connection
from charging.delivery import Queue
from charging.evse import EvseState, shown_state
from third_party_backend.oicp import catalogue
from third_party_backend.oicp.status import evse_status
from third_party_backend.relay import planned
from third_party_backend.relay.database import Json
from third_party_backend.relay.planning.context import Context, Event


class Evse(NamedTuple):
    """A row of `evses` that has a name. details: None before the operator filled them in.

    state, whole_state: its own, and that of the charging point as a whole. absent: offline beyond
    the grace period.
    """

    evse_id: str
    key: str
    roaming: bool
    state: str
    whole_state: str
    absent: bool
    details: Any


@dataclass(slots=True)
class Wanted:
    """What the hub shall have, by key, and the keys of EVSEs of which it shall have nothing."""

    data: dict[str, Json] = field(default_factory=dict)
    statuses: dict[str, Json] = field(default_factory=dict)
    prices: dict[str, Json] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def wanted(evses: Iterable[Evse], providers: Mapping[str, Sequence[str]]) -> Wanted:
    """Decide what the hub shall know of EVSEs. providers: for each product, those it is for.

    Raises KeyError for details that lack a member.
    """
    result = Wanted()
    for evse in evses:
        if not evse.roaming or evse.details is None:
            result.gone.append(evse.key)
            continue
        result.data[evse.key] = catalogue.evse_record(evse.evse_id, evse.details)
        result.statuses[evse.key] = _status_record(evse)
        products = evse.details.get("prices", ())
        for provider, its_products in _by_provider(products, providers).items():
            result.prices[f"{evse.key}/{provider}"] = catalogue.evse_pricing(
                evse.evse_id, provider, its_products
            )
    return result


def changed(context: Context, events: Sequence[Event]) -> None:
    """Plan EVSEs whose name, master data or place in roaming changed."""
    if former := [e.payload["former_key"] for e in events if e.payload.get("former_key")]:
        plan_no_evses(context.connection, former)
    plan_evses(context.connection, sorted({event.charging_point_id for event in events}))


def plan_evses(connection: Connection, charging_point_ids: Sequence[str]) -> None:
    """Plan what the hub shall know of the EVSEs of charging points."""
    if not charging_point_ids:
        return
    evses = _evses(connection, charging_point_ids)
    products = {name for evse in evses for name in (evse.details or {}).get("prices", ())}
    result = wanted(evses, _providers(connection, sorted(products)))
    planned.state(connection, Queue.EVSE_DATA, result.data)
    planned.state(connection, Queue.EVSE_STATUS, result.statuses)
    planned.state(connection, Queue.EVSE_PRICING, result.prices)
    _plan_no_prices(connection, list(result.data), keep=list(result.prices))
    plan_no_evses(connection, result.gone)


def plan_statuses(connection: Connection, charging_point_ids: Sequence[str]) -> None:
    """Plan the statuses of EVSEs of charging points, of those that the hub shall know."""
    if not charging_point_ids:
        return
    planned.state(
        connection,
        Queue.EVSE_STATUS,
        {
            evse.key: _status_record(evse)
            for evse in _evses(connection, charging_point_ids, whole=False)
            if evse.roaming and evse.details is not None
        },
    )


def plan_no_evses(connection: Connection, keys: Sequence[str]) -> None:
    """Plan that the hub shall not know these EVSEs (any more)."""
    planned.removal(connection, Queue.EVSE_STATUS, keys)
    planned.removal(connection, Queue.EVSE_DATA, keys)
    _plan_no_prices(connection, keys, keep=[])


def _plan_no_prices(connection: Connection, keys: Sequence[str], keep: Sequence[str]) -> None:
    if not keys:
        return
    rows = connection.execute(
        "SELECT key FROM deliveries WHERE queue = 'evse-pricing' AND payload IS NOT NULL"
        " AND split_part(key, '/', 1) = ANY(%s) AND NOT key = ANY(%s)",
        [list(keys), list(keep)],
    ).fetchall()
    planned.removal(connection, Queue.EVSE_PRICING, [row[0] for row in rows])


def _evses(
    connection: Connection, charging_point_ids: Sequence[str], *, whole: bool = True
) -> list[Evse]:
    """Read EVSEs. whole: with their details; otherwise an object stands for details there are."""
    details = "d.details" if whole else "CASE WHEN d.details IS NOT NULL THEN '{}'::jsonb END"
    rows = connection.execute(
        f"""
        SELECT e.evse_id, e.evse_id_key, e.roaming, e.state,
               coalesce(whole.state, %s), coalesce(a.told, false), {details}
        FROM evses AS e
        LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
        LEFT JOIN evses AS whole ON whole.charging_point_id = e.charging_point_id
            AND whole.evse_number = 0
        LEFT JOIN absences AS a ON a.charging_point_id = e.charging_point_id
        WHERE e.charging_point_id = ANY(%s) AND e.evse_id IS NOT NULL
        ORDER BY e.charging_point_id, e.evse_number
        """.encode(),
        [EvseState.UNKNOWN.value, list(charging_point_ids)],
    ).fetchall()
    return [Evse(*row) for row in rows]


def _status_record(evse: Evse) -> Json:
    state = shown_state(EvseState(evse.state), EvseState(evse.whole_state), absent=evse.absent)
    return catalogue.status_record(evse.evse_id, evse_status(state))


def _providers(connection: Connection, product_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return, for products, the providers that they are for."""
    found: dict[str, list[str]] = {}
    if product_ids:
        for provider_id, product_id in connection.execute(
            "SELECT provider_id, product_id FROM price_products WHERE product_id = ANY(%s)"
            " ORDER BY provider_id",
            [list(product_ids)],
        ):
            found.setdefault(product_id, []).append(provider_id)
    return found


def _by_provider(
    product_ids: Sequence[str], providers: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for product_id in product_ids:
        for provider_id in providers.get(product_id, ()):
            grouped.setdefault(provider_id, []).append(product_id)
    return grouped
