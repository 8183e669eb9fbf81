"""The words between partners' dialects and what we do for their drivers. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from charging.refusal import Refusal

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class References:
    """What we and the provider call a session, beside the hub's own id of it."""

    ours: str | None = None
    theirs: str | None = None


NO_REFERENCES = References()


@dataclass(frozen=True, slots=True)
class Request:
    """A provider's driver wants to use an EVSE: now, or, with keep_for, later.

    hub_session_id: in small letters, so that its spellings are equal; hub_spelling: as it came.
    evse_id: in any spelling. identification: the driver's, as the partner writes it. uid: of the
    driver's card, where it is one. theirs: the provider's own id of the session. product_id: the
    provider's name of the tariff.
    """

    hub_session_id: str
    hub_spelling: str
    provider_id: str
    evse_id: str
    identification: Json
    uid: str | None = None
    theirs: str | None = None
    product_id: str | None = None
    keep_for: timedelta | None = None


@dataclass(frozen=True, slots=True)
class EndRequest:
    """A provider's driver wants no more of what a request began. The ids are as in Request."""

    hub_session_id: str
    hub_spelling: str
    provider_id: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A command is on its way to the charging point; its outcome becomes the answer."""

    command_id: int
    references: References


@dataclass(frozen=True, slots=True)
class Refused:
    """The charging point is not asked. detail: one sentence for a person, empty for none."""

    refusal: Refusal
    detail: str = ""
    references: References = NO_REFERENCES


@dataclass(frozen=True, slots=True)
class Done:
    """It is as was asked for, without asking the charging point."""

    references: References


@dataclass(frozen=True, slots=True)
class Answered:
    """The same request was answered before, with this."""

    answer: Json


def provider_key(provider_id: str) -> str:
    """Return what the spellings of a provider id have in common: ``DE-ABC`` is ``DE*ABC``."""
    return re.sub(r"[*-]", "", provider_id).upper()
