"""The pipelines' steps, as a person runs them."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import trustme

from scripts.programs import free_port

ROOT = Path(__file__).parents[2]


def test_a_backend_that_is_not_there_stops_the_commit(database_url, tmp_path):
    """As in CodeBuild, with the services elsewhere: here nobody listens."""
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    results = tmp_path / "results"
    run = subprocess.run(
        [sys.executable, "-m", "scripts.pipeline", "test", "charging-point"],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "PIPELINE_RESULTS": str(results),
            "DATABASE_URL": database_url,
            "ACCEPTANCE_HOST": "127.0.0.1",
            "ACCEPTANCE_PORT": str(free_port()),
            "ACCEPTANCE_TLS_NAME": "charging-point.test.vni.internal",
            "ACCEPTANCE_CA_FILE": str(authority),
            "ACCEPTANCE_DRAIN": "true",
            "ACCEPTANCE_HUB_PORT": str(free_port()),
            "ACCEPTANCE_HUB_TLS_NAME": "third-party.test.vni.internal",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1
    assert "charging-point does not pass; the report is in" in run.stderr
    (suite,) = ET.parse(results / "acceptance.xml").getroot()
    assert int(suite.attrib["failures"]) == 1
    # The first failure is enough: what comes after would wait for the same.
    assert int(suite.attrib["tests"]) == 1


def test_a_step_that_is_not_one_is_refused():
    run = subprocess.run(
        ["make", "pipeline-test", "SERVICE=other"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "invalid choice: 'other'" in run.stderr


def test_packed_sources_become_a_repository_again(tmp_path):
    """As CodePipeline unpacks them: without .git, and nothing may be executed."""
    for name in ("scripts/unpacked.sh", "scripts/setup.sh", ".ci/run", "Makefile"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
        (tmp_path / name).chmod(0o644)
    for _ in range(2):
        subprocess.run(["bash", "scripts/unpacked.sh"], cwd=tmp_path, check=True)
    known = subprocess.run(
        ["git", "ls-files"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert set(known.stdout.split()) == {
        *(".ci/run", "Makefile", "scripts/setup.sh", "scripts/unpacked.sh"),
    }
    for name in ("scripts/setup.sh", ".ci/run"):
        assert (tmp_path / name).stat().st_mode & 0o100
