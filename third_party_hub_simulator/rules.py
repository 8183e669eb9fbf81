"""The rules an operator's message must keep, beyond its form, and what the hub answers.

Nothing is changed here: a verdict carries the events that the hub then records. A message that
breaks a rule is refused and takes no effect. What may happen honestly when an answer was lost (the
same message again) is a remark, no violation.
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from third_party_hub_simulator.books import Books, Session, new_session
from third_party_hub_simulator.messages import (
    Json,
    Operation,
    acknowledgment,
    key,
    status,
    without_nulls,
)

MAX_ENERGY_KWH = 1000
CLOCK_TOLERANCE = timedelta(seconds=30)
DURATION_TOLERANCE = timedelta(seconds=5)


@dataclass(frozen=True)
class Terms:
    """What the hub asks for. operator_id: whom it serves. progress_interval: seconds."""

    operator_id: str = "DE*VNI"
    progress_interval: float = 300.0


@dataclass
class Verdict:
    """What is to be answered and recorded.

    violations: (rule, detail). remarks: what is worth counting. events: (name, facts).
    """

    answer: Json = field(default_factory=acknowledgment)
    http: int = 200
    violations: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    events: list[tuple[str, Json]] = field(default_factory=list)


class _BrokenError(Exception):
    """A rule is broken. code: of the answer; http: its status."""

    def __init__(self, rule: str, detail: str, code: str = "022", http: int = 200) -> None:
        super().__init__(detail)
        self.rule = rule
        self.code = code
        self.http = http


Rule = Callable[[Books, Terms, Json, datetime], Verdict]


def judge(
    books: Books, terms: Terms, operation: Operation, operator_id: str | None, body: Json
) -> Verdict:
    """Judge a message of right form by the rules.

    operator_id: from the path, None where it has none. body: numbers as int and Decimal.
    """
    try:
        named = _operator_of(body)
        for spelling in (operator_id, named):
            if spelling is not None and key(spelling) != key(terms.operator_id):
                raise _BrokenError("operator", f"{spelling} is not {terms.operator_id}", "017", 401)
        return _RULES[operation](books, terms, without_nulls(body), datetime.now(UTC))
    except _BrokenError as broken:
        answer = acknowledgment(broken.code, str(broken))
        if operation in (Operation.AUTHORIZE_START, Operation.AUTHORIZE_STOP):
            answer = _not_authorized(broken.code, str(broken))
        return Verdict(answer, broken.http, [(broken.rule, str(broken))])


def _operator_of(body: Json) -> str | None:
    for member in ("OperatorEvseData", "OperatorEvseStatus", "PricingProductData"):
        if member in body:
            found: str = body[member]["OperatorID"]
            return found
    return body.get("OperatorID")


# EVSEs and their status.


def _evse_data(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    action, records = body["ActionType"], body["OperatorEvseData"]["EvseDataRecord"]
    _no_duplicates(record["EvseID"] for record in records)
    verdict = Verdict(events=[("data", {"action": action, "records": records})])
    for record in records:
        _is_of(terms, record["EvseID"])
        _can_be(record)
        name = key(record["EvseID"])
        known = books.evses.get(name)
        if action == "insert" and known is not None:
            if known != record:
                raise _BrokenError(
                    "insert", f"{record['EvseID']} is known already: update it", "018"
                )
            verdict.remarks.append("inserted again")
        elif action == "update" and known is None:
            raise _BrokenError("update", f"{record['EvseID']} is not known: insert it", "603")
        elif action == "update" and known == record:
            verdict.remarks.append("updated without a change")
        elif action == "delete" and known is None:
            if name not in books.removed:
                raise _BrokenError("delete", f"{record['EvseID']} was never known", "603")
            verdict.remarks.append("deleted again")
    return verdict


def _evse_status(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    action, records = body["ActionType"], body["OperatorEvseStatus"]["EvseStatusRecord"]
    _no_duplicates(record["EvseID"] for record in records)
    verdict = Verdict(events=[("status", {"action": action, "records": records})])
    for record in records:
        _is_of(terms, record["EvseID"])
        name = key(record["EvseID"])
        if name not in books.evses:
            raise _BrokenError(
                "data before status", f"{record['EvseID']} has no data record here", "603"
            )
        held = books.statuses.get(name)
        if action == "update" and held is not None and held[0] == record["EvseStatus"]:
            verdict.remarks.append("status pushed without a change")
    return verdict


def _no_duplicates(names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(map(key, names)).items() if count > 1]
    if twice:
        raise _BrokenError("duplicates", f"more than once in one push: {', '.join(twice)}", "018")


def _is_of(terms: Terms, evse_id: str) -> None:
    if not key(evse_id).startswith(key(terms.operator_id)):
        raise _BrokenError("operator", f"{evse_id} is not {terms.operator_id}'s", "018")


def _can_be(record: Json) -> None:
    """Raise _BrokenError for a record of right form whose members contradict each other."""
    payments = record["PaymentOptions"]
    if "No Payment" in payments and len(set(payments)) > 1:
        raise _BrokenError("record", "No Payment goes with no other option")
    for place in ("GeoCoordinates", "GeoChargingPointEntrance"):
        degrees = record.get(place, {}).get("DecimalDegree")
        if degrees is not None and (
            abs(Decimal(degrees["Latitude"])) > 90 or abs(Decimal(degrees["Longitude"])) > 180
        ):
            raise _BrokenError("record", f"{place} are not on this earth")


# Authorization.


def _authorize_start(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    if "EvseID" in body and key(body["EvseID"]) not in books.evses:
        raise _BrokenError("data before use", f"{body['EvseID']} has no data record here", "603")
    for member in ("RFIDIdentification", "RemoteIdentification"):
        if member in body["Identification"]:
            raise _BrokenError("identification", f"{member} is not for asking about a card")
    uid = _uid(body["Identification"])
    token = books.tokens.get(uid or "")
    if token is None:
        return Verdict(_not_authorized("102" if uid else "106"))
    partner = body.get("CPOPartnerSessionID")
    session = next(
        (s for s in books.sessions.values() if partner and s.cpo_partner_session_id == partner),
        None,
    )
    if session is not None:
        return Verdict(_authorized(session, start=True), remarks=["asked again"])
    facts = new_session(
        str(uuid.uuid4()),
        "rfid",
        token.provider_id,
        body.get("EvseID", ""),
        body["Identification"],
        cpo_partner_session_id=partner,
        code="000",
        stops=token.stops,
    )
    return Verdict(
        _authorized(Session(asked_at=now, **facts), start=True),
        remarks=[] if "EvseID" in body else ["no EvseID"],
        events=[("session", {"session": facts})],
    )


def _authorize_stop(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    session = _session(books, body)
    uid = _uid(body["Identification"])
    if uid is None or uid not in (_uid(session.identification), *session.stops):
        return Verdict(_not_authorized("102"))
    return Verdict(_authorized(session, start=False))


def _uid(identification: Json) -> str | None:
    for member in ("RFIDMifareFamilyIdentification", "RFIDIdentification"):
        if member in identification:
            uid: str = identification[member]["UID"]
            return uid
    return None


def _authorized(session: Session, *, start: bool) -> Json:
    stops = [{"RFIDMifareFamilyIdentification": {"UID": uid}} for uid in session.stops]
    return {
        "SessionID": session.session_id,
        "CPOPartnerSessionID": session.cpo_partner_session_id,
        "EMPPartnerSessionID": None,
        "ProviderID": session.provider_id,
        "AuthorizationStatus": "Authorized",
        "StatusCode": status("000"),
        **({"AuthorizationStopIdentifications": stops or None} if start else {}),
    }


def _not_authorized(code: str, info: str = "") -> Json:
    return {
        "SessionID": None,
        "CPOPartnerSessionID": None,
        "EMPPartnerSessionID": None,
        "ProviderID": None,
        "AuthorizationStatus": "NotAuthorized",
        "StatusCode": status(code, info),
        "AuthorizationStopIdentifications": None,
    }


# Notifications and CDRs.


def _notification(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    session = _session(books, body)
    kind = body["Type"]
    verdict = Verdict(events=[("notification", {"body": body})])
    same = session.notified(kind)
    if any(_same(body, earlier) for _, earlier in same):
        # To the hub a repeated Progress is one that comes too early.
        early = kind == "Progress"
        return Verdict(
            acknowledgment("022", "it comes too early") if early else acknowledgment(),
            remarks=[f"{kind} again"],
        )
    if session.cdr is not None:
        verdict.remarks.append(f"{kind} after the CDR")
    if kind in ("Start", "End") and same:
        raise _BrokenError("sequence", f"a second {kind} that differs from the first")
    if kind in ("Progress", "End") and not session.notified("Start"):
        raise _BrokenError("sequence", f"{kind} without a Start")
    if kind in ("Start", "Progress") and session.notified("End"):
        raise _BrokenError("sequence", f"{kind} after the End")
    _times_in_order(body, now, "SessionStart", "ChargingStart", "EventOccurred", "ChargingEnd")
    _arithmetic(body)
    if kind == "Progress":
        _progress(terms, session, body, now)
    return verdict


def _progress(terms: Terms, session: Session, body: Json, now: datetime) -> None:
    earlier = session.notified("Progress")
    if earlier:
        at, last = earlier[-1]
        apart = (now - at).total_seconds()
        if apart < terms.progress_interval:
            raise _BrokenError(
                "progress interval",
                f"{apart:.1f} s after the last, {terms.progress_interval:g} s are asked for",
            )
        if _number(body, "ConsumedEnergyProgress") < _number(last, "ConsumedEnergyProgress"):
            raise _BrokenError("energy", "ConsumedEnergyProgress went down")
    if "ChargingDuration" in body:
        claimed = timedelta(milliseconds=body["ChargingDuration"])
        passed = _time(body["EventOccurred"]) - _time(body["ChargingStart"])
        if abs(claimed - passed) > max(DURATION_TOLERANCE, passed / 20):
            raise _BrokenError(
                "duration",
                f"ChargingDuration is {claimed}, EventOccurred − ChargingStart {passed}"
                " (it is in milliseconds)",
            )


def _cdr(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    session = _session(books, body)
    if session.code not in (None, "000"):
        raise _BrokenError("refused session", f"the start was answered {session.code}", "400", 404)
    if session.cdr is not None:
        info = "the session has its CDR"
        verdict = Verdict(acknowledgment("400", info), 404, remarks=["CDR again"])
        verdict.events.append(("cdr_again", {"session_id": session.session_id}))
        if not _same(body, session.cdr):
            verdict.violations.append(("one CDR", "a second CDR differs from the first"))
        return verdict
    if session.identification != body["Identification"]:
        raise _BrokenError("identification", "it is not what the session was authorized with")
    _times_in_order(body, now, "SessionStart", "ChargingStart", "ChargingEnd", "SessionEnd")
    _arithmetic(body)
    for _, end in session.notified("End"):
        if "ConsumedEnergy" in end and _number(end, "ConsumedEnergy") != _number(
            body, "ConsumedEnergy"
        ):
            raise _BrokenError("energy", "the CDR and the End notification disagree")
    statuses = [value.get("MeteringStatus") for value in body.get("SignedMeteringValues", ())]
    order = ["Start", "Progress", "End"]
    if [s for s in statuses if s] != sorted((s for s in statuses if s), key=order.index):
        raise _BrokenError("signed values", "their order is Start, Progress …, End")
    verdict = Verdict(acknowledgment(session=body), events=[("cdr", {"body": body})])
    if session.notified("Start") and not session.notified("End"):
        verdict.remarks.append("before the End")
    return verdict


def _session(books: Books, body: Json) -> Session:
    session = books.session(body["SessionID"])
    if session is None:
        raise _BrokenError("session", f"no session {body['SessionID']}", "400", 404)
    if session.evse_id and "EvseID" in body and key(body["EvseID"]) != key(session.evse_id):
        raise _BrokenError("session", f"{body['EvseID']} is not the session's {session.evse_id}")
    # So long as an operator has pushed no EVSE at all, all are known.
    known = books.evses.keys() | books.removed
    if known and "EvseID" in body and key(body["EvseID"]) not in known:
        raise _BrokenError("data before use", f"{body['EvseID']} has no data record here", "603")
    for ours, theirs in (
        ("CPOPartnerSessionID", session.cpo_partner_session_id),
        ("EMPPartnerSessionID", session.emp_partner_session_id),
    ):
        if theirs is not None and body.get(ours, theirs) != theirs:
            raise _BrokenError("session", f"{ours} is not the session's")
    return session


_ENERGIES = ("ConsumedEnergy", "ConsumedEnergyProgress", "MeterValueStart", "MeterValueEnd")


def _times_in_order(body: Json, now: datetime, *names: str) -> None:
    times = [(name, _time(body[name])) for name in names if name in body]
    for (earlier, first), (later, second) in itertools.pairwise(times):
        if first > second:
            raise _BrokenError("times", f"{earlier} {first} is after {later} {second}")
    for name, time in times:
        if time > now + CLOCK_TOLERANCE:
            raise _BrokenError("times", f"{name} {time} is in the future")


def _arithmetic(body: Json) -> None:
    """Energy in kWh: at most 3 decimals, 0 to 1000, and exactly end − start."""
    between = body.get("MeterValueInBetween", [])
    values = between.get("meterValues", []) if isinstance(between, dict) else between
    energies = {name: body[name] for name in _ENERGIES if name in body}
    for name, value in (*energies.items(), *(("MeterValueInBetween", value) for value in values)):
        if Decimal(str(value)) % Decimal("0.001"):
            raise _BrokenError("energy", f"{name} {value} has more than 3 decimals")
    if _number(body, "ConsumedEnergy") > MAX_ENERGY_KWH:
        raise _BrokenError("energy", f"ConsumedEnergy {body['ConsumedEnergy']} is not plausible")
    if {"MeterValueStart", "MeterValueEnd", "ConsumedEnergy"} <= body.keys():
        difference = _number(body, "MeterValueEnd") - _number(body, "MeterValueStart")
        if difference != _number(body, "ConsumedEnergy"):
            raise _BrokenError(
                "energy",
                f"ConsumedEnergy is {body['ConsumedEnergy']}, "
                f"MeterValueEnd − MeterValueStart {difference}",
            )
    chain = [
        *([_number(body, "MeterValueStart")] if "MeterValueStart" in body else []),
        *(Decimal(str(value)) for value in values),
        *([_number(body, "MeterValueEnd")] if "MeterValueEnd" in body else []),
    ]
    if chain != sorted(chain):
        raise _BrokenError("energy", "the meter's values go down")


def _number(body: Json, name: str) -> Decimal:
    # Through its text: a number that a file remembered is a float, and 1.1 is meant.
    return Decimal(str(body.get(name, 0)))


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _BrokenError("times", f"{text} is no time") from None


def _same(body: Json, other: Json) -> bool:
    return bool(_plain(body) == _plain(other))


def _plain(value: Any) -> Any:
    """Return a JSON value in which equal numbers are equal, however they were read."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return Decimal(str(value)).normalize()
    return value


# Prices.


def _pricing_products(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    data = body["PricingProductData"]
    names = [record["ProductID"] for record in data["PricingProductDataRecords"]]
    if len(set(names)) != len(names):
        raise _BrokenError("duplicates", "a ProductID more than once in one push", "018")
    facts = {"action": body["ActionType"], "provider": data["ProviderID"], "products": names}
    return Verdict(events=[("products", facts)])


def _evse_pricing(books: Books, terms: Terms, body: Json, now: datetime) -> Verdict:
    prices = []
    for price in body["EVSEPricing"]:
        _is_of(terms, price["EvseID"])
        name, provider = key(price["EvseID"]), price["ProviderID"]
        if name not in books.evses:
            raise _BrokenError(
                "data before use", f"{price['EvseID']} has no data record here", "603"
            )
        products = [
            p["ProductID"] if isinstance(p, dict) else p for p in price["EvseIDProductList"]
        ]
        known = books.products.get(provider, set()) | books.products.get("*", set())
        unknown = [product for product in products if product not in known]
        if unknown and body["ActionType"] != "delete":
            raise _BrokenError("products first", f"not pushed before: {', '.join(unknown)}")
        prices.append((name, provider, products))
    if len({price[:2] for price in prices}) != len(prices):
        raise _BrokenError("duplicates", "an EVSE and provider more than once in one push", "018")
    return Verdict(events=[("prices", {"action": body["ActionType"], "prices": prices})])


_RULES: dict[Operation, Rule] = {
    Operation.EVSE_DATA: _evse_data,
    Operation.EVSE_STATUS: _evse_status,
    Operation.AUTHORIZE_START: _authorize_start,
    Operation.AUTHORIZE_STOP: _authorize_stop,
    Operation.NOTIFICATION: _notification,
    Operation.CDR: _cdr,
    Operation.PRICING_PRODUCTS: _pricing_products,
    Operation.EVSE_PRICING: _evse_pricing,
}
