"""An emulated AWS, empty accounts in it, and a copy of the project to deploy from."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from psycopg import sql

from scripts.programs import Program, free_port
from tests.cloud import cli
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
PROFILE = "tests"

# Accounts are this process's own, since databases on a server that others use carry their numbers.
_WORKER = f"2{os.getpid():07}"
_accounts = (f"{_WORKER}{number:04}" for number in itertools.count(1))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the contents of images that were pushed are kept."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def emulator_url(
    server_url: str, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An emulated AWS of this worker's own; its tasks use the tests' PostgreSQL."""
    directory = tmp_path_factory.mktemp("emulator")
    url = f"http://127.0.0.1:{(port := free_port())}"
    variables = {
        "GATEWAY_PORT": str(port),
        "TASK_DATABASE_URL": server_url,
        "IMAGES": str(images),
        "TMPDIR": str(directory),
    }
    with Program(["tests.cloud.emulator"], directory / "emulator.log", variables) as program:
        program.wait_until_ready(f"{url}/_ministack/health")
        yield url
    with psycopg.connect(server_url, autocommit=True) as server:
        for (name,) in server.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{_WORKER}%",)
        ).fetchall():
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's virtual environment, but with an AWS CLI that starts quickly."""
    directory = tmp_path_factory.mktemp("venv")
    (directory / "bin").mkdir()
    for name in (".installed", "pyvenv.cfg", "lib", "bin/python"):
        (directory / name).symlink_to(ROOT / ".venv" / name)
    # Addresses of sockets are at most 108 bytes long.
    with tempfile.TemporaryDirectory(prefix="vni-") as short:
        address = Path(short, "aws")
        aws = directory / "bin/aws"
        aws.write_text(cli.client(address))
        aws.chmod(0o755)
        with Program(["tests.cloud.cli", str(address)], directory / "cli.log"):
            eventually(address.exists, 30)
            yield directory


@dataclass
class Account:
    """An AWS account that was empty, and a project to deploy into it with `make`.

    venv: the virtual environment to do that with.
    """

    number: str
    url: str
    project: Path
    venv: Path
    variables: dict[str, str]
    journal: Path
    clients: dict[str, Any] = field(default_factory=dict)

    def make(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run make with AWS_PROFILE and ACCOUNT_ID of this account, and these variables."""
        return subprocess.run(
            self._command(words),
            **self._surroundings(variables),
            capture_output=True,
            check=False,
        )

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start make like `make`, in a process group of its own; its output is a pipe."""
        return subprocess.Popen(
            self._command(words),
            **self._surroundings(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return ["make", f"VENV={self.venv}", *words]

    @property
    def python(self) -> str:
        """The interpreter of the virtual environment, whose AWS CLI the scripts take."""
        return str(self.venv / "bin/python")

    def _surroundings(self, variables: dict[str, str]) -> dict[str, Any]:
        return {
            "cwd": self.project,
            "env": {**self.variables, **variables},
            "stdin": subprocess.DEVNULL,
            "text": True,
        }

    def deploy(self, environment: str, target: str = "deploy-backend-services", **more: str) -> str:
        """Deploy an environment, which must succeed; return what was said."""
        variables = {"ENVIRONMENT": environment, "WHITELIST_IP": "203.0.113.7", **more}
        run = self.make(target, **variables)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def client(self, service: str) -> Any:
        """A client of one of AWS's services."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id=self.number,
                aws_secret_access_key="none",
            )
        return self.clients[service]

    def outputs(self, stack: str) -> dict[str, str]:
        """A stack's outputs, by its full name."""
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}

    def recorded(self, kind: str = "") -> list[dict[str, Any]]:
        """The resources of this account that are only recorded: all, or those of a type."""
        with urllib.request.urlopen(f"{self.url}/_recorded") as answer:
            records = json.load(answer)
        return [
            record
            for record in records
            if record["Account"] == self.number and kind in ("", record["Type"])
        ]

    def set_quotas(self, **quotas: float) -> None:
        """Set quotas by their codes, `_` for `-`; the emulator has one set for all accounts."""
        body = json.dumps({code.replace("_", "-"): value for code, value in quotas.items()})
        with urllib.request.urlopen(f"{self.url}/_quotas", data=body.encode()):
            pass

    def engine_did(self) -> list[list[str]]:
        """What the stand-in for a container engine was told, in order."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def commit(self, message: str) -> None:
        """Commit what changed in the project."""
        _git(self.project, "add", "--all")
        _git(self.project, "commit", "--quiet", "--message", message)


@pytest.fixture(scope="module")
def account(
    emulator_url: str, images: Path, venv: Path, tmp_path_factory: pytest.TempPathFactory
) -> Account:
    """An empty account for the tests of a module."""
    directory = tmp_path_factory.mktemp("account")
    number = next(_accounts)
    project = directory / "project"
    _copy_project(project)
    programs = directory / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/cloud/engine.py" "$@"\n')
    docker.chmod(0o755)
    journal = directory / "engine.journal"
    journal.touch()
    (directory / "config").write_text(f"[profile {PROFILE}]\n")
    (directory / "credentials").write_text(
        f"[{PROFILE}]\naws_access_key_id = {number}\naws_secret_access_key = none\n"
    )
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "MAKE", "MFLAGS", "DATABASE_", "VNI_", "PYTEST"))
    }
    return Account(
        number,
        emulator_url,
        project,
        venv,
        {
            **inherited,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "AWS_CONFIG_FILE": str(directory / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": emulator_url,
            "AWS_PROFILE": PROFILE,
            "AWS_DEFAULT_REGION": REGION,
            "ACCOUNT_ID": number,
            "ENGINE_JOURNAL": str(journal),
            "IMAGES": str(images),
        },
        journal,
    )


def _copy_project(to: Path) -> None:
    """Copy what git knows or will know, commit it there: its tags are then those of a release."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            # With its time, by which make knows that the virtual environment is up to date.
            shutil.copy2(ROOT / name, to / name)
    _git(to, "init", "--quiet")
    _git(to, "config", "user.name", "Tests")
    _git(to, "config", "user.email", "tests@vni.example")
    _git(to, "add", "--all")
    _git(to, "commit", "--quiet", "--message", "Begin")


def _git(directory: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=directory, check=True, capture_output=True)
