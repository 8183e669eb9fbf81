"""Buckets of an environment: emptied, and the archive, which outlives its stack, deleted."""

from __future__ import annotations

import json

from scripts.cloud.aws import Aws, AwsError, temporary_files

_BATCH = 500


def empty(aws: Aws, bucket: str) -> None:
    """Delete every object of a bucket, all their versions included."""
    while True:
        listed = aws(
            *("s3api", "list-object-versions", "--bucket", bucket, "--max-items", str(_BATCH))
        )
        found = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for kind in ("Versions", "DeleteMarkers")
            for one in (listed or {}).get(kind) or ()
        ]
        if not found:
            return
        with temporary_files(objects=json.dumps({"Objects": found, "Quiet": True}).encode()) as at:
            aws(
                *("s3api", "delete-objects", "--bucket", bucket),
                *("--delete", f"file://{at['objects']}"),
            )


def delete(aws: Aws, bucket: str) -> None:
    """Delete a bucket with all that is in it; one that is not there is no error."""
    try:
        empty(aws, bucket)
        aws("s3api", "delete-bucket", "--bucket", bucket)
    except AwsError as error:
        if error.code != "NoSuchBucket":
            raise
