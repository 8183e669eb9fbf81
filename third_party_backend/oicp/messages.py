"""The messages between the hub and us: tolerant in reading, strict in writing.

Members are named as OICP names them, in the alias; unknown ones are ignored and null is the
same as absent, because the hub sends both.
"""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)

from charging.identity import parse_evse_id
from third_party_backend.oicp.identification import checked, uid_of
from third_party_backend.oicp.status import DESCRIPTIONS, StatusCode
from third_party_backend.partners.terms import (
    NO_REFERENCES,
    EndRequest,
    References,
    Request,
    provider_key,
)

SESSION_ID = re.compile(r"[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{12}")
_PROVIDER_ID = re.compile(r"[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}")
MAX_ADDITIONAL_INFO = 1000


class MessageError(ValueError):
    """A request that cannot be read. status_code: what the hub is answered."""

    def __init__(self, status_code: StatusCode, info: str) -> None:
        super().__init__(info)
        self.status_code = status_code
        self.info = info[:MAX_ADDITIONAL_INFO]


def _session_id(text: str) -> str:
    if not SESSION_ID.fullmatch(text):
        raise ValueError("is no session id")
    return text


def _provider_id(text: str) -> str:
    if not _PROVIDER_ID.fullmatch(text):
        raise ValueError("is no provider id")
    return text


def _storable(text: str) -> str:
    """Check text that is kept as it came: a database takes neither NUL nor half a character."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("has characters that are no text")
    return text


SessionId = Annotated[str, AfterValidator(_session_id)]
ProviderId = Annotated[str, AfterValidator(_provider_id)]
EvseId = Annotated[str, AfterValidator(parse_evse_id)]
PartnerSessionId = Annotated[str, Field(max_length=250), AfterValidator(_storable)]
ProductId = Annotated[str, Field(max_length=100), AfterValidator(_storable)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    spelling: SessionId = Field(validation_alias="SessionID")
    provider_id: ProviderId = Field(validation_alias="ProviderID")
    evse_id: EvseId = Field(validation_alias="EvseID")
    cpo_partner_session_id: PartnerSessionId | None = Field(
        None, validation_alias="CPOPartnerSessionID"
    )
    emp_partner_session_id: PartnerSessionId | None = Field(
        None, validation_alias=AliasChoices("EMPPartnerSessionID", "EMPPartnerSessionId")
    )

    @property
    def hub_session_id(self) -> str:
        """The session, in the one spelling of those that are equal by which it is kept."""
        return self.spelling.lower()

    def end_request(self) -> EndRequest:
        """Return what ends in no partner's words."""
        return EndRequest(self.hub_session_id, self.spelling, self.provider_id)


class _Start(_Request):
    identification: Annotated[dict[str, Any], AfterValidator(checked)] = Field(
        validation_alias="Identification"
    )
    partner_product_id: ProductId | None = Field(None, validation_alias="PartnerProductID")

    def request(self) -> Request:
        """Return it in no partner's words."""
        return Request(
            self.hub_session_id,
            self.spelling,
            self.provider_id,
            self.evse_id,
            self.identification,
            uid_of(self.identification),
            self.emp_partner_session_id,
            self.partner_product_id,
        )


def _checked_remote(identification: dict[str, Any]) -> dict[str, Any]:
    return checked(identification, remote=True)


class RemoteStart(_Start):
    """AuthorizeRemoteStart v2.1."""

    identification: Annotated[dict[str, Any], AfterValidator(_checked_remote)] = Field(
        validation_alias="Identification"
    )


class RemoteStop(_Request):
    """AuthorizeRemoteStop v2.1."""


class ReservationStart(_Start):
    """AuthorizeRemoteReservationStart v1.1. The hub may leave session and duration to us."""

    spelling: SessionId = Field(
        default_factory=lambda: str(uuid.uuid4()), validation_alias="SessionID"
    )
    duration_minutes: Annotated[int, Field(ge=1, le=99)] | None = Field(
        None, validation_alias="Duration"
    )

    def reservation(self, default_minutes: int) -> Request:
        """Return it in no partner's words. default_minutes: where the hub names no duration."""
        minutes = self.duration_minutes or default_minutes
        return replace(self.request(), keep_for=timedelta(minutes=minutes))


class ReservationStop(_Request):
    """AuthorizeRemoteReservationStop v1.1."""


Message = TypeVar("Message", bound=_Request)


def read(model: type[Message], text: bytes, provider_id: str) -> Message:
    """Read a request.

    text: the body, whatever it is. provider_id: from the path; it stands in where the body has
    none. Raises MessageError: 022 for what cannot be read, 017 for two different providers.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(StatusCode.DATA_ERROR, "the body is no JSON that can be read") from error
    if not isinstance(body, dict):
        raise MessageError(StatusCode.DATA_ERROR, "a JSON object is expected")
    present = _without_nulls(body, _DEEPEST)
    present.setdefault("ProviderID", provider_id)
    try:
        message = model.model_validate(present)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise MessageError(StatusCode.DATA_ERROR, faults) from error
    if provider_key(message.provider_id) != provider_key(provider_id):
        raise MessageError(
            StatusCode.NOT_AUTHORIZED, "the ProviderID of the path is not that of the message"
        )
    return message


_DEEPEST = 3
"""How deep a member of a request can stand that means something; no deeper one is read."""


def _without_nulls(value: dict[str, Any], depth: int) -> dict[str, Any]:
    return {
        name: _without_nulls(member, depth - 1)
        if isinstance(member, dict) and depth > 1
        else member
        for name, member in value.items()
        if member is not None
    }


def acknowledgment(
    status_code: StatusCode,
    info: str = "",
    hub_session_id: str | None = None,
    references: References = NO_REFERENCES,
) -> dict[str, Any]:
    """Write an Acknowledgment; Result is true with 000 only. info: for a person."""
    status = {"Code": status_code.value, "Description": DESCRIPTIONS[status_code]}
    if info:
        status["AdditionalInfo"] = info[:MAX_ADDITIONAL_INFO]
    partners = {
        "SessionID": hub_session_id,
        "CPOPartnerSessionID": references.ours,
        "EMPPartnerSessionID": references.theirs,
    }
    return {
        "Result": status_code is StatusCode.SUCCESS,
        "StatusCode": status,
        **{name: value for name, value in partners.items() if value is not None},
    }


def code_of(answer: dict[str, Any]) -> str:
    """Return the status code of an Acknowledgment."""
    code: str = answer["StatusCode"]["Code"]
    return code
