"""A reading's samples in two parts: the form, which repeats, and the values.

A charging point says measurand, unit, phase and place of its eight samples with every reading,
nine hundred bytes of which a hundred change. The form is the samples' JSON, cut where the values
stand; form and values together are every byte of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

_MAX_FORM_BYTES = 8_000
_HOLE = b"\0"  # no text of JSON holds one
_MAX_VALUES_BYTES = 2_000
# No number that PostgreSQL's JSON would refuse: what has been cut can always be put together.
_NUMBER = rb"(-?[0-9]{1,15}(?:\.[0-9]{1,15})?)(?=[,}])"
_COMPACT_NUMBER = re.compile(rb'"value":' + _NUMBER)
_SPACED_NUMBER = re.compile(rb'"value": ' + _NUMBER)
# A signature is as long as all else, and never comes twice: such a reading stays as it came.
_SIGNED = b"igned"


def cut(samples: bytes, *, spaced: bool = False) -> tuple[bytes, bytes] | None:
    """Cut samples, as JSON without spaces, into their form and their values.

    The values are parted by commas. None: they cannot be cut, or it would not be worth it.
    spaced: with a space after each colon, as PostgreSQL writes JSON.
    """
    if _SIGNED in samples:
        return None
    key = b'"value": ' if spaced else b'"value":'
    head, *tails = samples.split(key + b'"')  # as OCPP 1.6 has values
    if tails:
        # Not by a regular expression: this is done with every reading, and takes half as long.
        ends = [tail.partition(b'"') for tail in tails]
        values = b",".join([end[0] for end in ends])
        if b"\\" in values or values.count(b",") >= len(ends):
            return None
        form = (key + b'"' + _HOLE + b'"').join([head, *[end[2] for end in ends]])
    else:  # as 2.x has them
        parts = (_SPACED_NUMBER if spaced else _COMPACT_NUMBER).split(samples)
        if len(parts) == 1:
            return None
        values = b",".join(parts[1::2])
        form = (key + _HOLE).join(parts[::2])
    if len(form) > _MAX_FORM_BYTES or len(values) > _MAX_VALUES_BYTES:
        return None
    return form, values


def pieces_of(form: bytes) -> list[str]:
    """Return what stands before, between and after the values."""
    return [piece.decode() for piece in form.split(_HOLE)]


def form_of(pieces: Sequence[str]) -> bytes:
    """Return the form that has these pieces."""
    return _HOLE.join(piece.encode() for piece in pieces)


def number_of(form: bytes) -> int:
    """Return the number by which a form is known: 8 bytes of hash, as a signed number, not 0."""
    return int.from_bytes(blake2b(form, digest_size=8).digest(), "big", signed=True) or 1
