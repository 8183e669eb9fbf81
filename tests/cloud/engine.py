"""A stand-in for a container engine: `docker` on the PATH of the tests' deployments.

It builds nothing. It writes down what it was asked to do, and a push puts an image's manifest
into the emulated registry, through the registry's API and under the tag that was pushed; what of
the project a task may run is kept under the image's name in the directory IMAGES.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import boto3


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
            manifest = {
                "schemaVersion": 2,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "config": {"digest": f"sha256:{abs(hash(name)):064x}", "size": 1},
                "layers": [],
            }
            kept = Path(os.environ["IMAGES"], name.replace("/", "_"))
            for package in ("charging", "operations"):
                shutil.copytree(package, kept / package, dirs_exist_ok=True)
            registry = boto3.Session(profile_name=os.environ["AWS_PROFILE"]).client("ecr")
            registry.put_image(
                repositoryName=repository, imageTag=tag, imageManifest=json.dumps(manifest)
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
