"""The lines of docs/api.md do what they say, one after another."""

import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from charging.database.audit import Asker
from operations import api_keys
from tests.station import Station

LINES = "\n".join(re.findall(r"```sh\n(.*?)```", Path("docs/api.md").read_text(), re.S))


@pytest.fixture
def address(app):
    """Where the console serves."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1"
    server.shutdown()
    thread.join()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_recipes_work(app, address, database, node, tmp_path):
    key = api_keys.add(database, "recipes", "administrator", by=Asker("tester", "tests"))
    with Station(node.port) as station:
        station.boot()
        running = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", LINES.replace("curl ", "echo; curl ")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "API": address, "KEY": key},
            text=True,
        )
        asked = {}
        for _ in range(2):
            _, message_id, action, _ = station.receive()
            asked[action] = message_id
            answer = {"status": "Accepted"} if action == "Reset" else {"configurationKey": []}
            station.send([3, message_id, answer])
        printed, _ = running.communicate(timeout=60)
    assert running.returncode == 0, printed
    assert set(asked) == {"Reset", "GetConfiguration"}
    answers = [json.loads(line) for line in printed.splitlines() if line]
    assert answers[0]["charging_point"] == "CP-2"
    assert any(isinstance(a, dict) and a.get("answer") == [{"status": "Accepted"}] for a in answers)
