"""A provider's driver: starts, stops, reserves and cancels at the operator, through the hub."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from third_party_hub_simulator.books import new_session
from third_party_hub_simulator.forms import faults_of_acknowledgment
from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import Json, without_nulls

TIMEOUT_SECONDS = 60.0
"""After which the hub waits for the operator no longer."""
ALLOWED_SECONDS = 10.0
"""Within which an operator must answer, transport included."""
EVCO_ID = "DE-EMP-C00000001-X"


class DriverError(ValueError):
    """The request cannot be carried out; the message says why."""


class Driver:
    """Calls the operator as the hub does. Safe for many threads.

    operator_url: what the operator registered; `/api/oicp/…` is appended.
    options: of the httpx client (a certificate to show, a CA to trust).
    """

    def __init__(self, hub: Hub, operator_url: str, **options: Any) -> None:
        self._hub = hub
        self._client = httpx.Client(
            base_url=operator_url.rstrip("/") + "/api/oicp/",
            timeout=TIMEOUT_SECONDS,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
            trust_env=False,
            **options,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def start(
        self,
        evse_id: str,
        provider_id: str,
        session_id: str | None = None,
        evco_id: str = EVCO_ID,
        emp_partner_session_id: str | None = None,
    ) -> Json:
        """Start remotely; return session, answer and how long it took."""
        session_id = session_id or str(uuid.uuid4())
        identification = {"RemoteIdentification": {"EvcoID": evco_id}}
        self._note(
            session_id,
            "remote",
            provider_id,
            evse_id,
            identification,
            emp_partner_session_id=emp_partner_session_id,
        )
        return self._ask(
            session_id,
            f"charging/v21/providers/{quote(provider_id, safe='')}/authorize-remote/start",
            {
                "SessionID": session_id,
                "CPOPartnerSessionID": None,
                "EMPPartnerSessionID": emp_partner_session_id,
                "ProviderID": provider_id,
                "EvseID": evse_id,
                "Identification": identification,
                "PartnerProductID": None,
            },
            answers_start=True,
        )

    def stop(self, session_id: str, provider_id: str | None = None) -> Json:
        """Stop remotely; provider_id: who asks, the session's own by default."""
        known_provider, evse_id = self._known(session_id)
        provider_id = provider_id or known_provider
        return self._ask(
            session_id,
            f"charging/v21/providers/{quote(provider_id, safe='')}/authorize-remote/stop",
            {"SessionID": session_id, "ProviderID": provider_id, "EvseID": evse_id},
        )

    def reserve(
        self,
        evse_id: str,
        provider_id: str,
        minutes: int | None = None,
        session_id: str | None = None,
        evco_id: str = EVCO_ID,
    ) -> Json:
        """Reserve an EVSE for so many minutes."""
        session_id = session_id or str(uuid.uuid4())
        identification = {"RemoteIdentification": {"EvcoID": evco_id}}
        self._note(session_id, "reservation", provider_id, evse_id, identification)
        return self._ask(
            session_id,
            f"reservation/v11/providers/{quote(provider_id, safe='')}/reservation-start-request",
            {
                "SessionID": session_id,
                "ProviderID": provider_id,
                "EvseID": evse_id,
                "Identification": identification,
                "Duration": minutes,
                "PartnerProductID": None,
            },
            answers_start=True,
        )

    def cancel(self, session_id: str) -> Json:
        """Cancel a reservation."""
        provider_id, evse_id = self._known(session_id)
        return self._ask(
            session_id,
            f"reservation/v11/providers/{quote(provider_id, safe='')}/reservation-stop-request",
            {"SessionID": session_id, "ProviderID": provider_id, "EvseID": evse_id},
        )

    def _known(self, session_id: str) -> tuple[str, str]:
        with self._hub.lock:
            session = self._hub.books.session(session_id)
            if session is None:
                raise DriverError(f"no session {session_id}; `show sessions` lists them")
            return session.provider_id, session.evse_id

    def _note(
        self,
        session_id: str,
        origin: str,
        provider_id: str,
        evse_id: str,
        identification: Json,
        **more: Any,
    ) -> None:
        with self._hub.lock:
            if self._hub.books.session(session_id) is None:
                facts = new_session(
                    session_id, origin, provider_id, evse_id, identification, **more
                )
                self._hub.books.record("session", session=facts)

    def _ask(self, session_id: str, path: str, body: Json, *, answers_start: bool = False) -> Json:
        started = time.perf_counter()
        http, answer, error = None, None, None
        try:
            response = self._client.post(path, json=body)
            http = response.status_code
            answer = response.json()
        except httpx.HTTPError as failure:
            error = f"{type(failure).__name__}: {failure}"
        except ValueError:
            error = "the answer is no JSON"
        seconds = time.perf_counter() - started
        with self._hub.lock:
            self._judge(path, session_id, http, answer, error, seconds)
            code = _code(answer)
            if answers_start:
                self._hub.books.record(
                    "answered",
                    session_id=session_id,
                    code=code or "(none)",
                    round_trip_ms=round(seconds * 1000, 2),
                    cpo_partner_session_id=(answer or {}).get("CPOPartnerSessionID"),
                )
            elif code == "000":
                self._hub.books.record("stopped", session_id=session_id)
        return {
            "session": session_id,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "http": http,
            "code": code,
            "ms": round(seconds * 1000, 1),
            "answer": answer,
            "error": error,
        }

    def _judge(
        self,
        path: str,
        session_id: str,
        http: int | None,
        answer: Any,
        error: str | None,
        seconds: float,
    ) -> None:
        """Check the operator's answer by the rules."""
        name = path.split("/", 4)[-1]

        def broken(rule: str, detail: str) -> None:
            self._hub.violate(name, rule, detail)

        if seconds > ALLOWED_SECONDS:
            broken("answer in time", f"{seconds:.1f} s, {ALLOWED_SECONDS:g} are allowed")
        if error is not None:
            broken("answer", error)
            return
        if http != 200:
            broken("answer", f"HTTP {http}")
        for field, message in faults_of_acknowledgment(without_nulls(answer)):
            broken("answer's form", f"{field}: {message}")
        code = _code(answer)
        if code is not None and answer.get("Result") != (code == "000"):
            broken("answer's result", f"Result {answer.get('Result')} with {code}")
        echoed = answer.get("SessionID") if isinstance(answer, dict) else None
        if echoed is not None and echoed.lower() != session_id.lower():
            broken("answer's session", f"{echoed} is not {session_id}")


def _code(answer: Any) -> str | None:
    status = answer.get("StatusCode") if isinstance(answer, dict) else None
    code = status.get("Code") if isinstance(status, dict) else None
    return code if isinstance(code, str) else None
