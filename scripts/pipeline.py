"""`python -m scripts.pipeline`: what the pipelines' builds do, in CodeBuild and on any machine.

The build specifications beside the packages call nothing but the make targets that call this. In
CodeBuild (CODEBUILD_BUILD_ID is set) it pushes and tests what runs at AWS; elsewhere it does what
can be done without: it builds where a container engine works, and tests services of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from scripts.cloud import images, promotion
from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.images import IMAGES, Image
from scripts.cloud.inputs import InputError, Target, target
from scripts.cloud.stacks import StackError
from templates.naming import CHARGING_POINT, SERVICES, THIRD_PARTY, host_name, spelled
from templates.stacks.test_services import LISTENER_PORTS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(os.environ.get("PIPELINE_RESULTS") or ROOT / "build" / "pipeline")
PROFILE = "pipeline"
REFUSED_SEVERITIES = ("CRITICAL",)
"""What a scan may not find; lesser findings are printed, since a base image always has some."""
ACCEPTED = ROOT / "requirements/accepted-findings.toml"
"""Findings that may go on for a time all the same."""
ACCEPTED_DAYS = 90
SCAN_SECONDS = 15 * 60
SCAN_LOOK_SECONDS = 5

_TAG_LENGTH = 12
_OURS = {
    *("ACCOUNT_ID", "CLUSTER", "COMMIT_ID", "ENVIRONMENT", "LIVE_SERVICE", "MFLAGS"),
    *("REPOSITORY", "REPOSITORY_URI", "SERVICE"),
}


class PipelineError(RuntimeError):
    """The commit does not go on; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pipeline", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, work, text in (
        ("build", _build, "check, test, build the image; in CodeBuild push it and read its scan"),
        ("test", _test, "let charging points charge at the service; write a JUnit report"),
    ):
        step = steps.add_parser(name, help=text, description=text)
        step.add_argument("service", choices=SERVICES)
        step.set_defaults(work=work)
    options = parser.parse_args(arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        options.work(IMAGES[options.service])
    except (PipelineError, InputError, AwsError, StackError, RuntimeError) as error:
        print(f"pipeline-{options.step}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def in_codebuild() -> bool:
    """Return whether this is a build of a pipeline."""
    return bool(os.environ.get("CODEBUILD_BUILD_ID"))


def _build(image: Image) -> None:
    if in_codebuild() and (other := os.environ.get("PROMOTE_FROM")):
        _promote(_connect(), image, other)
        return
    _make("lint")
    _make("test", f"PYTEST=--junitxml={RESULTS / 'tests.xml'}")
    if in_codebuild():
        _deliver(_connect(), image)
        return
    try:
        engine = images.find_engine()
    except InputError as error:
        print(f"The image is not built: {error}")
        return
    images.build(image, image.local_name, engine)
    print(f"Built {image.local_name}. Only CodeBuild pushes.")


def _deliver(aws: Aws, image: Image) -> None:
    """Push the image under the commit's id, and hand it on."""
    commit = _given("COMMIT_ID")
    tag = commit[:_TAG_LENGTH]
    uri = _given("REPOSITORY_URI")
    repository = uri.split("/", 1)[1]
    # A pipeline that is started again finds what it pushed; tags cannot be pushed twice.
    known = images.holds(aws, repository, tag)
    print(f"{tag} is in the registry" if known else images.push(aws, image, tag, uri))
    _hand_on(aws, image, commit)


def _promote(aws: Aws, image: Image, environment: str) -> None:
    """Copy the image that another environment runs, if it is the commit's. Raises PipelineError."""
    tag = _given("COMMIT_ID")[:_TAG_LENGTH]
    source = Aws(promotion.source_of(aws.target, environment))
    found = promotion.running(source, image.service)
    if found.tag != tag:
        raise PipelineError(
            f"{environment} runs {found.tag} and not {tag}, which this commit is; it goes on here "
            f"when {environment} has released it"
        )
    print(promotion.copy(source, aws, image.service, found))
    _hand_on(aws, image, _given("COMMIT_ID"))


def _hand_on(aws: Aws, image: Image, commit: str) -> None:
    """Read the scan of the commit's image; write down what comes next needs to know."""
    tag = commit[:_TAG_LENGTH]
    uri = _given("REPOSITORY_URI")
    repository = uri.split("/", 1)[1]
    _read_scan(aws, repository, tag)
    running = _running(aws, uri)
    # Pushes are what lets images expire; the one that runs may not.
    images.keep(aws, repository, running[0]["image"].rsplit(":", 1)[-1])
    # The test is the one container; beside the real service's may stand more of the same image.
    for file, names in (("-test", [image.service]), ("", [c["name"] for c in running])):
        definitions = [{"name": name, "imageUri": f"{uri}:{tag}"} for name in names]
        (RESULTS / f"imagedefinitions{file}.json").write_text(json.dumps(definitions))
    changes = _changes_url(commit, running[0]["image"].rsplit(":", 1)[-1])
    (RESULTS / "variables").write_text(f"export IMAGE_TAG={tag}\nexport CHANGES_URL={changes}\n")
    print(f"What will change: {changes}")


def _read_scan(aws: Aws, repository: str, tag: str) -> None:
    """Wait for the registry's scan of an image. Raises PipelineError for what it may not find."""
    what = ("--repository-name", repository, "--image-id", f"imageTag={tag}")
    found = findings_of(_scanned(aws, what)["imageScanFindings"])
    counts = Counter(finding.severity for finding in found)
    listed = ", ".join(f"{count} {severity.lower()}" for severity, count in sorted(counts.items()))
    print(f"The scan found: {listed or 'nothing'}")
    accepted = read_accepted(datetime.now(UTC).date())
    refused = {f.name for f in found if f.severity in REFUSED_SEVERITIES} - accepted.keys()
    for name in sorted({f.name for f in found} & accepted.keys()):
        print(f"  {name} is accepted: {accepted[name]}")
    if refused:
        names = ", ".join(sorted(refused)[:10])
        raise PipelineError(
            f"the image has findings that may not go on: {names}; upgrade what brings them "
            "(`make upgrade-requirements`, or the base image in the Dockerfile), or accept them "
            f"for a time in {ACCEPTED.relative_to(ROOT)}"
        )


def _scanned(aws: Aws, what: tuple[str, ...]) -> dict[str, Any]:
    """Return the answer of a scan that has ended, or that goes on for ever. Raises PipelineError.

    The CLI's own waiter knows COMPLETE and FAILED alone; where Amazon Inspector scans, an image
    is ACTIVE for as long as it is watched.
    """
    deadline = time.monotonic() + SCAN_SECONDS
    while True:
        try:
            answer: dict[str, Any] = aws("ecr", "describe-image-scan-findings", *what)
        except AwsError as error:
            if error.code != "ScanNotFoundException":
                raise
            answer = {"imageScanStatus": {"status": "PENDING"}}
        status = answer["imageScanStatus"]
        if status["status"] in ("COMPLETE", "ACTIVE"):
            return answer
        if status["status"] not in ("PENDING", "IN_PROGRESS"):
            why = status.get("description", "no reason given")
            raise PipelineError(f"the image was not scanned ({status['status']}): {why}")
        if time.monotonic() > deadline:
            raise PipelineError(f"the scan has not ended after {SCAN_SECONDS // 60} minutes")
        time.sleep(SCAN_LOOK_SECONDS)


@dataclass(frozen=True)
class Finding:
    """What a scan found. name: such as CVE-2026-0001; severity: in AWS's words."""

    name: str
    severity: str


def findings_of(scan: Mapping[str, Any]) -> list[Finding]:
    """Return what a scan found, in either of its forms: of ECR itself, or of Amazon Inspector.

    Source: ECR's API reference, ImageScanFindings (`findings`, `enhancedFindings`).
    """
    basic = [Finding(str(f["name"]), str(f["severity"])) for f in scan.get("findings", [])]
    enhanced = [
        Finding(
            str(f.get("packageVulnerabilityDetails", {}).get("vulnerabilityId") or f["title"]),
            str(f["severity"]),
        )
        for f in scan.get("enhancedFindings", [])
        if f.get("status", "ACTIVE") == "ACTIVE"
    ]
    return basic + enhanced


def read_accepted(today: date, file: Path | None = None) -> dict[str, str]:
    """Return the findings that are accepted today: name → reason.

    An entry has a name, a reason and the last day it holds. Raises PipelineError for one that
    lacks any, or that is to hold for longer than ACCEPTED_DAYS.
    """
    accepted = {}
    for entry in tomllib.loads((file or ACCEPTED).read_text()).get("finding", []):
        name, reason, until = (entry.get(key) for key in ("name", "reason", "until"))
        if not name or not reason or type(until) is not date:
            raise PipelineError(f"an accepted finding lacks its name, reason or day: {entry}")
        if (until - today).days > ACCEPTED_DAYS:
            raise PipelineError(f"{name} is accepted for more than {ACCEPTED_DAYS} days")
        if until >= today:
            accepted[str(name)] = f"{reason} (until {until})"
    return accepted


def _changes_url(commit: str, running: str) -> str:
    """Return where a person sees what would change: from the running image to this commit."""
    repository = f"https://github.com/{_given('REPOSITORY')}"
    if running == commit[:_TAG_LENGTH]:
        return f"{repository}/commit/{commit}"
    return f"{repository}/compare/{running}...{commit}"


def _running(aws: Aws, uri: str) -> list[dict[str, Any]]:
    """Return the containers of the real service that run an image of this repository."""
    cluster, service = _given("CLUSTER"), _given("LIVE_SERVICE")
    found = aws("ecs", "describe-services", "--cluster", cluster, "--services", service)
    definition = aws(
        *("ecs", "describe-task-definition"),
        *("--task-definition", found["services"][0]["taskDefinition"]),
    )
    containers: list[dict[str, Any]] = definition["taskDefinition"]["containerDefinitions"]
    ours = [c for c in containers if c["image"].rsplit(":", 1)[0] == uri]
    if not ours:
        raise PipelineError(f"{service} runs no image of {uri}")
    return ours


def _test(image: Image) -> None:
    variables: dict[str, str] = {}
    if in_codebuild():
        variables = _where_the_test_is(_connect())
    module = image.service.replace("-", "_")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", f"tests/acceptance/test_{module}.py", "-v", "-x"),
            f"--junitxml={RESULTS / 'acceptance.xml'}",
        ],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=False,
    )
    if run.returncode:
        raise PipelineError(f"{image.service} does not pass; the report is in {RESULTS}")


def _where_the_test_is(aws: Aws) -> dict[str, str]:
    """Return the variables by which tests/acceptance finds the service at AWS."""
    certificate = aws("acm", "get-certificate", "--certificate-arn", _given("CERTIFICATE_ARN"))
    authority = RESULTS / "ca.pem"
    # What charging points trust: the end of the chain, without anybody's key.
    authority.write_text(certificate["CertificateChain"])
    cluster, service = _given("CLUSTER"), _given("TEST_SERVICE")
    drain = " ".join(
        [
            f"{Path(sys.executable).with_name('aws')} ecs update-service --force-new-deployment",
            f"--cluster {cluster} --service {service} --query service.status",
        ]
    )
    environment = aws.target.environment
    return {
        "ACCEPTANCE_HOST": _given("TEST_HOST"),
        "ACCEPTANCE_PORT": str(LISTENER_PORTS[CHARGING_POINT]),
        "ACCEPTANCE_TLS_NAME": spelled(host_name(CHARGING_POINT), environment),
        "ACCEPTANCE_CA_FILE": str(authority),
        "ACCEPTANCE_DRAIN": drain,
        "ACCEPTANCE_HUB_PORT": str(LISTENER_PORTS[THIRD_PARTY]),
        "ACCEPTANCE_HUB_TLS_NAME": spelled(host_name(THIRD_PARTY), environment),
        # What the drain's command needs to know of us.
        **{name: os.environ[name] for name in ("AWS_PROFILE", "AWS_CONFIG_FILE")},
    }


def _connect() -> Aws:
    """Return the CLI with CodeBuild's own credentials, checked as everywhere."""
    if "AWS_PROFILE" not in os.environ:
        # A profile without credentials of its own: the CLI then takes the build's role.
        configuration = RESULTS / "aws-config"
        configuration.write_text(f"[profile {PROFILE}]\nregion = {_given('AWS_REGION')}\n")
        os.environ["AWS_CONFIG_FILE"] = str(configuration)
        os.environ["AWS_PROFILE"] = PROFILE
    where: Target = target(os.environ)
    aws = Aws(where)
    aws.check_account()
    return aws


def _make(*words: str) -> None:
    """Run a make target as on any machine: without what CodeBuild and our own make have set."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _OURS and not name.startswith(("AWS_", "CODEBUILD_", "MAKE"))
    }
    if subprocess.run(["make", *words], cwd=ROOT, env=environment, check=False).returncode:
        raise PipelineError(f"`make {words[0]}` failed; its output is above")


def _given(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise InputError(f"{name} is not set; the pipeline's stack sets it")
    return value


if __name__ == "__main__":
    sys.exit(main())
