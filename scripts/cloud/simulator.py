"""The simulator against a deployed environment: its authority, its name, its test charging point.

Outside production an environment has a charging point of its own for this, whose password is kept
in Secrets Manager and, on the machine that deployed, in a file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from charging.database.address import state_directory
from scripts.cloud import operations
from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import NO_CHANGES
from scripts.cloud.tasks import TaskError
from templates.environments import sizes
from templates.naming import CHARGING_POINT, host_name, named, spelled

TEST_CHARGING_POINT = "SIM00001"
"""What the simulator's `charge` calls its first charging point, too."""
_PASSWORD = "CHARGING_POINT_PASSWORD"  # noqa: S105 - a variable's name
_OWN_IDENTITY = ("hello", "station")
_MODES = (*_OWN_IDENTITY, "charge", "crowd")


def register(aws: Aws) -> str:
    """Register the test charging point, once; return what was done. Raises TaskError."""
    if _stored(aws) is not None:
        return NO_CHANGES
    for command in ("register", "new-password"):
        # The second where an earlier run registered it and broke off before it kept the password.
        words = ["charging-points", command, TEST_CHARGING_POINT, "--json"]
        code, output = operations.ask(aws, words)
        if code == 0:
            password = str(json.loads(output)["password"])
            _store(aws, password)
            _keep(aws.target.environment, password)
            return f"{TEST_CHARGING_POINT} registered"
    raise TaskError(f"{TEST_CHARGING_POINT} could not be registered: {output.strip()}")


def forget(aws: Aws) -> None:
    """Delete the password of an environment that is gone."""
    _password_file(aws.target.environment).unlink(missing_ok=True)
    try:
        aws(
            *("secretsmanager", "delete-secret", "--force-delete-without-recovery"),
            *("--secret-id", _secret(aws)),
        )
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise


def command(
    environment: str, words: list[str], given: Mapping[str, str], hostname: str, aws: Aws | None
) -> tuple[list[str], dict[str, str]]:
    """Return the simulator's command line, and variables for it.

    words: as given to it; what they say counts. given: the variables it has already. aws: where
    to ask for what this machine does not have, or None. Raises InputError where something is
    missing and nobody can be asked.
    """
    mode = next((word for word in words if word in _MODES), "hello")
    rest = [word for word in words if word != mode]
    ours = ["--host", hostname]
    if mode != "crowd":
        ours += ["--ca-file", str(_authority_file(environment, aws))]
        ours += ["--tls-name", spelled(host_name(CHARGING_POINT), environment)]
    if mode in _OWN_IDENTITY:
        ours += ["--identity", TEST_CHARGING_POINT]
    variables = {}
    if _PASSWORD not in given and not sizes(environment).protected:
        variables[_PASSWORD] = _password(environment, aws)
    return [sys.executable, "-m", "charging_point_simulator", mode, *ours, *rest], variables


def _authority_file(environment: str, aws: Aws | None) -> Path:
    file = state_directory() / "certificates" / environment / "ca.pem"
    if file.exists():
        return file
    if aws is None:
        raise InputError(_missing(environment, "the authority's certificate"))
    parameter = aws.target.spelled(named("certificate-authority"))
    answer = aws("secretsmanager", "get-secret-value", "--secret-id", parameter)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.loads(answer["SecretString"])["certificate"])
    return file


def _password(environment: str, aws: Aws | None) -> str:
    file = _password_file(environment)
    if file.exists():
        return file.read_text().strip()
    if aws is None:
        raise InputError(_missing(environment, "the test charging point's password"))
    password = _stored(aws)
    if password is None:
        raise InputError(
            f"{environment} has no test charging point; `make deploy-backend-services` registers it"
        )
    _keep(environment, password)
    return password


def _missing(environment: str, what: str) -> str:
    return (
        f"this machine does not have {what} of {environment}; set AWS_PROFILE and ACCOUNT_ID, "
        "and it is fetched"
    )


def _stored(aws: Aws) -> str | None:
    try:
        answer = aws("secretsmanager", "get-secret-value", "--secret-id", _secret(aws))
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return str(answer["SecretString"])


def _store(aws: Aws, password: str) -> None:
    with temporary_files(password=password.encode()) as files:
        aws(
            *("secretsmanager", "create-secret", "--name", _secret(aws)),
            *("--description", "Password of the test charging point"),
            *("--secret-string", f"file://{files['password']}"),
            *("--tags", f"Key=Environment,Value={aws.target.environment}"),
        )


def _keep(environment: str, password: str) -> None:
    file = _password_file(environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(password)


def _password_file(environment: str) -> Path:
    return state_directory() / "simulator" / environment / "password"


def _secret(aws: Aws) -> str:
    return aws.target.spelled(named("test-charging-point"))
