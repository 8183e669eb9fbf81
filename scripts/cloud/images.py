"""Container images: named after the commit that last changed what is in them.

So a commit that touches only documentation makes no new image, and no charging point is
disconnected for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import look, outputs
from scripts.cloud.steps import NO_CHANGES
from templates.environments import sizes
from templates.naming import CHARGING_POINT, CONSOLE, THIRD_PARTY, camel
from templates.parts.service import PROGRAMS
from templates.stacks import console, deployment_pipeline
from templates.stacks.registry import RELEASED

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("docker", "podman")
_TAG_LENGTH = 12
# The base that a Dockerfile names, without its digest.
_BASE = re.compile(r"^ARG PYTHON_IMAGE=([^@\s]+)", re.MULTILINE)
_BASE_LINE = re.compile(r"^(ARG PYTHON_IMAGE=)\S+", re.MULTILINE)
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
"""The forms in which registries keep images: of one kind of processor, or a list of those."""
_PLATFORMS = {"ARM64": "linux/arm64", "X86_64": "linux/amd64"}


@dataclass(frozen=True)
class Image:
    """A service's image: its package and what else goes into it."""

    service: str
    package: str
    more: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str]:
        """What changes the image when it changes."""
        requirements = f"requirements/{self.package.replace('_', '-')}.txt"
        return [self.package, "charging", *self.more, requirements, ".dockerignore"]

    @property
    def local_name(self) -> str:
        """Its name on the machine that built it."""
        return f"vni-backend-{self.service}"


IMAGES = {
    CHARGING_POINT: Image(CHARGING_POINT, PROGRAMS[CHARGING_POINT].package),
    # The operator's commands are not in the other: their changes disconnect nobody.
    THIRD_PARTY: Image(THIRD_PARTY, PROGRAMS[THIRD_PARTY].package, ("operations",)),
}
CONSOLE_IMAGE = Image(CONSOLE, "operations")
"""By choice, and so not among those that every environment has."""
ALL_IMAGES = {**IMAGES, CONSOLE: CONSOLE_IMAGE}


def tag_of(image: Image, variables: Mapping[str, str] = os.environ) -> str:
    """Return IMAGE_TAG, or the commit that last changed the image's contents.

    Raises InputError where that is not committed: nobody could say later what runs.
    """
    if given := variables.get("IMAGE_TAG"):
        return given
    if changed := _git("status", "--porcelain", "--", *image.sources):
        first = changed.splitlines()[0].split()[-1]
        raise InputError(
            f"{first} has changes that are not committed; commit them, or name an image that is "
            "in the registry with IMAGE_TAG=…"
        )
    return _git("log", "-1", "--format=%H", "--", *image.sources)[:_TAG_LENGTH]


def missing(aws: Aws, tags: Mapping[str, str]) -> set[str]:
    """Return the services of whose images the registry lacks these tags.

    tags: service → tag. Raises InputError where such an image cannot be built here, so that a
    deployment ends before it began.
    """
    lacking = {service for service, tag in tags.items() if not _in_registry(aws, service, tag)}
    if lacking and os.environ.get("IMAGE_TAG"):
        service = min(lacking)
        raise InputError(
            f"IMAGE_TAG is {tags[service]!r}, but the registry of {aws.target.environment} has "
            f"no such image of {service}"
        )
    if lacking:
        find_engine()
    return lacking


def provide(aws: Aws, image: Image, tag: str, lacking: bool) -> str:
    """Have an image in the registry and keep it there; return what was done.

    lacking: whether the registry lacks it. Raises InputError.
    """
    done = f"{NO_CHANGES}, {tag} is in the registry"
    if lacking:
        done = push(aws, image, tag)
    keep(aws, outputs(aws, "registry")[f"{camel(image.service)}RepositoryName"], tag)
    return done


def push(aws: Aws, image: Image, tag: str, uri: str = "") -> str:
    """Build an image and push it to the registry; return what was done. Raises InputError.

    uri: of the repository, where it is known already.
    """
    engine = find_engine()
    uri = uri or outputs(aws, "registry")[f"{camel(image.service)}RepositoryUri"]
    build(image, f"{uri}:{tag}", engine, _PLATFORMS[sizes(aws.target.environment).architecture])
    password = aws.text("ecr", "get-login-password")
    registry = uri.split("/", 1)[0]
    _run(engine, "login", "--username", "AWS", "--password-stdin", registry, stdin=password)
    _run(engine, "push", f"{uri}:{tag}")
    return f"{tag} built and pushed"


def build(image: Image, name: str, engine: str, wanted_platform: str | None = None) -> None:
    """Build an image from the repository. wanted_platform: ``linux/arm64``; None: this machine's.

    PYTHON_IMAGE names another base than the Dockerfile's, such as a mirror's.
    """
    base = os.environ.get("PYTHON_IMAGE")
    _run(
        engine,
        "build",
        *(("--platform", wanted_platform) if wanted_platform else ()),
        *("--label", f"org.opencontainers.image.revision={_revision()}"),
        *(("--build-arg", f"PYTHON_IMAGE={base}") if base else ()),
        *("--file", f"{image.package}/Dockerfile", "--tag", name, "."),
        # podman's own format has no health check.
        environment={"BUILDAH_FORMAT": "docker"},
    )


def pin_base(engine: str) -> str:
    """Pull the base of the images and write its digest into their Dockerfiles; return its name.

    The digest is of the tag's whole list, so it is one for all processors. Raises RuntimeError
    where the engine does not know it.
    """
    files = [ROOT / image.package / "Dockerfile" for image in ALL_IMAGES.values()]
    (name,) = {_BASE.findall(file.read_text())[0] for file in files}
    _run(engine, "pull", name)
    inspected = subprocess.run(
        [engine, "image", "inspect", "--format", "{{index .RepoDigests 0}}", name],
        capture_output=True,
        text=True,
        check=False,
    )
    digest = inspected.stdout.strip().rpartition("@")[2]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise RuntimeError(f"{engine} does not say which digest {name} has: {inspected.stderr}")
    for file in files:
        text = file.read_text()
        file.write_text(_BASE_LINE.sub(rf"\g<1>{name}@{digest}", text))
    return f"{name}@{digest}"


def find_engine(variables: Mapping[str, str] = os.environ) -> str:
    """Return an engine that works, CONTAINER's or the first there is. Raises InputError."""
    wanted = variables.get("CONTAINER")
    if wanted and wanted not in ENGINES:
        raise InputError(f"CONTAINER is {wanted!r}; use {' or '.join(ENGINES)}")
    for engine in [wanted] if wanted else ENGINES:
        if shutil.which(engine) and not _fails(engine, "info"):
            return engine
    which = f"{wanted} does not work" if wanted else "neither docker nor podman works"
    raise InputError(
        f"{which} here, and an image is to be built: start it, or name an image that is "
        "in the registry with IMAGE_TAG=…"
    )


def _revision() -> str:
    """Return the commit that is checked out, and whether there is more than that."""
    try:
        return os.environ.get("COMMIT_ID") or _git(
            "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"
        )
    except InputError:
        return "unknown"


def _in_registry(aws: Aws, service: str, tag: str) -> bool:
    if "registry" not in look(aws):
        return False
    return holds(aws, outputs(aws, "registry")[f"{camel(service)}RepositoryName"], tag)


def holds(aws: Aws, repository: str, tag: str) -> bool:
    """Return whether a repository of the registry has an image of this tag."""
    return find(aws, repository, imageTag=tag) is not None


def find(aws: Aws, repository: str, **which: str) -> dict[str, Any] | None:
    """Return an image of a repository with its manifest as it is; None where there is none.

    which: imageTag or imageDigest. Keys: imageId, imageManifest, imageManifestMediaType.
    """
    ((key, value),) = which.items()
    images: list[dict[str, Any]] = aws(
        *("ecr", "batch-get-image", "--repository-name", repository),
        *("--image-ids", f"{key}={value}"),
        # Of what is not accepted, AWS gives another form, with another digest.
        *("--accepted-media-types", *MANIFESTS),
    )["images"]
    return images[0] if images else None


def put(
    aws: Aws, repository: str, image: Mapping[str, Any], *, tag: str = "", digest: str = ""
) -> None:
    """Put an image's manifest into a repository, under a tag or none.

    digest: that it must have there, by AWS's own computation; any where empty.
    """
    with temporary_files(manifest=image["imageManifest"].encode()) as files:
        aws(
            *("ecr", "put-image", "--repository-name", repository),
            *("--image-manifest", f"file://{files['manifest']}"),
            *("--image-manifest-media-type", image["imageManifestMediaType"]),
            *(("--image-tag", tag) if tag else ()),
            *(("--image-digest", digest) if digest else ()),
        )


def keep(aws: Aws, repository: str, tag: str) -> None:
    """Give an image the tag that keeps it from expiring, since it runs or is about to."""
    kept = f"{RELEASED}{tag}"
    if holds(aws, repository, kept):
        return
    image = find(aws, repository, imageTag=tag)
    if image is not None:  # else it is gone already: whoever deploys it hears of it there
        try:
            put(aws, repository, image, tag=kept)
        except AwsError as error:
            # Somebody else was faster.
            if error.code not in ("ImageAlreadyExistsException", "ImageTagAlreadyExistsException"):
                raise


def stack_of(service: str) -> str:
    """Return the stack that a service is in."""
    return console.STACK if service == CONSOLE else "services"


def running(aws: Aws, service: str) -> str | None:
    """Return the tag of the image that a service runs; None where there is no service yet.

    It is not always the one that CloudFormation was given last: pipelines release past it.
    """
    stack = stack_of(service)
    if stack not in look(aws):
        return None
    found = aws(
        *("ecs", "describe-services", "--cluster", outputs(aws, "cluster")["Name"]),
        *("--services", outputs(aws, stack)[f"{camel(service)}ServiceName"]),
    )
    if not found["services"]:
        return None
    definition = aws(
        *("ecs", "describe-task-definition"),
        *("--task-definition", found["services"][0]["taskDefinition"]),
    )["taskDefinition"]
    (image,) = {
        container["image"]
        for container in definition["containerDefinitions"]
        if container["name"] == service
    }
    return str(image.rsplit(":", 1)[-1])


def that_stay(aws: Aws, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the tags that a change of the environment leaves as they are: service → tag.

    Where a pipeline delivers, images are its own, and a change of settings must not take one
    back to what a checkout has; elsewhere there are none. IMAGE_TAG says otherwise.
    """
    if variables.get("IMAGE_TAG") or deployment_pipeline.STACK not in look(aws):
        return {}
    return {service: tag for service in IMAGES if (tag := running(aws, service))}


def tag_along(aws: Aws, image: Image, variables: Mapping[str, str] = os.environ) -> str:
    """Return the tag of an image that is deployed with the others.

    IMAGE_TAG names one of those; this service then runs what it runs. Raises InputError.
    """
    runs = running(aws, image.service) if variables.get("IMAGE_TAG") else None
    return runs or tag_of(image, variables)


def _git(*words: str) -> str:
    try:
        run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise InputError(
            "an image is named after its commit, and git knows none here; set IMAGE_TAG=…"
        ) from None
    return run.stdout.strip()


def _fails(*words: str) -> bool:
    return bool(subprocess.run(words, capture_output=True, check=False).returncode)


def _run(
    *words: str, stdin: str | None = None, environment: Mapping[str, str] | None = None
) -> None:
    run = subprocess.run(
        words, cwd=ROOT, input=stdin, text=True, env={**os.environ, **(environment or {})}
    )
    if run.returncode:
        raise RuntimeError(f"`{' '.join(words[:2])}` failed; its own words are above")
