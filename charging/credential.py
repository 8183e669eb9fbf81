"""Passwords of charging points: made by a machine, kept as a salted fast hash.

Why a fast hash is right here: docs/decisions/0003-machine-made-passwords.md.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

SALT_BYTES = 16
HASH_BYTES = 32
PASSWORD_ENTROPY_BYTES = 18
MIN_PASSWORD_BYTES, MAX_PASSWORD_BYTES = 8, 64


def new_password() -> str:
    """Return a new password of 24 printable characters holding 18 bytes of entropy.

    It fits every OCPP version: 1.6 allows 16 to 20 *bytes* for the security extension's
    AuthorizationKey in hex, 2.x 16 to 40 characters; printable passwords work as both.
    """
    return secrets.token_urlsafe(PASSWORD_ENTROPY_BYTES)


def parse_password(text: str) -> str:
    """Check a password that somebody else has made, and return it. Raises ValueError.

    8 to 64 bytes, the bounds of what charging points take: 16 to 20 by the standards, more and
    less in the field. Source: OCPP-J 1.6 section 6.2.2; OCPP 2.0.1 part 2, BasicAuthPassword.
    """
    length = len(text.encode())
    if not MIN_PASSWORD_BYTES <= length <= MAX_PASSWORD_BYTES:
        raise ValueError(
            f"a password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes, this one {length}"
        )
    return text


def hash_password(password: bytes, salt: bytes) -> bytes:
    """Return the 32-byte salted hash that the database keeps instead of the password."""
    return hashlib.blake2b(password, digest_size=HASH_BYTES, salt=salt).digest()


def new_salt() -> bytes:
    """Return 16 random bytes, one salt a password."""
    return secrets.token_bytes(SALT_BYTES)


def password_matches(password: bytes, salt: bytes, expected: bytes) -> bool:
    """Say in constant time whether a password is the one that was hashed."""
    return hmac.compare_digest(hash_password(password, salt), expected)
