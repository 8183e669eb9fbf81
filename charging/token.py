"""A token that a driver shows to charge: its value and what kind of token it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from charging.identity import InvalidIdentityError, id_tag_key, is_hub_token, rfid_uid


class TokenKind(StrEnum):
    """Who could know a token, as far as its form tells."""

    CARD = "card"
    """The UID of an RFID card: ours, or one that the roaming hub may know."""
    HUB_SESSION = "hub_session"
    """Made by us for one session of the hub; nobody carries it."""
    OTHER = "other"
    """Anything else: only ours, if anybody's."""


@dataclass(frozen=True, slots=True)
class Token:
    """value: in the form in which two spellings of a token are equal; empty if unreadable."""

    value: str
    kind: TokenKind

    @property
    def concerns_hub(self) -> bool:
        """Whether a session of the hub may have to do with it."""
        return self.kind is not TokenKind.OTHER


def token_of(text: str) -> Token:
    """Read a token as a charging point sends it.

    It never fails, since the session that began with it must be kept: what has not the form of a
    token becomes an empty value, which is registered nowhere.
    """
    try:
        value = id_tag_key(text)
    except InvalidIdentityError:
        return Token("", TokenKind.OTHER)
    if is_hub_token(value):
        return Token(value, TokenKind.HUB_SESSION)
    return Token(value, TokenKind.OTHER if rfid_uid(value) is None else TokenKind.CARD)
