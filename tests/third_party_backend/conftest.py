"""third-party-backend as an operator starts it, and the hub that calls it."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.programs import Program, free_port

EVSE = "DE*VNI*E1*1"
PROVIDER = "DE-DCB"


class Hub:
    """Calls third-party-backend over HTTP as the hub does."""

    def __init__(self, port: int, program: Program) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.program = program

    def post(self, action: str, body: Any, provider: str = PROVIDER) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/oicp/charging/v21/providers/{provider}/authorize-remote/{action}",
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=15) as response:
            assert response.status == 200
            return json.load(response)

    def start(self, evse: str = EVSE, session: str | None = None, **more: Any) -> Any:
        body = {
            "SessionID": session or str(uuid.uuid4()),
            "ProviderID": PROVIDER,
            "EvseID": evse,
            "Identification": {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
            **more,
        }
        return self.post("start", body, more.get("ProviderID") or PROVIDER)

    def stop(self, session: str, provider: str = PROVIDER) -> Any:
        body = {"SessionID": session, "ProviderID": provider, "EvseID": EVSE}
        return self.post("stop", body, provider)


@pytest.fixture
def run_third_party(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Start third-party-backend: ``run_third_party(answer_timeout="1")``."""
    hubs: list[Hub] = []

    def run(**settings: str) -> Hub:
        port = free_port()
        program = Program(
            ["third_party_backend", "--port", str(port)],
            tmp_path / f"third_party{len(hubs)}.log",
            {
                "DATABASE_URL": database_url,
                "THIRD_PARTY_WORKERS": "1",
                **{f"THIRD_PARTY_{name.upper()}": value for name, value in settings.items()},
            },
        )
        hub = Hub(port, program)
        hubs.append(hub)
        program.wait_until_ready(f"{hub.url}/health/ready")
        return hub

    yield run
    for hub in hubs:
        hub.program.stop()


@pytest.fixture
def hub(run_third_party: Callable[..., Hub]) -> Hub:
    """A hub whose patience ends after two seconds."""
    return run_third_party(answer_timeout="2")
