"""Settings are read, compared with a template and put right: command line, node and simulator."""

import json

from tests.waiting import eventually


def test_the_whole_way_with_the_simulator(run_node, database, simulate, operate):
    def typed(*words):
        return json.loads(operate(*words, "--json"))

    node = run_node(admit_unknown="true", admit_unknown_tokens="true")
    simulate("--plain", "--port", node.port, "--charging-points", 3, "--wait-for-remote", 60)
    booted = "SELECT count(*) FROM charging_points WHERE boot_status = 'Accepted'"
    eventually(lambda: database.execute(booted).fetchone() == (3,), 30)
    operate("settings", "read", "--all", "--yes")
    (point,) = database.execute("SELECT min(charging_point_id) FROM variables").fetchone()
    known = {row["name"]: row for row in typed("settings", "show", point)}
    assert known["NumberOfConnectors"]["readonly"] is True
    assert "HeartbeatInterval" in known
    operate(
        *("settings", "put-template", "all", "HeartbeatInterval=77", "NumberOfConnectors=9"),
        *("MadeUpByNobody=1", "SupportedFeatureProfiles=None"),
    )
    drift = typed("settings", "drift", "all")
    assert drift["differ"] == 3
    job = typed("settings", "apply", "all", "--yes", "--wave", 2, "--wave-pause", 0.1)
    assert (job["state"], job["accepted"]) == ("done", 3)
    drift = typed("settings", "drift", "all")
    assert (drift["differ"], drift["other"]) == (0, 3)
    assert {d["state"] for d in drift["differences"]} == {"readonly", "not offered"}
    operate("settings", "read", point)
    assert {r["name"]: r["value"] for r in typed("settings", "show", point)}[
        "HeartbeatInterval"
    ] == "77"
