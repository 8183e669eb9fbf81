"""The services' images, built and run as hardened as on AWS: `make verify-images`.

Slow, and in need of a container engine: skipped unless VERIFY_IMAGES is set.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
import urllib.request

import psycopg
import pytest
from psycopg import sql

from scripts.cloud import images
from scripts.cloud.containers import Container
from scripts.cloud.inputs import InputError
from scripts.programs import Program, free_port
from templates.naming import CHARGING_POINT, THIRD_PARTY
from templates.parts.containers import STOP_TIMEOUT_SECONDS, USER
from tests.books import recorded, reported
from tests.databases import new_database
from tests.hub import DIRECT_PROVIDER
from tests.rows import EVSE, evse_row
from tests.station import Station
from tests.waiting import eventually

CHARGING_POINTS = int(os.environ.get("CHARGING_POINTS", "200"))
DRAIN_SECONDS = 3
# What builds, fetches or installs. A name that is found by the shell of an image is a finding.
TOOLS = "pip pip3 cc gcc c++ g++ make ld as cmake cargo git curl wget apt-key"
SERVICES_USER = "images_services"

pytestmark = pytest.mark.skipif(
    not os.environ.get("VERIFY_IMAGES"), reason="slow; `make verify-images` runs it"
)


@pytest.fixture(scope="module")
def engine():
    try:
        return images.find_engine()
    except InputError:
        pytest.skip("no container engine works here; docs/images.md says how to get one")


@pytest.fixture(scope="module")
def built(engine):
    """Both images, built of what is checked out: service → name."""
    for image in images.IMAGES.values():
        began = time.monotonic()
        images.build(image, image.local_name, engine)
        size = inspected(engine, image.local_name)["Size"]
        say(f"{image.local_name}: built in {time.monotonic() - began:.0f} s, {size / 1e6:.0f} MB")
    return {service: image.local_name for service, image in images.IMAGES.items()}


@pytest.fixture(scope="module")
def empty_url(server_url):
    """The address of a database with nothing in it, as the owner."""
    with new_database(server_url, "images") as url:
        yield url
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(SERVICES_USER)))


@pytest.fixture(scope="module")
def services_url(engine, built, empty_url):
    """The same database as the services' user, once the image's migrations have run."""
    with Container(
        engine,
        built[CHARGING_POINT],
        ["python", "-m", "charging.database", "upgrade", "--grant"],
        database_url=empty_url,
        environment={"APPLICATION_USER": SERVICES_USER, "APPLICATION_PASSWORD": "secret"},
    ) as migration:
        assert migration.wait() == 0, migration.log()
        assert f"{SERVICES_USER} may read and write rows" in migration.log()
    return empty_url.replace("postgres:@", f"{SERVICES_USER}:secret@", 1).replace(
        "postgres@", f"{SERVICES_USER}:secret@", 1
    )


@pytest.fixture
def rows(services_url):
    with psycopg.connect(services_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def run_charging_points(engine, built, services_url):
    """Start charging-point-backend's image: ``with run_charging_points(port) as container``."""

    def run(port):
        return Container(
            engine,
            built[CHARGING_POINT],
            database_url=services_url,
            environment={
                "CP_BACKEND_PORT": str(port),
                "CP_BACKEND_ADMIT_UNKNOWN": "true",
                "CP_BACKEND_ADMIT_UNKNOWN_TOKENS": "true",
                "CP_BACKEND_DRAIN_TIME": str(DRAIN_SECONDS),
            },
        )

    return run


@pytest.fixture
def run_third_party(engine, built, services_url):
    def run(port):
        return Container(
            engine,
            built[THIRD_PARTY],
            database_url=services_url,
            environment={"THIRD_PARTY_PORT": str(port)},
        )

    return run


@pytest.fixture
def operate(engine, built, services_url):
    """Run the operator's commands in the image that has them, as in a task's shell."""

    def run(script):
        with Container(
            engine, built[THIRD_PARTY], ["sh", "-ec", script], database_url=services_url
        ) as container:
            assert container.wait() == 0, container.log()

    return run


def say(figure):
    print(f"\n  {figure}", end="", flush=True)


def inspected(engine, name):
    words = [engine, "image", "inspect", name]
    return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)[0]


def until_healthy(container):
    began = time.monotonic()
    eventually(lambda: container.is_healthy or not container.state["Running"], 60)
    assert container.state["Running"], container.log()
    return time.monotonic() - began


def logged(container, event):
    lines = [json.loads(line) for line in container.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


@pytest.mark.parametrize("service", images.IMAGES)
def test_an_image_says_what_it_is(engine, built, service):
    about = inspected(engine, built[service])
    configuration = about["Config"]
    assert configuration["User"] == USER
    assert configuration["Cmd"] == ["python", "-m", images.IMAGES[service].package]
    # ECS replaces the command only.
    assert not configuration.get("Entrypoint")
    labels = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in configuration["Labels"].items()
    }
    assert labels["title"] == f"{service}-backend"
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert labels["revision"].removesuffix("-dirty") == head.stdout.strip()


@pytest.mark.parametrize("service", images.IMAGES)
def test_nothing_in_it_builds_and_nothing_can_be_written(engine, built, services_url, service):
    script = f"""
        id -u; id -g
        for tool in {TOOLS}; do command -v $tool; done
        python -c 'import pip' 2>/dev/null && echo pip
        python -c 'import ensurepip' 2>/dev/null && echo ensurepip
        for directory in / /tmp /srv/vni /opt/venv /var/tmp; do
            touch $directory/x 2>/dev/null && echo "$directory can be written"
        done
        find /srv/vni /opt/venv -user 10001
        true
    """
    with Container(
        engine, built[service], ["sh", "-c", script], database_url=services_url
    ) as container:
        assert container.wait() == 0
        assert container.log().split() == USER.split(":")


def test_charging_points_charge_through_a_stop_and_the_books_agree(
    run_charging_points, simulate, rows
):
    port = free_port()
    words = ("--charging-points", CHARGING_POINTS, "--ramp", 2, "--meter-values-interval", 30)
    with run_charging_points(port) as first:
        healthy = until_healthy(first)
        simulator = simulate(
            *("--plain", "--port", port, *words, "--duration", 600, "--time-compression", 20)
        )
        eventually(lambda: count(rows, "sessions") == CHARGING_POINTS, 90)
        code, seconds = first.stop()
        assert code == 0, first.log()
        closed = [line["cause"] for line in logged(first, "disconnected")]
        assert closed == ["closed 1012"] * CHARGING_POINTS
    assert DRAIN_SECONDS / 2 < seconds < STOP_TIMEOUT_SECONDS / 4
    say(f"charging-point-backend: healthy after {healthy:.1f} s")
    say(f"charging-point-backend: {CHARGING_POINTS} connections, stopped in {seconds:.1f} s")
    with run_charging_points(port) as second:
        until_healthy(second)
        report = simulator.report(seconds=180)
        assert second.stop()[0] == 0
    assert report["sessions_complete"] == CHARGING_POINTS
    assert report["reconnects"] >= CHARGING_POINTS
    assert recorded(rows) == reported(report)


def count(rows, table):
    return rows.execute(
        sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    ).fetchone()[0]


def test_an_image_that_cannot_serve_is_not_ready_and_stops_all_the_same(engine, built):
    port = free_port()
    with Container(
        engine,
        built[CHARGING_POINT],
        database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/nothing",
        environment={"CP_BACKEND_PORT": str(port)},
    ) as container:
        until_healthy(container)  # it lives: a restart would not bring the database back
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready")
        assert error.value.code == 503
        assert container.stop()[0] == 0


def test_the_hub_starts_a_session_and_is_answered_while_its_container_stops(
    run_charging_points, run_third_party, operate
):
    """The charging point answers only after SIGTERM; the hub hears its answer all the same."""
    port, hub_port = free_port(), free_port()
    with run_charging_points(port) as nodes, run_third_party(hub_port) as third_party:
        until_healthy(nodes)
        healthy = until_healthy(third_party)
        with Station(port, "IMAGE1") as station:
            station.boot()
            operate(f"python -m operations evses set IMAGE1 1 '{EVSE}'")
            answers = []
            asking = threading.Thread(target=lambda: answers.append(remote_start(hub_port)))
            asking.start()
            call = station.receive()
            assert call[2] == "RemoteStartTransaction"
            ended = []
            stopping = threading.Thread(target=lambda: ended.append(third_party.stop()))
            stopping.start()
            eventually(lambda: "Handling signal: term" in third_party.log(), 30)
            station.send([3, call[1], {"status": "Accepted"}])
            asking.join(30)
            stopping.join(60)
        assert answers[0]["Result"] is True, answers
        code, seconds = ended[0]
        assert code == 0, third_party.log()
        assert seconds < 20
        assert nodes.stop()[0] == 0
    say(f"third-party-backend: healthy after {healthy:.1f} s")
    say(f"third-party-backend: 1 request under way, stopped in {seconds:.1f} s")


def remote_start(port):
    body = {
        "SessionID": "b2688855-7f00-0002-6d8e-48d883f6abb6",
        "ProviderID": DIRECT_PROVIDER,
        "EvseID": EVSE,
        "Identification": {"RemoteIdentification": {"EvcoID": "DE-DCB-C12345678-X"}},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/oicp/charging/v21/providers/{DIRECT_PROVIDER}/authorize-remote/start",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_the_relay_tells_the_hub_and_stops(
    engine, built, services_url, run_charging_points, operate, run_hub_simulator
):
    hub, port = run_hub_simulator(), free_port()
    relay = Container(
        engine,
        built[THIRD_PARTY],
        ["python", "-m", "third_party_backend", "relay"],
        database_url=services_url,
        environment={
            "THIRD_PARTY_HUB_URL": hub.url,
            "THIRD_PARTY_OPERATOR_ID": "DE*VNI",
            "THIRD_PARTY_OPERATOR_NAME": "VNI",
        },
    )
    with run_charging_points(port) as nodes, relay:
        until_healthy(nodes)
        with Station(port, "IMAGE2") as station:
            station.boot()
            row = evse_row(charging_point="IMAGE2", evse_id="DE*VNI*E2*1")
            operate(
                f"echo {shlex.quote(json.dumps([row]))} > /dev/shm/evses.json\n"
                "python -m operations evses import /dev/shm/evses.json"
            )
            eventually(lambda: "DE*VNI*E2*1" in hub.statuses(), 30)
        code, seconds = relay.stop()
        assert code == 0, relay.log()
    say(f"the relay: stopped in {seconds:.1f} s")


def test_the_makefile_runs_an_image_until_ctrl_c(engine, built, services_url, tmp_path):
    port = free_port()
    log = tmp_path / "make.log"
    with log.open("wb") as output:
        make = subprocess.Popen(
            ["make", "run-cp-backend-locally", f"PORT={port}", f"CONTAINER={engine}"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DATABASE_URL": services_url},
            start_new_session=True,
        )
    try:
        eventually(lambda: '"listening"' in log.read_text() or make.poll() is not None, 120)
        hello = Program(
            ["charging_point_simulator", "--plain", "--port", str(port), "--count", "1"],
            tmp_path / "hello.log",
        )
        assert hello.wait(30) == 0, log.read_text()
        os.killpg(make.pid, signal.SIGINT)  # as a terminal does
        make.wait(30)
        assert '"stopped"' in log.read_text()
    finally:
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGKILL)
