"""The hub simulator as an operator starts it, and a hand to push at it what a test wants."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from scripts.programs import Program, free_port
from third_party_hub_simulator.client import Client

PROVIDER = "DE-EMP"


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


class HubSimulator(HubAtHand):
    """A running `python -m third_party_hub_simulator serve`.

    Its ports and its file stay when it is started again.
    """

    def __init__(self, directory: Path, *words: object, operator_port: int | None = None) -> None:
        self.port, self.control_port = free_port(), free_port()
        self.file = directory / f"hub{self.port}.jsonl"
        self.log = directory / f"hub{self.port}.log"
        if "--certificate" in words:
            self.scheme = "https"
        self._words = [
            *("third_party_hub_simulator", "serve", "--port", str(self.port)),
            *("--control-port", str(self.control_port), "--file", str(self.file)),
            *("--operator-url", f"http://127.0.0.1:{operator_port or free_port()}"),
            *map(str, words),
        ]
        self.start_again()

    def start_again(self) -> None:
        self.program = Program(self._words, self.log)
        self.program.wait_until_ready(f"http://127.0.0.1:{self.control_port}/health/ready")
