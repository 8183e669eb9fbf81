"""Where files of charging points are kept: a folder, or a bucket of S3.

Firmware that is handed out, logs that were sent in, and archives. What each file is stands in the
database (`charging.database.files`, `charging.database.retention`); here it is bytes under a key.
Everything here blocks.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from charging.service.s3 import S3, credentials_from

FILE_STORE = "FILE_STORE"
ARCHIVE_STORE = "ARCHIVE_STORE"
CHUNK_BYTES = 64 * 1024

_KEY = re.compile(r"[a-z]+(?:/[A-Za-z0-9_-][A-Za-z0-9_=.-]*)+")


class FileStore(Protocol):
    """Keeps bytes by key. Every method raises OSError where it cannot."""

    def write(self, key: str, parts: Iterable[bytes]) -> None:
        """Keep what the parts are together; nothing is kept where they raise an exception."""

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Return the bytes from a place on, in parts."""

    def delete(self, key: str) -> None:
        """Forget a key; one that is not there is no error."""


def new_key(kind: str) -> str:
    """Return a key that no file has had. kind: small letters, such as ``log``."""
    return f"{kind}/{secrets.token_urlsafe(16)}"


def file_store(
    default: Path, environment: Mapping[str, str] = os.environ, *, variable: str = FILE_STORE
) -> FileStore:
    """Return the store that a variable names: a folder or ``s3://bucket/prefix``.

    Unset: the folder `default`. For S3 the region is AWS_REGION, the credentials are those of the
    task's role or of the environment, and AWS_ENDPOINT_URL names another S3. Raises ValueError.
    """
    configured = environment.get(variable, "")
    if not configured.startswith("s3://"):
        return FolderStore(Path(configured) if configured else default)
    bucket, _, prefix = configured.removeprefix("s3://").partition("/")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not bucket or not region:
        raise ValueError(f"{variable}={configured}: needs a bucket, and AWS_REGION")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    endpoint = environment.get("AWS_ENDPOINT_URL", f"https://s3.{region}.{suffix}")
    return S3Store(S3(endpoint, bucket, region, credentials_from(environment)), prefix)


class FolderStore:
    """Keeps files in a folder of this machine, which is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, key: str, parts: Iterable[bytes]) -> None:
        """Keep what the parts are together."""
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        try:
            with unfinished.open("xb") as target:
                for part in parts:
                    target.write(part)
            unfinished.replace(file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Return the bytes from a place on, in parts."""
        with self._file(key).open("rb") as source:
            source.seek(start)
            while part := source.read(CHUNK_BYTES):
                yield part

    def delete(self, key: str) -> None:
        """Forget a key."""
        self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise FileNotFoundError(f"{key!r} is no key")
        return self._folder / key


class S3Store:
    """Keeps files in a bucket, under a prefix."""

    def __init__(self, s3: S3, prefix: str) -> None:
        self._s3 = s3
        self._prefix = prefix.strip("/")

    def write(self, key: str, parts: Iterable[bytes]) -> None:
        """Keep what the parts are together."""
        self._s3.put(self._name(key), parts)

    def read(self, key: str, start: int = 0) -> Iterator[bytes]:
        """Return the bytes from a place on, in parts."""
        return self._s3.get(self._name(key), start, CHUNK_BYTES)

    def delete(self, key: str) -> None:
        """Forget a key."""
        self._s3.delete(self._name(key))

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key
