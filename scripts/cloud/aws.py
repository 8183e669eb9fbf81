"""The AWS CLI of the virtual environment, one call at a time."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.cloud.inputs import InputError, Target

_CODE = re.compile(r"An error occurred \((\w+)\)")
_CLI = Path(sys.executable).with_name("aws")


class AwsError(RuntimeError):
    """AWS, or its CLI, refused. code: AWS's error code, or an empty text."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = _CODE.search(message)
        self.code = found.group(1) if found else ""


class Aws:
    """Calls the CLI for one target: ``aws("ecs", "describe-clusters", …)``.

    Each call returns what the CLI printed, as JSON where it is JSON, and raises AwsError when
    the CLI failed. With VERBOSE=1 it shows each call as it could be typed.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.verbose = bool(os.environ.get("VERBOSE"))
        self._environment = {
            **os.environ,
            "AWS_PROFILE": target.profile,
            "AWS_PAGER": "",
            # Its own help and progress are for people at a terminal.
            "AWS_CLI_AUTO_PROMPT": "off",
        }
        self.region = self._region()
        self._environment["AWS_DEFAULT_REGION"] = self.region

    def __call__(self, *words: str) -> Any:
        """Call and return the answer."""
        text = self.text(*words, "--output", "json")
        try:
            return json.loads(text) if text else None
        except json.JSONDecodeError:
            return text

    def text(self, *words: str) -> str:
        """Call and return what was printed, stripped."""
        if self.verbose:
            print(f"+ aws {shlex.join(words)}", file=sys.stderr)
        run = subprocess.run(
            [str(_CLI), *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if run.returncode:
            raise AwsError(_error_message(run.stderr or run.stdout))
        return run.stdout.strip()

    def interactive(self, *words: str) -> int:
        """Give the terminal to the CLI; return its exit code."""
        return subprocess.run([str(_CLI), *words], env=self._environment, check=False).returncode

    def check_account(self) -> None:
        """See that the profile works and belongs to the account. Raises InputError."""
        profile = self.target.profile
        try:
            account = self("sts", "get-caller-identity")["Account"]
        except AwsError as error:
            raise self._unknown(error) or InputError(
                f"AWS_PROFILE {profile!r} does not work: {error}"
            ) from None
        if account != self.target.account:
            raise InputError(
                f"AWS_PROFILE {profile!r} belongs to account {account}, "
                f"but ACCOUNT_ID is {self.target.account}"
            )

    def _region(self) -> str:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            if region := os.environ.get(name):
                return region
        try:
            return self.text("configure", "get", "region")
        except AwsError as error:
            raise self._unknown(error) or InputError(
                f"AWS_PROFILE {self.target.profile!r} names no region; set AWS_REGION=…"
            ) from None

    def _unknown(self, error: AwsError) -> InputError | None:
        if "could not be found" not in str(error):
            return None
        return InputError(
            f"AWS_PROFILE is {self.target.profile!r}, which your AWS CLI does not know; "
            "`aws configure --profile …` makes one"
        )


def _error_message(output: str) -> str:
    """Return the error without the CLI's usage notes."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("usage:", "Note:", "aws: "))]
    return " ".join(kept[-6:] or lines[-6:])


@contextmanager
def temporary_files(**contents: bytes) -> Iterator[dict[str, Path]]:
    """Write secrets to files for the CLI, since everybody can read a command line."""
    with tempfile.TemporaryDirectory(prefix="vni-") as directory:
        files = {}
        for name, content in contents.items():
            files[name] = Path(directory, name)
            files[name].write_bytes(content)
        yield files
