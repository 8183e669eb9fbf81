"""The hub: the simulator as an operator starts it, and requests that only a test would send."""

from __future__ import annotations

import json
import urllib.request
import uuid
from functools import cached_property
from typing import Any

import httpx

from scripts.world import Hub, Web
from tests.rows import EVSE
from third_party_hub_simulator.client import Client

# A provider that the hub simulator knows, and one whose requests a test writes itself.
PROVIDER = "DE-EMP"
DIRECT_PROVIDER = "DE-DCB"


class HubCaller:
    """Calls third-party-backend over HTTP as the hub does, without the simulator's rules."""

    def __init__(self, web: Web) -> None:
        self.port = web.port
        self.url = web.url
        self.program = web.program

    def post(self, action: str, body: Any, provider: str = DIRECT_PROVIDER) -> Any:
        """Post to ``authorize-remote/{action}``; return the answer's JSON, which comes with 200."""
        request = urllib.request.Request(
            f"{self.url}/api/oicp/charging/v21/providers/{provider}/authorize-remote/{action}",
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=15) as response:
            assert response.status == 200
            return json.load(response)

    def start(self, evse: str = EVSE, session: str | None = None, **more: Any) -> Any:
        """Ask for a remote start; more: members of the request."""
        body = {
            "SessionID": session or str(uuid.uuid4()),
            "ProviderID": DIRECT_PROVIDER,
            "EvseID": evse,
            "Identification": {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
            **more,
        }
        return self.post("start", body, more.get("ProviderID") or DIRECT_PROVIDER)

    def stop(self, session: str, provider: str = DIRECT_PROVIDER) -> Any:
        """Ask for a remote stop."""
        body = {"SessionID": session, "ProviderID": provider, "EvseID": EVSE}
        return self.post("stop", body, provider)


class HubAtHand:
    """A hub that listens on `port`, and on `control_port` for tests."""

    scheme = "http"
    port: int
    control_port: int

    @cached_property
    def control(self) -> Client:
        return Client(f"http://127.0.0.1:{self.control_port}")

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def push(self, path: str, body: Any, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        options.setdefault("verify", False)
        with httpx.Client(trust_env=False, timeout=20, **options) as client:
            return client.post(f"{self.url}/api/oicp{path}", content=content, headers=headers)

    def misbehave(self, kind: str, operation: str | None = None, **more: Any) -> None:
        self.control.post("/faults", kind=kind, operation=operation, **more)

    def figures(self) -> Any:
        return self.control.get("/figures")

    def sessions(self) -> dict[str, Any]:
        return {session["session"]: session for session in self.control.get("/sessions")}

    def session(self, session_id: str) -> Any:
        return self.control.get(f"/sessions/{session_id}")

    def statuses(self) -> dict[str, str]:
        """EVSE → the status that the hub knows."""
        return {row["evse"]: row["status"] for row in self.control.get("/evses")}

    def violations(self) -> list[tuple[str, str]]:
        """(operation, rule) of each."""
        return [(v["operation"], v["rule"]) for v in self.control.get("/violations")]


class HubSimulator(HubAtHand, Hub):
    """A hub simulator that was started here."""
