"""third-party-backend as an operator starts it, and the hub that calls it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from operations.__main__ import main as operations
from scripts.world import Relay, Web
from tests.hub import HubCaller, HubSimulator
from tests.oicp_standard import faults
from tests.rows import EVSE, add_charging_point, evse_row
from tests.station import Station
from tests.waiting import eventually


@pytest.fixture
def run_third_party(database_url: str, tmp_path: Path) -> Iterator[Callable[..., HubCaller]]:
    """Start third-party-backend: ``run_third_party(answer_timeout="1")``."""
    webs: list[Web] = []

    def run(**settings: str) -> HubCaller:
        webs.append(Web(database_url, tmp_path / f"third_party{len(webs)}.log", settings))
        webs[-1].wait_until_ready()
        return HubCaller(webs[-1])

    yield run
    for web in webs:
        web.program.stop()


@pytest.fixture
def run_relay(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Relay]]:
    """Start relays: ``run_relay(hub_url, progress_interval="1")``."""
    relays: list[Relay] = []

    def run(hub_url: str, **settings: str) -> Relay:
        relays.append(Relay(database_url, tmp_path / f"relay{len(relays)}.log", hub_url, settings))
        return relays[-1]

    yield run
    for relay in relays:
        relay.program.stop()


@pytest.fixture
def operate(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `python -m operations …`; return its exit code."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return lambda *words: operations([str(word) for word in words])


@pytest.fixture
def import_evses(operate: Callable[..., int], database: Any, tmp_path: Path) -> Callable[..., None]:
    """Register CP1 and import rows of EVSEs: ``import_evses(evse_row(1), evse_row(2))``."""

    def run(*rows: dict[str, Any]) -> None:
        for name in sorted({row["charging_point"] for row in rows}):
            known = database.execute(
                "SELECT 1 FROM charging_points WHERE charging_point_id = %s", [name]
            ).fetchone()
            if not known:
                add_charging_point(database, name)
        file = tmp_path / "evses.json"
        file.write_text(json.dumps(rows))
        assert operate("evses", "import", file) == 0

    return run


@pytest.fixture
def hub(run_third_party: Callable[..., HubCaller]) -> HubCaller:
    """The hub, at a web service that waits two seconds for a charging point's answer."""
    return run_third_party(answer_timeout="2")


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait for a charging point."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def run_hub_simulator(run_hub_simulator: Any) -> Iterator[Any]:
    """Start hub simulators. Whatever they were sent is held against the standard in the end."""
    simulators: list[HubSimulator] = []

    def run(*words: object, **options: Any) -> HubSimulator:
        simulators.append(run_hub_simulator(*words, **options))
        return simulators[-1]

    yield run
    for simulator in simulators:
        if simulator.program.process.poll() is None:
            calls = simulator.control.get("/calls")
            # What it refused is a violation, which each test looks for.
            taken = [call for call in calls if call["http"] != 400]
            wrong = [(call, faults(call["operation"], call["body"])) for call in taken]
            assert [each for each in wrong if each[1]] == []


@pytest.fixture
def simulator(run_hub_simulator: Any, hub: HubCaller) -> Any:
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
