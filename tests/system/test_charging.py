"""The simulator against real nodes: what it says it charged is what the database holds."""

import os
import signal
import subprocess
import urllib.error
import urllib.request

import pytest
import trustme

from scripts.programs import Program, free_port
from scripts.world import Node
from tests.books import recorded, reported
from tests.waiting import eventually

FAST = ("--duration", "300", "--meter-values-interval", "30", "--time-compression", "100")


def test_a_fleet_charges_and_both_accounts_agree(node, database, simulate):
    report = simulate(
        "--plain", "--port", node.port, "--charging-points", 10, "--sessions", 2, *FAST
    ).report()
    assert len(report["sessions"]) == 20
    assert report["sessions_complete"] == 20
    assert recorded(database) == reported(report)
    assert report["energy_wh"] > 0


def test_a_killed_node_loses_nothing_that_it_acknowledged(run_node, database, simulate):
    settings = {"admit_unknown": "true", "admit_unknown_tokens": "true"}
    first = run_node(**settings)
    simulator = simulate(
        *("--plain", "--port", first.port, "--charging-points", 20, "--sessions", 2),
        *("--duration", 600, "--meter-values-interval", 20, "--time-compression", 100),
    )
    # In the middle: every charging point has begun, none has ended.
    eventually(lambda: database.execute("SELECT count(*) FROM meter_values").fetchone()[0] > 40, 30)
    first.program.kill()
    second = Node.again(first, settings)
    try:
        second.program.wait_until_ready(f"http://127.0.0.1:{second.port}/health/ready")
        report = simulator.report(seconds=90)
    finally:
        second.program.stop()
    assert report["reconnects"] >= 20
    assert report["sessions_complete"] == 40
    # Neither lost nor doubled: a reading whose answer was lost has been said twice.
    assert recorded(database) == reported(report)
    assert database.execute("SELECT count(*) FROM sessions").fetchone() == (40,)
    assert database.execute("SELECT count(*) FROM unassigned_facts").fetchone() == (0,)


def test_a_session_that_ends_offline_is_told_afterwards(node, database, simulate):
    report = simulate(
        *("--plain", "--port", node.port, "--charging-points", 3, *FAST),
        *("--offline-after", 0.5, "--offline-for", 4),
    ).report()
    assert report["reconnects"] >= 3
    assert recorded(database) == reported(report)
    lag = database.execute("SELECT min(stop_received_at - ended_at) FROM sessions").fetchone()[0]
    assert lag.total_seconds() > 0.5


def test_a_terminated_node_says_come_back_and_nothing_is_lost(run_node, database, simulate):
    settings = {
        "admit_unknown": "true",
        "admit_unknown_tokens": "true",
        "drain_time": "1",
    }
    first = run_node(**settings)
    simulator = simulate("--plain", "--port", first.port, "--charging-points", 10, *FAST)
    eventually(lambda: database.execute("SELECT 1 FROM meter_values").fetchone(), 30)
    assert first.program.stop(signal.SIGTERM) == 0
    assert {line["cause"] for line in first.logged("disconnected")} == {"closed 1012"}
    second = Node.again(first, settings)
    try:
        report = simulator.report()
    finally:
        second.program.stop()
    assert recorded(database) == reported(report)


def test_several_nodes_behind_one_port(run_node, database, simulate):
    node = run_node(
        "--processes", "2", admit_unknown="true", admit_unknown_tokens="true", drain_time="1"
    )
    simulator = simulate("--plain", "--port", node.port, "--charging-points", 12, *FAST)
    pids = eventually(
        lambda: (rows := database.execute("SELECT process_id FROM nodes").fetchall())[1:] and rows
    )
    eventually(lambda: database.execute("SELECT 1 FROM meter_values").fetchone(), 30)
    # One of them dies; the other goes on, and a third takes its place.
    os.kill(pids[0][0], signal.SIGKILL)
    report = simulator.report()
    assert recorded(database) == reported(report)
    assert eventually(lambda: node.logged("a node ended"))
    assert node.program.stop(signal.SIGTERM) == 0


@pytest.fixture
def certificate(tmp_path):
    """A CA file, and a server's certificate and key for localhost."""
    authority = trustme.CA()
    server = authority.issue_cert("backend.example", "localhost")
    paths = [tmp_path / name for name in ("ca.pem", "server.pem", "server.key")]
    authority.cert_pem.write_to_path(str(paths[0]))
    server.cert_chain_pems[0].write_to_path(str(paths[1]))
    server.private_key_pem.write_to_path(str(paths[2]))
    return paths


@pytest.fixture
def tls_node(database_url, tmp_path, certificate):
    _, chain, key = certificate
    node = Node(
        database_url,
        tmp_path / "tls.log",
        (),
        {
            "admit_unknown": "true",
            "admit_unknown_tokens": "true",
            "tls_certificate": str(chain),
            "tls_key": str(key),
        },
    )
    eventually(lambda: node.program.log.exists() and node.logged("listening"), 30)
    yield node
    assert node.program.stop() == 0


def test_the_simulator_charges_over_tls(tls_node, database, simulate, certificate):
    report = simulate(
        *("--port", tls_node.port, "--ca-file", certificate[0], "--tls-name", "backend.example"),
        *("--charging-points", 3, *FAST),
    ).report()
    assert recorded(database) == reported(report)
    assert len(report["sessions"]) == 3


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--ca-file", "CA", "--tls-name", "backend.example"], 0, "heard 'acknowledged: Hello'"),
        (["--ca-file", "CA", "--host", "localhost"], 0, "heard 'acknowledged: Hello'"),
        (["--insecure"], 0, "heard 'acknowledged: Hello'"),
        ([], 1, "the certificate cannot be trusted"),
        (["--ca-file", "CA", "--tls-name", "other.example"], 1, "cannot be trusted"),
        (["--ca-file", "/nowhere"], 2, "CA file /nowhere"),
    ],
)
def test_hello_over_tls_trusts_only_whom_it_should(
    tls_node, tmp_path, certificate, words, code, expected
):
    words = [str(certificate[0]) if word == "CA" else word for word in words]
    program = Program(
        ["charging_point_simulator", "--port", str(tls_node.port), "--count", "1", *words],
        tmp_path / "hello.log",
    )
    assert program.wait(30) == code, program.log_end()
    assert expected in program.log_end()


def test_hello_every_few_seconds_until_ctrl_c(node, tmp_path):
    with Program(
        ["charging_point_simulator", "--plain", "--port", str(node.port), "--interval", "0.1"],
        tmp_path / "hello.log",
    ) as program:
        eventually(lambda: program.log_end().count("acknowledged: Hello") >= 3)
        assert program.stop(signal.SIGINT) == 130


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--count 1", "heard 'acknowledged: Hello'"),
        ("charge --charging-points 2 --time-compression 1000", "2 of 2 sessions complete"),
    ],
)
def test_the_makefile_runs_the_simulator(node, arguments, expected):
    run = subprocess.run(
        ["make", "run-charging-point-simulator", f"PORT={node.port}", f"ARGS={arguments}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert expected in run.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_stops_cleanly(node, number, database):
    assert node.program.stop(number) == 0
    assert database.execute("SELECT count(*) FROM nodes").fetchone() == (0,)
    assert node.logged("stopped")


def test_a_taken_port_is_one_clear_sentence(node, tmp_path, database_url):
    second = Program(
        ["cp_backend", "--port", str(node.port)], tmp_path / "x", {"DATABASE_URL": database_url}
    )
    assert second.wait(30) == 1
    assert "cannot listen on 127.0.0.1" in second.log_end()


def test_a_node_without_its_database_is_not_ready_and_says_so(tmp_path):
    port = free_port()
    with Program(
        ["cp_backend", "--port", str(port)],
        tmp_path / "away.log",
        {"DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"},
    ) as program:
        eventually(lambda: "database away" in program.log_end(50), 30)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live") as live:
            assert live.status == 200
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready")
        assert error.value.code == 503
