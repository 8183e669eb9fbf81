"""What deployments remember about an environment, in Systems Manager's parameter store."""

from __future__ import annotations

from scripts.cloud.aws import Aws, AwsError
from templates.naming import parameter_name


def read(aws: Aws, name: str) -> str | None:
    """Return what was noted in the environment under a name, or None."""
    try:
        answer = aws("ssm", "get-parameter", "--name", _parameter(aws, name))
    except AwsError as error:
        if error.code == "ParameterNotFound":
            return None
        raise
    return str(answer["Parameter"]["Value"])


def write(aws: Aws, name: str, text: str) -> None:
    """Note something, so that the next deployment need not do or ask it again."""
    aws(
        *("ssm", "put-parameter", "--overwrite", "--type", "String"),
        *("--name", _parameter(aws, name), "--value", text),
    )


def forget(aws: Aws, name: str) -> None:
    """Delete a note, if there is one."""
    try:
        aws("ssm", "delete-parameter", "--name", _parameter(aws, name))
    except AwsError as error:
        if error.code != "ParameterNotFound":
            raise


def _parameter(aws: Aws, name: str) -> str:
    return aws.target.spelled(parameter_name(name))
