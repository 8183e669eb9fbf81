"""The few calls of S3 that a store of files needs, without a library in the image.

Source: Amazon S3 API reference 2006-03-01; AWS, "Create a signed AWS API request" (Signature
Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree

PART_BYTES = 8 * 1024 * 1024
"""Of an upload in parts; what is smaller goes in one call. S3 wants 5 MiB or more."""

_TIMEOUT_SECONDS = 30.0
_CREDENTIALS_HOST = "http://169.254.170.2"
# Fargate's credentials hold for hours; they are asked for again this long before they end.
_EARLY_SECONDS = 300.0
_UNSIGNED = "UNSIGNED-PAYLOAD"


class S3Error(OSError):
    """S3 refused, or did not answer."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a role or a user. token: of a session, empty for none. valid_until: seconds since 1970."""

    key_id: str
    secret: str
    token: str = ""
    valid_until: float = float("inf")


def credentials_from(environment: Mapping[str, str]) -> Callable[[], Credentials]:
    """Return what gives credentials, as AWS's own libraries find them.

    In the environment, or where Fargate gives a task those of its role. Raises ValueError.
    """
    if key_id := environment.get("AWS_ACCESS_KEY_ID"):
        secret = environment.get("AWS_SECRET_ACCESS_KEY", "")
        given = Credentials(key_id, secret, environment.get("AWS_SESSION_TOKEN", ""))
        return lambda: given
    url = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if relative := environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        url = _CREDENTIALS_HOST + relative
    if not url:
        raise ValueError("no credentials for S3: neither a task's role nor AWS_ACCESS_KEY_ID")
    return _RoleCredentials(url)


class _RoleCredentials:
    """A task's role's credentials, kept until shortly before they end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._given: Credentials | None = None

    def __call__(self) -> Credentials:
        with self._lock:
            if self._given is None or self._given.valid_until - _EARLY_SECONDS < time.time():
                with urlopen(Request(self._url), timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
                    found = json.loads(answer.read())
                self._given = Credentials(
                    found["AccessKeyId"],
                    found["SecretAccessKey"],
                    found.get("Token", ""),
                    datetime.fromisoformat(found["Expiration"]).timestamp(),
                )
            return self._given


class S3:
    """One bucket. endpoint: of S3 in its region; the bucket stands in the path."""

    def __init__(
        self, endpoint: str, bucket: str, region: str, credentials: Callable[[], Credentials]
    ) -> None:
        self._endpoint = urlsplit(endpoint)
        self._bucket = bucket
        self._region = region
        self._credentials = credentials

    def put(self, name: str, parts: Iterable[bytes]) -> None:
        """Keep an object, in parts where it is large; nothing where the parts raise an exception.

        Raises S3Error.
        """
        waiting = bytearray()
        upload, tags = "", list[str]()
        try:
            for part in parts:
                waiting += part
                if len(waiting) >= PART_BYTES:
                    upload = upload or self._begin(name)
                    tags.append(self._put_part(name, upload, len(tags) + 1, bytes(waiting)))
                    waiting.clear()
            if not upload:
                self._call("PUT", name, body=bytes(waiting))
                return
            if waiting:
                tags.append(self._put_part(name, upload, len(tags) + 1, bytes(waiting)))
            self._complete(name, upload, tags)
        except BaseException:
            if upload:
                self._call("DELETE", name, {"uploadId": upload})
            raise

    def get(self, name: str, start: int, chunk_bytes: int) -> Iterator[bytes]:
        """Return an object's bytes from a place on, in parts. Raises S3Error."""
        headers = {"range": f"bytes={start}-"} if start else {}
        with self._answer("GET", name, {}, b"", headers) as answer:
            while part := answer.read(chunk_bytes):
                yield part

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error. Raises S3Error."""
        self._call("DELETE", name)

    def _begin(self, name: str) -> str:
        body, _ = self._call("POST", name, {"uploads": ""})
        for element in ElementTree.fromstring(body).iter():  # noqa: S314 - AWS's own, over TLS
            if element.tag.rpartition("}")[2] == "UploadId" and element.text:
                return element.text
        raise S3Error("an upload in parts without an id")

    def _put_part(self, name: str, upload: str, number: int, body: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": upload}
        return self._call("PUT", name, query, body)[1]

    def _complete(self, name: str, upload: str, tags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer, _ = self._call("POST", name, {"uploadId": upload}, body)
        # S3 may answer 200 first and tell of a failure in the body.
        if b"<Error>" in answer:
            raise S3Error(f"{name} not put together: {answer[:300]!r}")

    def _call(
        self, method: str, name: str, query: Mapping[str, str] = {}, body: bytes = b""
    ) -> tuple[bytes, str]:
        """Return an answer's body and ETag."""
        with self._answer(method, name, query, body, {}) as answer:
            return answer.read(), answer.headers.get("ETag", "")

    @contextmanager
    def _answer(
        self,
        method: str,
        name: str,
        query: Mapping[str, str],
        body: bytes,
        headers: Mapping[str, str],
    ) -> Iterator[http.client.HTTPResponse]:
        path = "/" + quote(f"{self._bucket}/{name}")
        secure = self._endpoint.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._endpoint.netloc, timeout=_TIMEOUT_SECONDS)
        try:
            signed = signed_headers(
                (method, path, query),
                self._endpoint.netloc,
                self._region,
                self._credentials(),
                datetime.now(UTC),
            )
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request(method, target, body, {**signed, **headers})
            answer = connection.getresponse()
            if answer.status >= 300:
                raise S3Error(f"{method} {name}: {answer.status} {answer.read(300)!r}")
            yield answer
        except http.client.HTTPException as error:
            raise S3Error(f"{method} {name}: {error!r}") from error
        finally:
            connection.close()


def signed_headers(
    call: tuple[str, str, Mapping[str, str]],
    host: str,
    region: str,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """Return the headers of a signed call of S3. call: method, quoted path, query."""
    method, path, query = call
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": _UNSIGNED, "x-amz-date": stamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    written = "&".join(f"{quote(n, '')}={quote(v, '')}" for n, v in sorted(query.items()))
    lines = [f"{name}:{headers[name]}" for name in sorted(headers)]
    request = "\n".join([method, path, written, *lines, "", names, _UNSIGNED])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return headers | {
        "authorization": f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    }
