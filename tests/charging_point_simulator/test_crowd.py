"""The crowd: its frames, its figures, and what it says it did against a real node."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from charging_point_simulator.crowd import frames
from charging_point_simulator.crowd.figures import Figures, percentiles
from scripts.programs import Program


@given(st.binary(max_size=65_000))
def test_its_frames_are_read_by_websockets(payload):
    protocol = Protocol(Side.SERVER)
    protocol.receive_data(frames.write(frames.PING, payload[:125]))
    protocol.receive_data(frames.write(frames.TEXT, payload))
    ping, text = protocol.events_received()
    assert (ping.opcode, bytes(ping.data)) == (Opcode.PING, payload[:125])
    assert (text.opcode, bytes(text.data)) == (Opcode.TEXT, payload)


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(0, 1000))
def test_it_reads_what_websockets_writes_wherever_it_is_cut(payloads, cut):
    data = b"".join(Frame(Opcode.TEXT, p).serialize(mask=False) for p in payloads)
    first, rest = frames.read(data[:cut])
    second, rest = frames.read(rest + data[cut:])
    assert [payload for _, payload in first + second] == payloads
    assert rest == b""


@pytest.mark.parametrize("data", [b"\x01\x00", b"\xc1\x00", b"\x81\x80"])
def test_what_it_does_not_expect_is_a_violation(data):
    with pytest.raises(frames.ViolationError):
        frames.read(data)


def test_percentiles_of_many_processes_are_those_of_all():
    total, one, another = Figures(), Figures(), Figures()
    for n in range(1, 1001):
        (one if n % 3 else another).time("Heartbeat", n / 1000)
    for figures in (one, another):
        total.add(json.loads(json.dumps(figures.take())))
    result = percentiles(total.times["Heartbeat"])
    assert result["count"] == 1000
    for name, exact_ms in (("p50", 500), ("p95", 950), ("p99", 990), ("max", 1000)):
        assert exact_ms * 0.96 <= result[name] <= exact_ms


def test_what_a_crowd_says_was_acknowledged_is_in_the_database(run_node, database, tmp_path):
    node = run_node("--processes", "2", admit_unknown="true", admit_unknown_tokens="true")
    report_file = tmp_path / "report.json"
    words = "--charging-points 60 --ramp 0.5 --seconds 2 --storms 1 --charging 20 --share-201 0.5"
    program = Program(
        [
            "charging_point_simulator",
            "crowd",
            *("--port", str(node.port), "--meter-values-interval", "0.1"),
            *("--report", str(report_file), *words.split()),
        ],
        tmp_path / "crowd.log",
    )
    assert program.wait(60) == 0, program.log_end()
    report = json.loads(report_file.read_text())
    counts = report["counts"]
    assert counts["acknowledged start"] == counts["acknowledged stop"] == 20
    assert report["times_ms"]["online"]["count"] == 120
    assert not any(name.startswith("dropped") for name in counts)
    assert database.execute("SELECT count(*) FROM meter_values").fetchone() == (
        counts["acknowledged reading"] + 2 * 10,  # each start and each stop of 2.0.1 has one
    )
    versions = database.execute(
        "SELECT station_session IS NULL, count(*), sum(energy_wh) > 0 FROM sessions GROUP BY 1"
    ).fetchall()
    assert sorted(versions) == [(False, 10, True), (True, 10, True)]
    assert database.execute("SELECT count(*) FROM sessions WHERE state = 'ended'").fetchone() == (
        20,
    )


def test_a_crowd_that_needs_more_files_says_so(tmp_path):
    program = Program(
        ["charging_point_simulator", "crowd", "--charging-points", "9000000", "--processes", "2"],
        tmp_path / "crowd.log",
    )
    assert program.wait(30) == 1
    assert "raise `ulimit -n`" in program.log_end()
