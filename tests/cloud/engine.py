"""A stand-in for a container engine: `docker` on the PATH of the tests' deployments.

It builds nothing. It writes down what it was asked to do, and a push puts an image of some bytes
into the emulated registry, through the registry's API and under the tag that was pushed; what of
the project a task may run is kept under the image's digest in the directory IMAGES.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

import boto3

LAYER_BYTES = 2500
"""So that a layer is several parts of an upload."""


def main(words: list[str]) -> int:
    """Do what an engine is told."""
    journal = Path(os.environ["ENGINE_JOURNAL"])
    with journal.open("a") as file:
        print(json.dumps(words), file=file)
    match words:
        case ["login", *_]:
            return 0 if sys.stdin.read() else 1
        case ["image", "inspect", *_, name]:
            print(f"{name.rpartition(':')[0]}@sha256:{'0123456789abcdef' * 4}")
        case ["push", name]:
            repository, tag = name.split("/", 1)[1].rsplit(":", 1)
            kept = Path(os.environ["IMAGES"], _push(repository, tag))
            for package in ("charging", "operations"):
                shutil.copytree(package, kept / package)
    return 0


def _push(repository: str, tag: str) -> str:
    """Push an image as an engine does: blobs, a manifest of them, and a list of that one.

    Return its digest.
    """
    ecr = boto3.Session(profile_name=os.environ["AWS_PROFILE"]).client("ecr")

    def put(manifest: dict[str, object], kind: str, **tagged: str) -> dict[str, Any]:
        text = json.dumps(manifest | {"schemaVersion": 2, "mediaType": kind})
        ecr.put_image(
            repositoryName=repository,
            imageManifest=text,
            imageManifestMediaType=kind,
            **tagged,
        )
        return {"mediaType": kind, "digest": _digest(text.encode()), "size": len(text)}

    # Of no two builds the same, as with an engine: files have times.
    blobs = [json.dumps({"architecture": "arm64"}).encode(), secrets.token_bytes(LAYER_BYTES)]
    config, layer = (_upload(ecr, repository, blob) for blob in blobs)
    one = put({"config": config, "layers": [layer]}, "application/vnd.oci.image.manifest.v1+json")
    all_ = put({"manifests": [one]}, "application/vnd.oci.image.index.v1+json", imageTag=tag)
    return str(all_["digest"])


def _upload(ecr: Any, repository: str, blob: bytes) -> dict[str, object]:
    upload = ecr.initiate_layer_upload(repositoryName=repository)
    which = {"repositoryName": repository, "uploadId": upload["uploadId"]}
    for first in range(0, len(blob), upload["partSize"]):
        part = blob[first : first + upload["partSize"]]
        ecr.upload_layer_part(
            **which, partFirstByte=first, partLastByte=first + len(part) - 1, layerPartBlob=part
        )
    ecr.complete_layer_upload(**which, layerDigests=[_digest(blob)])
    return {"mediaType": "application/octet-stream", "digest": _digest(blob), "size": len(blob)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
