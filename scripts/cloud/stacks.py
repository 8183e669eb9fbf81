"""CloudFormation stacks: deploy, look into, take away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scripts.cloud.aws import Aws, AwsError
from templates.__main__ import STACKS
from templates.environments import sizes

_GENERATED = Path(__file__).resolve().parents[2] / "generated"
NO_CHANGES = "no changes"


class StackError(RuntimeError):
    """A stack did not become what was wanted; the message holds CloudFormation's reasons."""


def name_of(aws: Aws, stack: str) -> str:
    """Return the full name of one of the environment's stacks."""
    return f"vni-cpo-{stack}-{aws.target.environment}"


def deploy(aws: Aws, stack: str, parameters: Mapping[str, str] | None = None) -> str:
    """Bring a stack up to date; return in a word what happened.

    The environment's sizes are added to the parameters; what neither names stays as it is.
    Raises StackError.
    """
    wanted = {**sizes(aws.target.environment).parameters(), **(parameters or {})}
    try:
        done = _deploy(aws, stack, wanted)
    except AwsError as error:
        if "ROLLBACK_COMPLETE" not in str(error) or "UPDATE_" in str(error):
            raise StackError(_reasons(aws, stack, error)) from None
        # A first attempt failed and left its husk, which cannot be updated.
        delete(aws, stack)
        try:
            done = _deploy(aws, stack, wanted)
        except AwsError as again:
            raise StackError(_reasons(aws, stack, again)) from None
    if sizes(aws.target.environment).protected and done != NO_CHANGES:
        protect(aws, stack, True)
    return done


def _deploy(aws: Aws, stack: str, wanted: Mapping[str, str]) -> str:
    declared = STACKS[stack].build().parameters
    overrides = {"Environment": aws.target.environment, **wanted}
    said = aws.text(
        "cloudformation",
        "deploy",
        "--stack-name",
        name_of(aws, stack),
        "--template-file",
        str(_GENERATED / f"{stack}.yml"),
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
        "--no-fail-on-empty-changeset",
        "--tags",
        f"Environment={aws.target.environment}",
        "Project=vni-cpo",
        "--parameter-overrides",
        *(f"{name}={value}" for name, value in overrides.items() if name in declared),
    )
    return NO_CHANGES if "No changes to deploy" in said else "deployed"


def protect(aws: Aws, stack: str, protected: bool) -> None:
    """Let a stack refuse its deletion, or not."""
    word = "--enable-termination-protection" if protected else "--no-enable-termination-protection"
    aws(
        "cloudformation", "update-termination-protection", word, "--stack-name", name_of(aws, stack)
    )


def exists(aws: Aws, stack: str) -> bool:
    """Return whether a stack is there, in whatever state."""
    try:
        aws("cloudformation", "describe-stacks", "--stack-name", name_of(aws, stack))
    except AwsError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def outputs(aws: Aws, stack: str) -> dict[str, str]:
    """Return a stack's outputs. Raises StackError where there is no such stack."""
    try:
        answer = aws("cloudformation", "describe-stacks", "--stack-name", name_of(aws, stack))
    except AwsError as error:
        if "does not exist" in str(error):
            raise StackError(
                f"{name_of(aws, stack)} does not exist; `make deploy-backend-services` makes it"
            ) from None
        raise
    return {
        output["OutputKey"]: output["OutputValue"]
        for output in answer["Stacks"][0].get("Outputs", [])
    }


def delete(aws: Aws, stack: str) -> None:
    """Take a stack away, and wait until it is gone. Raises StackError."""
    name = name_of(aws, stack)
    try:
        aws("cloudformation", "delete-stack", "--stack-name", name)
        aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)
    except AwsError as error:
        raise StackError(_reasons(aws, stack, error)) from None


def _reasons(aws: Aws, stack: str, error: AwsError) -> str:
    """Return CloudFormation's own reasons, the first failures first, or else the CLI's."""
    name = name_of(aws, stack)
    try:
        events = aws("cloudformation", "describe-stack-events", "--stack-name", name)
    except AwsError:
        return f"{name}: {error}"
    reasons: list[str] = []
    for event in events["StackEvents"]:
        status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
        if event["LogicalResourceId"] == name and status in (
            "CREATE_IN_PROGRESS",
            "UPDATE_IN_PROGRESS",
        ):
            break  # what comes next belongs to earlier deployments
        if status.endswith("FAILED") and "cancelled" not in reason:
            reasons.insert(0, f"{event['LogicalResourceId']}: {reason or status}")
    return "\n  ".join([f"{name}: {error}", *reasons[:5]])
