"""From one environment to the next: the image that the first runs, byte for byte.

The registry's own interface copies it, so no container engine takes part, and AWS computes the
digest again from what has arrived: what production runs is what staging tested, not another build
of the same commit.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from scripts.cloud.aws import Aws, AwsError
from scripts.cloud.images import find, put
from scripts.cloud.inputs import InputError, Target
from scripts.cloud.steps import NO_CHANGES
from templates.naming import named, service_name

_BLOB_SECONDS = 60
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Promoted:
    """An image that an environment runs. tag: its first; digest: `sha256:…`."""

    tag: str
    digest: str


def source_of(target: Target, environment: str) -> Target:
    """Return where images come from: another environment of the same account. Raises InputError."""
    if not environment:
        raise InputError("FROM is not set: give the environment whose images go on, as FROM=…")
    if environment == target.environment:
        raise InputError(f"FROM is {environment!r}, which is where the images are to go")
    return replace(target, environment=environment, charging_points=None)


def running(source: Aws, service: str) -> Promoted:
    """Return the image that a service of the source runs. Raises InputError."""
    name = source.target.spelled(service_name(service))
    try:
        found = source(
            *("ecs", "describe-services", "--cluster", source.target.spelled(named())),
            *("--services", name),
        )["services"]
    except AwsError as error:
        if error.code != "ClusterNotFoundException":
            raise
        found = []
    if not found or found[0].get("status") == "INACTIVE":
        raise InputError(f"{source.target.environment} runs no {service}")
    containers = source(
        *("ecs", "describe-task-definition", "--task-definition", found[0]["taskDefinition"])
    )["taskDefinition"]["containerDefinitions"]
    (tag,) = {c["image"].rsplit(":", 1)[-1] for c in containers if c["name"] == service}
    image = find(source, name, imageTag=tag)
    if image is None:
        raise InputError(f"the registry of {source.target.environment} has no {service} {tag}")
    return Promoted(tag, image["imageId"]["imageDigest"])


def copy(source: Aws, aws: Aws, service: str, image: Promoted) -> str:
    """Copy an image into the registry of `aws`; return what was done.

    Raises InputError where another image bears its tag there, since tags do not move.
    """
    theirs, ours = (of.target.spelled(service_name(service)) for of in (source, aws))
    there = find(aws, ours, imageTag=image.tag)
    if there is not None:
        digest = there["imageId"]["imageDigest"]
        if digest != image.digest:
            raise InputError(
                f"{service} {image.tag} is another image in {aws.target.environment} ({digest}) "
                f"than in {source.target.environment} ({image.digest}); tags do not move: release "
                "another commit"
            )
        return f"{NO_CHANGES}, {image.tag} is in the registry"
    _copy_manifest(source, theirs, aws, ours, image.digest, image.tag)
    return f"{image.tag} copied from {source.target.environment}, {image.digest}"


def _copy_manifest(
    source: Aws, theirs: str, aws: Aws, ours: str, digest: str, tag: str = ""
) -> None:
    """Copy a manifest after all that it names: blobs, or manifests of each kind of processor."""
    found = find(source, theirs, imageDigest=digest)
    if found is None:
        raise InputError(f"{theirs} lacks {digest}, which an image of it names")
    manifest = json.loads(found["imageManifest"])
    for one in manifest.get("manifests", []):
        _copy_manifest(source, theirs, aws, ours, one["digest"])
    blobs = [manifest[key] for key in ("config",) if key in manifest] + manifest.get("layers", [])
    _copy_blobs(source, theirs, aws, ours, [str(blob["digest"]) for blob in blobs])
    put(aws, ours, found, tag=tag, digest=digest)


def _copy_blobs(source: Aws, theirs: str, aws: Aws, ours: str, digests: list[str]) -> None:
    if not digests:
        return
    layers = aws(
        *("ecr", "batch-check-layer-availability", "--repository-name", ours),
        *("--layer-digests", *digests),
    )["layers"]
    have = {x["layerDigest"] for x in layers if x["layerAvailability"] == "AVAILABLE"}
    for digest in dict.fromkeys(digests):
        if digest in have:
            continue
        url = source(
            *("ecr", "get-download-url-for-layer", "--repository-name", theirs),
            *("--layer-digest", digest),
        )["downloadUrl"]
        _copy_blob(url, aws, ours, digest)


def _copy_blob(url: str, aws: Aws, ours: str, digest: str) -> None:
    """Copy one blob by an address of AWS's that is good for an hour. Layers are below 100 MB."""
    where = ("--repository-name", ours)
    upload = aws("ecr", "initiate-layer-upload", *where)
    which = (*where, "--upload-id", upload["uploadId"])
    size = int(upload["partSize"])
    with (
        urlopen(url, timeout=_BLOB_SECONDS) as blob,  # noqa: S310 - AWS's own, over TLS
        tempfile.TemporaryDirectory(prefix="vni-") as directory,
    ):
        part, first = Path(directory, "part"), 0
        while length := _fill(part, blob, size):
            aws(
                *("ecr", "upload-layer-part", *which),
                *("--part-first-byte", str(first), "--part-last-byte", str(first + length - 1)),
                *("--layer-part-blob", f"fileb://{part}"),
            )
            first += length
    aws("ecr", "complete-layer-upload", *which, "--layer-digests", digest)


def _fill(part: Path, blob: Any, size: int) -> int:
    """Write at most so many of a blob's next bytes to a file; return how many there were."""
    left = size
    with part.open("wb") as file:
        while left and (piece := blob.read(min(left, _CHUNK))):
            left -= file.write(piece)
    return size - left
