"""CloudFormation stacks: describe, deploy, protect, delete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from scripts.cloud import payers
from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.fleet import sizes_of
from scripts.cloud.steps import NO_CHANGES
from templates.__main__ import STACKS
from templates.naming import named, stack_name

# A stack whose creation failed can only be deleted.
_FAILED_CREATIONS = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
_CHANGE_SET = re.compile(r"--change-set-name (\S+)")
_WAITERS = {
    "CREATE_IN_PROGRESS": "stack-create-complete",
    "ROLLBACK_IN_PROGRESS": "stack-rollback-complete",
    "DELETE_IN_PROGRESS": "stack-delete-complete",
    "UPDATE_IN_PROGRESS": "stack-update-complete",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "stack-update-complete",
    "UPDATE_ROLLBACK_IN_PROGRESS": "stack-rollback-complete",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "stack-rollback-complete",
}


class StackError(RuntimeError):
    """A stack did not become what was wanted; the message holds CloudFormation's reasons."""


def name_of(aws: Aws, stack: str) -> str:
    """Return the full name of one of the environment's stacks."""
    return aws.target.spelled(stack_name(stack))


@dataclass
class _Seen:
    """What is known of an environment's stacks."""

    stacks: dict[str, dict[str, Any]] | None = None
    """As CloudFormation described them last, or None before that."""
    changed: set[str] = field(default_factory=set)
    """Those that have changed since."""


# DescribeStacks is slow and its calls are limited; a deployment asks for outputs at every step.
_seen: WeakKeyDictionary[Aws, _Seen] = WeakKeyDictionary()


def _note_change(aws: Aws, stack: str) -> None:
    _seen.setdefault(aws, _Seen()).changed.add(stack)


def look(aws: Aws, *, at: str = "") -> dict[str, dict[str, Any]]:
    """Return the environment's stacks as CloudFormation describes them, in order of deployment.

    They are described once, and again after something changed them; with `at`, only when that
    one was changed.
    """
    seen = _seen.setdefault(aws, _Seen())
    if seen.stacks is None or (at in seen.changed if at else seen.changed):
        seen.changed.clear()
        answer = aws("cloudformation", "describe-stacks")
        described = {stack["StackName"]: stack for stack in answer["Stacks"]}
        names = {stack: name_of(aws, stack) for stack in STACKS}
        seen.stacks = {s: described[name] for s, name in names.items() if name in described}
    return seen.stacks


def outputs(aws: Aws, stack: str) -> dict[str, str]:
    """Return a stack's outputs. Raises StackError where there is no such stack."""
    described = look(aws, at=stack).get(stack)
    if described is None:
        raise StackError(
            f"{name_of(aws, stack)} does not exist; `make deploy-backend-services` makes it"
        )
    return {o["OutputKey"]: o["OutputValue"] for o in described.get("Outputs", [])}


def deploy(aws: Aws, stack: str, parameters: Mapping[str, str] | None = None) -> str:
    """Bring a stack up to date; return what happened.

    The environment's sizes, for its fleet, are added to the parameters; what neither names stays
    as it is. What an interrupted deployment left is waited for, or deleted first. Raises
    StackError.
    """
    _settle(aws, stack)
    try:
        with template_file(stack) as file:
            printed = aws.text(*_words(aws, stack, file, parameters))
    except AwsError as error:
        _note_change(aws, stack)
        raise StackError(_reasons(aws, stack, error)) from None
    if "No changes to deploy" in printed:
        return NO_CHANGES
    _note_change(aws, stack)
    return "deployed"


@contextmanager
def template_file(stack: str) -> Iterator[Path]:
    """Give a file with a stack's template, without the spaces that people read it by.

    CloudFormation takes 51,200 bytes; the same in generated/ is a third longer.
    """
    text = STACKS[stack].build().to_json(indent=None, separators=(",", ":"))
    with temporary_files(template=text.encode()) as files:
        yield files["template"]


def _words(
    aws: Aws, stack: str, file: Path, parameters: Mapping[str, str] | None, *options: str
) -> list[str]:
    """Return the CLI's words that bring a stack up to date."""
    declared = STACKS[stack].build().parameters
    wanted = {
        "Environment": aws.target.environment,
        **sizes_of(aws).parameters(),
        **({"MasterSecret": _master_secret(aws)} if "MasterSecret" in declared else {}),
        **(parameters or {}),
    }
    return [
        *("cloudformation", "deploy", "--stack-name", name_of(aws, stack), *options),
        *("--template-file", str(file)),
        *("--capabilities", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset"),
        *("--tags", f"Environment={aws.target.environment}", "Project=vni-cpo"),
        *(f"{tag}={value}" for tag, value in payers.tags(aws).items()),
        "--parameter-overrides",
        *(f"{name}={value}" for name, value in wanted.items() if name in declared),
    ]


def _master_secret(aws: Aws) -> str:
    """Return the ARN of the secret of the schema's owner; a word where there is no database yet."""
    cluster = aws.target.spelled(named())
    try:
        found = aws("rds", "describe-db-clusters", "--db-cluster-identifier", cluster)
    except AwsError as error:
        if error.code != "DBClusterNotFoundFault":
            raise
        return "none"
    return str(found["DBClusters"][0]["MasterUserSecret"]["SecretArn"])


@dataclass(frozen=True)
class Change:
    """What a deployment would do to a resource, in CloudFormation's words.

    action: `Add`, `Modify` or `Remove`. replacement: `True`, `Conditional`, `False`, or empty.
    properties: that would change.
    """

    action: str
    resource: str
    kind: str
    replacement: str
    properties: tuple[str, ...]


def changes(aws: Aws, stack: str, parameters: Mapping[str, str] | None = None) -> list[Change]:
    """Return what `deploy` would change in a stack that exists; nothing is executed.

    CloudFormation makes a change set for it, which is deleted again. Raises StackError.
    """
    try:
        with template_file(stack) as file:
            printed = aws.text(*_words(aws, stack, file, parameters, "--no-execute-changeset"))
        found = _CHANGE_SET.search(printed)
        if found is None:
            _forget_empty(aws, stack)
            return []
        which = ("--change-set-name", found.group(1))
        described = aws("cloudformation", "describe-change-set", *which)
        aws("cloudformation", "delete-change-set", *which)
    except AwsError as error:
        raise StackError(f"{name_of(aws, stack)}: {error}") from None
    return [
        _change(change["ResourceChange"])
        for change in described["Changes"]
        if "ResourceChange" in change
    ]


def _forget_empty(aws: Aws, stack: str) -> None:
    """Delete what the CLI leaves behind where nothing would change: change sets that failed."""
    sets = aws("cloudformation", "list-change-sets", "--stack-name", name_of(aws, stack))
    for one in sets["Summaries"]:
        if one["Status"] == "FAILED":
            aws("cloudformation", "delete-change-set", "--change-set-name", one["ChangeSetId"])


def _change(change: Mapping[str, Any]) -> Change:
    targets = [detail["Target"] for detail in change.get("Details", [])]
    names = {target.get("Name") or target["Attribute"] for target in targets}
    return Change(
        change["Action"],
        change["LogicalResourceId"],
        change["ResourceType"],
        change.get("Replacement", ""),
        tuple(sorted(names)),
    )


def _settle(aws: Aws, stack: str) -> None:
    """See that a stack can be deployed."""
    status = look(aws, at=stack).get(stack, {}).get("StackStatus", "")
    if waiter := _WAITERS.get(status):
        # What became of it is seen at the next look.
        with suppress(AwsError):
            aws("cloudformation", "wait", waiter, "--stack-name", name_of(aws, stack))
        _note_change(aws, stack)
        status = look(aws, at=stack).get(stack, {}).get("StackStatus", "")
    if status == "UPDATE_ROLLBACK_FAILED":
        status = _roll_back(aws, stack)
    if status == "DELETE_FAILED":
        name = name_of(aws, stack)
        raise StackError(
            f"{name} was being deleted and is half gone, and what is left may be wanted; `aws "
            f"cloudformation delete-stack --stack-name {name}` goes on with it"
        )
    if status in _FAILED_CREATIONS:
        delete(aws, stack)


def _roll_back(aws: Aws, stack: str) -> str:
    """Let CloudFormation try again to take an update back; return the status. Raises StackError."""
    name = ("--stack-name", name_of(aws, stack))
    try:
        aws("cloudformation", "continue-update-rollback", *name)
        aws("cloudformation", "wait", "stack-rollback-complete", *name)
    except AwsError as error:
        raise StackError(
            f"{_reasons(aws, stack, error)}\n  An update could not be taken back. Mend what these "
            "name, and deploy again"
        ) from None
    finally:
        _note_change(aws, stack)
    return str(look(aws, at=stack)[stack]["StackStatus"])


def protect(aws: Aws, stack: str, protected: bool) -> bool:
    """Let a stack refuse its deletion, or not; return whether that was a change."""
    if look(aws, at=stack)[stack].get("EnableTerminationProtection", False) == protected:
        return False
    word = "--enable-termination-protection" if protected else "--no-enable-termination-protection"
    aws(
        "cloudformation", "update-termination-protection", word, "--stack-name", name_of(aws, stack)
    )
    look(aws, at=stack)[stack]["EnableTerminationProtection"] = protected
    return True


def delete(aws: Aws, stack: str) -> None:
    """Take a stack away, and wait until it is gone. Raises StackError."""
    name = name_of(aws, stack)
    _note_change(aws, stack)
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
        if event["LogicalResourceId"] == name and status.endswith("_IN_PROGRESS"):
            if "ROLLBACK" in status or "CLEANUP" in status:
                continue
            break  # what comes next belongs to earlier deployments
        if status.endswith("FAILED") and "cancelled" not in reason:
            reasons.insert(0, f"{event['LogicalResourceId']}: {reason or status}")
    return "\n  ".join([f"{name}: {error}", *reasons[:5]])
