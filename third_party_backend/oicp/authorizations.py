"""The hub's answer whether a card may charge. Source: OICP 2.3, AuthorizationStart, -Stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from third_party_backend.oicp.identification import uid_of
from third_party_backend.oicp.messages import SESSION_ID

Json = dict[str, Any]

MAX_REFERENCE_LENGTH = 250
"""Of a partner's own session id. Source: OICP 2.3, type PartnerSessionID."""


@dataclass(frozen=True, slots=True)
class HubAuthorization:
    """A card that the hub authorized.

    hub_session_id: in small letters; hub_spelling: as it came. uids_to_stop: cards that may end the
    session too.
    """

    hub_session_id: str
    hub_spelling: str
    provider_id: str
    emp_partner_session_id: str | None
    uids_to_stop: list[str]


def is_authorized(body: Json | None) -> bool:
    """Return whether the hub lets the card do what was asked."""
    return str((body or {}).get("AuthorizationStatus")).strip().lower() == "authorized"


class UnusableError(ValueError):
    """The hub authorized a card in such a way that no session can be made of it."""


def read_authorization(body: Json) -> HubAuthorization:
    """Read the answer to a start that was authorized.

    Raises UnusableError where it names no session or no provider: nobody could be billed.
    """
    session, provider = body.get("SessionID"), body.get("ProviderID")
    session = session.strip() if isinstance(session, str) else session
    provider = provider.strip() if isinstance(provider, str) else provider
    if not isinstance(session, str) or not SESSION_ID.fullmatch(session):
        raise UnusableError(f"its SessionID is {_short(session)}, which is no session id")
    if not isinstance(provider, str) or not provider.isprintable() or not provider:
        raise UnusableError(f"its ProviderID is {_short(provider)}")
    stops = body.get("AuthorizationStopIdentifications")
    uids = map(uid_of, stops if isinstance(stops, list) else ())
    theirs = body.get("EMPPartnerSessionID")
    return HubAuthorization(
        session.lower(),
        session,
        provider,
        theirs if isinstance(theirs, str) and _can_be_sent_back(theirs) else None,
        [uid for uid in uids if uid is not None],
    )


def _can_be_sent_back(reference: str) -> bool:
    """Return whether the hub takes a provider's reference in a record of the session."""
    return reference.isprintable() and len(reference) <= MAX_REFERENCE_LENGTH


def _short(value: object) -> str:
    return ascii(value)[:60]
