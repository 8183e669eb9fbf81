"""third-party-backend as an operator starts it, and the hub that calls it."""

from __future__ import annotations

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from operations.__main__ import main as operations
from scripts.programs import Program, free_port
from tests.station import Station, ago, iso
from tests.waiting import eventually

EVSE = "DE*VNI*E1*1"
PROVIDER = "DE-DCB"


class Hub:
    """Calls third-party-backend over HTTP as the hub does."""

    def __init__(self, port: int, program: Program) -> None:
        self.port = port
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


class Relay:
    """A running `python -m third_party_backend relay`."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of an event."""
        lines = [json.loads(line) for line in self.program.log.read_text().splitlines() if line]
        return [line for line in lines if line.get("event") == event]


@pytest.fixture
def run_relay(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Relay]]:
    """Start relays: ``run_relay(hub_url, progress_interval="1")``."""
    relays: list[Relay] = []

    def run(hub_url: str, **settings: str) -> Relay:
        settings = {
            "hub_url": hub_url,
            "operator_id": "DE*VNI",
            "operator_name": "VNI",
            "hub_max_backoff": "1",
            **settings,
        }
        program = Program(
            ["third_party_backend", "relay"],
            tmp_path / f"relay{len(relays)}.log",
            {
                "DATABASE_URL": database_url,
                **{f"THIRD_PARTY_{name.upper()}": value for name, value in settings.items()},
            },
        )
        relays.append(Relay(program))
        return relays[-1]

    yield run
    for relay in relays:
        relay.program.stop()


@pytest.fixture
def operate(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `python -m operations …`; return its exit code."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return lambda *words: operations([str(word) for word in words])


def evse_row(number: int = 1, **more: Any) -> dict[str, Any]:
    """A row of a table of EVSEs: connector `number` of CP1."""
    return {
        "charging_point": "CP1",
        "evse_number": number,
        "evse_id": f"DE*VNI*E1*{number}",
        "name": "Harbour",
        "country": "DEU",
        "city": "Kiel",
        "street": "Kai",
        "house_number": "1",
        "postal_code": "24103",
        "latitude": 54.323,
        "longitude": 10.14,
        "plugs": ["Type 2 Outlet"],
        "power_type": "AC_3_PHASE",
        "power_kw": 22,
        "hotline": "+4943112345",
        **more,
    }


@pytest.fixture
def import_evses(operate: Callable[..., int], database: Any, tmp_path: Path) -> Callable[..., None]:
    """Register CP1 and import rows of EVSEs: ``import_evses(evse_row(1), evse_row(2))``."""

    def run(*rows: dict[str, Any]) -> None:
        for name in sorted({row["charging_point"] for row in rows}):
            database.execute(
                "INSERT INTO charging_points (charging_point_id) VALUES (%s)"
                " ON CONFLICT DO NOTHING",
                [name],
            )
        file = tmp_path / "evses.json"
        file.write_text(json.dumps(rows))
        assert operate("evses", "import", file) == 0

    return run


@pytest.fixture
def hub(run_third_party: Callable[..., Hub]) -> Hub:
    """A hub whose patience ends after two seconds."""
    return run_third_party(answer_timeout="2")


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait for a charging point."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def simulator(run_hub_simulator: Any, hub: Hub) -> Any:
    """A hub that calls `hub`, our web service."""
    return run_hub_simulator("--no-limits", operator_port=hub.port)


@pytest.fixture
def station(node: Any, import_evses: Any, database: Any) -> Iterator[Station]:
    """CP1 with two EVSEs that are offered to the hub, booted and online."""
    import_evses(*(evse_row(n, value_added_services="Reservation") for n in (1, 2)))
    with Station(node.port) as station:
        station.boot()
        eventually(lambda: database.execute("SELECT 1 FROM connections").fetchone())
        yield station


@pytest.fixture
def start_remotely(simulator: Any, station: Station, background: Any) -> Callable[..., Any]:
    """Start through hub and web; return the hub's session and the token it has here."""

    def start(evse: str = EVSE) -> tuple[str, str]:
        answer = background.submit(
            simulator.control.post, "/start", evse_id=evse, provider_id="DE-EMP"
        )
        _, message_id, _, payload = station.receive()
        station.send([3, message_id, {"status": "Accepted"}])
        answer = answer.result()
        assert answer["code"] == "000"
        return answer["session"], payload["idTag"]

    return start


def status(station: Station, status: str, number: int = 1, error: str = "NoError") -> None:
    """Have the charging point report the status of a connector."""
    station.call(
        "StatusNotification",
        {
            "connectorId": number,
            "status": status,
            "errorCode": error,
            "timestamp": iso(ago()),
        },
    )
