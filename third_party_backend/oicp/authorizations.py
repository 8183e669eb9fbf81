"""The hub's answer whether a card may charge. Source: OICP 2.3, AuthorizationStart, -Stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from third_party_backend.oicp.identification import uid_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class HubAuthorization:
    """A card that the hub authorized. uids_to_stop: cards that may end the session too."""

    hub_session_id: str
    provider_id: str
    emp_partner_session_id: str | None
    uids_to_stop: list[str]


def is_authorized(body: Json | None) -> bool:
    """Return whether the hub lets the card do what was asked."""
    return (body or {}).get("AuthorizationStatus") == "Authorized"


def session_of(body: Json | None) -> str | None:
    """Return the hub's session that an answer names."""
    session: str | None = (body or {}).get("SessionID")
    return session


def read_authorization(body: Json) -> HubAuthorization:
    """Read the answer to a start that was authorized. Raises KeyError where it is not whole."""
    stops = map(uid_of, body.get("AuthorizationStopIdentifications") or ())
    return HubAuthorization(
        str(body["SessionID"]),
        str(body["ProviderID"]),
        body.get("EMPPartnerSessionID"),
        [uid for uid in stops if uid is not None],
    )
