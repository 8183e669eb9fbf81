"""`make capacity`, small: 2,000 charging points, a storm, and every node drained and replaced.

Half of them speak OCPP 2.0.1.
"""

import os
import re
import subprocess
import sys

from charging.database.address import VNI_STATE_DIRECTORY, state_directory


def test_nobody_is_dropped_and_nothing_acknowledged_is_lost(tmp_path):
    document = tmp_path / "capacity.md"
    run = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.capacity", "--report", str(document)),
            *("--charging-points", "2000", "--processes", "2", "--seconds", "3"),
            *("--readings-seconds", "3", "--drain-time", "3", "--share-201", "0.5"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        # A database of its own: the stages end what they began, whoever else tests.
        env={**os.environ, VNI_STATE_DIRECTORY: str(state_directory() / "capacity-test")},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = document.read_text()
    assert (tmp_path / "capacity.svg").read_text().lstrip().startswith("<?xml")
    said, recorded = re.search(r"\| readings \| ([\d,]+) \| ([\d,]+) \|", report).groups()
    assert said == recorded
    assert int(said.replace(",", "")) > 1000
    assert "| sessions ended | 100 | 100 |" in report
    drains = re.findall(r"^\| \d \| ([\d,]+) \| [\d,]+ \| [\d,]+ \| [\d.]+ \| 0 \|$", report, re.M)
    assert len(drains) == 2
    storm = re.search(r"all at once \(storm\): all back \|.*\| ([\d.]+) s \|", report)
    assert 0 < float(storm[1]) < 90
