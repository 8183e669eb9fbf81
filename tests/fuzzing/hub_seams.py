"""What the roaming hub says: its requests, and its answers to ours."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.fuzzing.mutation import Mutator
from tests.fuzzing.seams import Defect
from third_party_backend.incoming import Extent, Incoming
from third_party_backend.oicp.authorizations import (
    UnusableError,
    is_authorized,
    read_authorization,
)
from third_party_backend.oicp.messages import (
    MessageError,
    RemoteStart,
    RemoteStop,
    ReservationStart,
    ReservationStop,
    acknowledgment,
    read,
)
from third_party_backend.oicp.verdicts import Verdict, judge

_SESSION = "f98efba4-02d8-4fa0-b810-9a9d50d2c527"
_START = {
    "SessionID": _SESSION,
    "CPOPartnerSessionID": "ours",
    "EMPPartnerSessionID": "theirs",
    "ProviderID": "DE-DCB",
    "EvseID": "DE*XYZ*ETEST1",
    "Identification": {
        "RFIDMifareFamilyIdentification": {"UID": "04A1B2C3"},
        "QRCodeIdentification": {
            "EvcoID": "DE-DCB-C12345678-X", "PIN": "1234",
            "HashedPIN": {"Value": "a5ghdhf73h", "Function": "Bcrypt"},
        },
        "PlugAndChargeIdentification": {"EvcoID": "DE-DCB-C12345678-X"},
        "RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"},
        "RFIDIdentification": {"UID": "04A1B2C3", "RFID": "mifareCls"},
    },
    "PartnerProductID": "AC 1",
    "Duration": 15,
}  # fmt: skip
_MODELS = (RemoteStart, RemoteStop, ReservationStart, ReservationStop)
_IDENTIFICATIONS = tuple(_START["Identification"])  # type: ignore[arg-type]


class HubRequests:
    """Bodies of the hub's requests, read as each of its messages."""

    name = "hub requests"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)

    def make(self) -> bytes:
        body = json.loads(json.dumps(_START))
        if self._random.random() < 0.8:
            kept = self._random.choice(_IDENTIFICATIONS)
            body["Identification"] = {kept: body["Identification"][kept]}
        return self._mutator.text(self._mutator.changed(body))

    def try_one(self, data: bytes) -> str:
        outcome = []
        for model in _MODELS:
            try:
                message: Any = read(model, data, "DE-DCB")
                if isinstance(message, ReservationStart):
                    request = message.reservation(15)
                elif isinstance(message, RemoteStart):
                    request = message.request()
                else:
                    request = message.end_request()
            except MessageError as error:
                json.dumps(acknowledgment(error.status_code, error.info)).encode()
                outcome.append(error.status_code.value)
                continue
            _check_storable(request)
            outcome.append("read")
        return " ".join(outcome)


class HubAnswers:
    """Whatever comes back from the hub when it is called."""

    name = "hub answers"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)

    def make(self) -> bytes:
        body: Any = {
            "Result": self._random.choice((True, False, None, "true")),
            "StatusCode": {
                "Code": self._random.choice(("000", "001", "018", "102", "210", "681", 0, "")),
                "Description": "Success",
                "AdditionalInfo": None,
            },
            "SessionID": _SESSION,
            "EMPPartnerSessionID": "theirs",
            "ProviderID": "DE-DCB",
        }
        if self._random.random() < 0.5:
            body["AuthorizationStatus"] = "Authorized"
            body["AuthorizationStopIdentifications"] = [
                {"RFIDMifareFamilyIdentification": {"UID": "04A1B2C3"}}
            ]
        if self._random.random() < 0.2:
            body = {
                "message": "m",
                "validationErrors": [{"fieldReference": "a", "errorMessage": "b"}],
            }
        status = self._random.choice(
            (200, 200, 200, 200, 204, 301, 400, 401, 403, 404, 429, 500, 599, 0)
        )
        again = self._mutator.word() if self._random.random() < 0.2 else "5"
        head = json.dumps([status, str(again)[:2000], "p-1"]).encode()
        return head + b"\n" + self._mutator.text(self._mutator.changed(body))

    def try_one(self, data: bytes) -> str:
        head, _, text = data.partition(b"\n")
        try:
            status, again, process = json.loads(head)
            status, again, process = int(status), str(again), str(process)
        except (ValueError, TypeError, RecursionError):
            status, again, process = 200, "5", "p-1"
        answer = judge(status, text, again, process)
        _check_storable((answer.code, answer.reason, answer.process_id))
        if answer.retry_after is not None and not 0 <= answer.retry_after < 1e9:
            raise Defect(f"retry after {answer.retry_after}")
        outcome = answer.verdict.value
        if answer.verdict is Verdict.DONE and is_authorized(answer.body):
            try:
                _check_storable(read_authorization(answer.body or {}))
                outcome += " authorized"
            except UnusableError as error:
                _check_storable(str(error))
                outcome += " unusable"
        return f"{outcome} {answer.whole} {answer.busy} {answer.uncertain}"


class HubBytes:
    """The bytes of the hub's HTTP requests: how much has come in."""

    name = "hub bytes"
    _TOKENS = (
        b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n", b"\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n", b"ffffffff\r\n", b"0\r\n\r\n",
        b"Expect: 100-continue\r\n",
    )  # fmt: skip

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)

    def make(self) -> bytes:
        body = b"5\r\nhello\r\n0\r\n\r\n" if self._random.random() < 0.5 else b"hello"
        how = b"Transfer-Encoding: chunked" if len(body) > 5 else b"Content-Length: 5"
        data = b"POST /api HTTP/1.1\r\nHost: x\r\n" + how + b"\r\n\r\n" + body
        return self._mutator.bytes_changed(data, self._TOKENS)

    def try_one(self, data: bytes) -> str:
        incoming, extent = Incoming(), Extent.PARTLY
        at = 0
        while at < len(data):
            step = self._random.randint(1, 30)
            extent = incoming.take(data[at : at + step])
            at += step
            if extent is not Extent.PARTLY:
                break
        return extent.name


def _check_storable(value: Any) -> None:
    """Raise Defect for text that no database takes."""
    for text in _texts(value):
        if "\0" in text:
            raise Defect(f"NUL in {text[:60]!r}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Defect(f"half a character in {text[:60]!r}") from None


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for each in value for text in _texts(each)]
    if hasattr(value, "__slots__") or hasattr(value, "__dict__"):
        names = getattr(value, "__slots__", None) or vars(value)
        return [text for name in names for text in _texts(getattr(value, name, None))]
    return []
