"""The operator's commands against an environment: a task that runs once, its output shown here.

Nothing of the output is in a log: the task puts it, passwords and all, into an encrypted object
under the caller's own id, by an address that is good for this one object and an hour. It is
fetched, deleted and printed. A file for the command takes the same way in.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import boto3
from botocore.config import Config

from scripts.cloud import tasks
from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import outputs
from templates.parts.operations import OPERATIONS

_URL_SECONDS = 3600
# Where the task finds the file that the command reads: the one place it may write to.
FILE_IN_TASK = "/dev/shm/file"  # noqa: S108 - of a task, in which nothing else runs
_PROGRAM = f"""
import os, subprocess, sys, urllib.request as r
if os.environ.get("INPUT_URL"):
    with r.urlopen(os.environ["INPUT_URL"], timeout=60) as a, open("{FILE_IN_TASK}", "wb") as f:
        f.write(a.read())
p = subprocess.run(
    [sys.executable, "-m", "operations", *sys.argv[1:]],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
)
r.urlopen(r.Request(os.environ["OUTPUT_URL"], data=p.stdout, method="PUT"), timeout=60)
sys.exit(p.returncode)
"""


def run(aws: Aws, arguments: str, file: str = "") -> int:
    """Run `operations` with these arguments; print its output and return its exit code.

    arguments: as typed in a shell; FILE in them stands for the file. Raises InputError and
    TaskError.
    """
    words = shlex.split(arguments)
    if not words:
        raise InputError('ARGS is not set: give the command, as ARGS="charging-points list"')
    if file and "FILE" not in words:
        raise InputError("FILE is given, but ARGS does not name it: put the word FILE into ARGS")
    if file and not Path(file).is_file():
        raise InputError(f"FILE is {file!r}, which is no file")
    code, output = ask(aws, words, file)
    sys.stdout.write(output)
    sys.stdout.flush()
    return code


def ask(
    aws: Aws, words: list[str], file: str = "", more: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `operations` with these words in a task; return its exit code and its output.

    file: what the word FILE stands for, or empty. more: variables of the task. Raises TaskError
    where the task does not come so far as to run it.
    """
    words = [FILE_IN_TASK if file and word == "FILE" else word for word in words]
    folder = f"{aws('sts', 'get-caller-identity')['UserId']}/{uuid.uuid4()}"
    bucket = outputs(aws, "storage")["Operations"]
    environment = {
        "OUTPUT_URL": _url(aws, "put_object", bucket, f"{folder}/output"),
        "COLUMNS": str(shutil.get_terminal_size().columns),
        **(more or {}),
    }
    if file:
        aws.text("s3", "cp", file, f"s3://{bucket}/{folder}/file")
        environment["INPUT_URL"] = _url(aws, "get_object", bucket, f"{folder}/file")
    try:
        code = tasks.run_once(
            aws,
            outputs(aws, "services")["OperationsTask"],
            outputs(aws, "firewall")["ThirdPartyTasks"],
            _overrides(words, environment),
        )
        output = _fetch(aws, f"s3://{bucket}/{folder}/output", code)
        return 1 if code is None else code, output
    finally:
        aws.text("s3", "rm", f"s3://{bucket}/{folder}/", "--recursive")


def _overrides(words: list[str], environment: dict[str, str]) -> str:
    container = {
        "name": OPERATIONS,
        "command": ["python", "-c", _PROGRAM, *words],
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
    }
    return json.dumps({"containerOverrides": [container]})


def _fetch(aws: Aws, output: str, code: int | None) -> str:
    """Return what the command printed. Raises TaskError where the task did not come so far."""
    with temporary_files(output=b"") as files:
        try:
            aws.text("s3", "cp", output, str(files["output"]))
        except AwsError:
            raise tasks.TaskError(
                f"the command did not run (exit code {code}); `make tail-logs "
                f"SERVICE={OPERATIONS}` says why"
            ) from None
        return files["output"].read_text()


def _url(aws: Aws, action: str, bucket: str, key: str) -> str:
    """Return an address by which one object is read or written without credentials."""
    client = boto3.Session(profile_name=aws.target.profile, region_name=aws.region).client(
        "s3",
        # With the region in the address: the general one answers new buckets with a redirect.
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "virtual"},
            request_checksum_calculation="when_required",
        ),
    )
    return str(
        client.generate_presigned_url(
            action, Params={"Bucket": bucket, "Key": key}, ExpiresIn=_URL_SECONDS
        )
    )
