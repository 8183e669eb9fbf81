"""The registry's layers, which ministack takes and forgets: kept here, and checked as AWS does.

Source: ECR's API reference, InitiateLayerUpload to PutImage, and the errors they name.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, json_response
from ministack.services import ecr

PART_BYTES = 1000
"""Small, so that a layer has several parts."""

BLOBS: dict[tuple[str, str], dict[str, bytes]] = {}
"""(account, repository) → digest → blob."""
_uploads: dict[str, bytearray] = {}
_numbers = itertools.count(1)
_put_image = ecr._put_image


def _of(data: dict[str, Any]) -> dict[str, bytes]:
    return BLOBS.setdefault((get_account_id(), data["repositoryName"]), {})


def check_availability(data: dict[str, Any]) -> Any:
    """Answer BatchCheckLayerAvailability."""
    has = _of(data)
    layers = [
        {"layerDigest": d, "layerAvailability": "AVAILABLE" if d in has else "UNAVAILABLE"}
        for d in data["layerDigests"]
    ]
    return json_response({"layers": layers, "failures": []})


def initiate_upload(data: dict[str, Any]) -> Any:
    """Answer InitiateLayerUpload."""
    upload = f"upload{next(_numbers)}"
    _uploads[upload] = bytearray()
    return json_response({"uploadId": upload, "partSize": PART_BYTES})


def upload_part(data: dict[str, Any]) -> Any:
    """Answer UploadLayerPart: parts come in order, and none is larger than asked for."""
    upload, blob = _uploads[data["uploadId"]], base64.b64decode(data["layerPartBlob"])
    first, last = int(data["partFirstByte"]), int(data["partLastByte"])
    if first != len(upload) or last - first + 1 != len(blob) or len(blob) > PART_BYTES:
        return error_response_json("InvalidLayerPartException", "The part is not valid", 400)
    upload += blob
    return json_response({"uploadId": data["uploadId"], "lastByteReceived": last})


def complete_upload(data: dict[str, Any]) -> Any:
    """Answer CompleteLayerUpload: the digest is computed again."""
    blob, (digest,) = bytes(_uploads.pop(data["uploadId"])), data["layerDigests"]
    if digest != f"sha256:{hashlib.sha256(blob).hexdigest()}":
        return error_response_json("InvalidLayerException", "The digest is another", 400)
    _of(data)[digest] = blob
    return json_response({"uploadId": data["uploadId"], "layerDigest": digest})


def download_url(data: dict[str, Any]) -> Any:
    """Answer GetDownloadUrlForLayer with an address at this emulator."""
    digest = data["layerDigest"]
    if digest not in _of(data):
        return error_response_json("LayersNotFoundException", f"{digest} is not there", 400)
    where = f"{get_account_id()}/{data['repositoryName']}/{digest}"
    port = os.environ["GATEWAY_PORT"]
    return json_response(
        {"downloadUrl": f"http://127.0.0.1:{port}/_layers/{where}", "layerDigest": digest}
    )


def layer(path: str) -> bytes | None:
    """Return the blob of an address that `download_url` gave; None for other paths."""
    match path.split("/"):
        case ["", "_layers", account, repository, digest]:
            return BLOBS[account, repository][digest]
    return None


def digest_of(name: str) -> str:
    """Return the digest of an image by the name that a container is started with."""
    repository, tag = name.split("/", 1)[1].rsplit(":", 1)
    return str(ecr._find_image(repository, {"imageTag": tag})["imageDigest"])


def put_image(data: dict[str, Any]) -> Any:
    """Answer PutImage: what a manifest names must be there, and its digest is computed again."""
    text = data["imageManifest"]
    manifest = json.loads(text)
    has = _of(data)
    named = [manifest.get("config"), *manifest.get("layers", [])]
    if lacking := [blob["digest"] for blob in named if blob and blob["digest"] not in has]:
        return error_response_json("LayersNotFoundException", f"not there: {lacking}", 400)
    for one in manifest.get("manifests", []):
        if not ecr._find_image(data["repositoryName"], {"imageDigest": one["digest"]}):
            return error_response_json("ReferencedImagesNotFoundException", one["digest"], 400)
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    if data.get("imageDigest", digest) != digest:
        return error_response_json("ImageDigestDoesNotMatchException", digest, 400)
    return _put_image(data)


def install() -> None:
    """Let ministack's ECR answer with these."""
    ecr._batch_check_layer_availability = check_availability
    ecr._initiate_layer_upload = initiate_upload
    ecr._upload_layer_part = upload_part
    ecr._complete_layer_upload = complete_upload
    ecr._get_download_url_for_layer = download_url
    ecr._put_image = put_image
