"""A client of the control interface of a running simulator."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

# Longer than the driver waits for the operator.
TIMEOUT_SECONDS = 70.0


class ClientError(RuntimeError):
    """The simulator cannot be reached, or did not do what was asked; the message says why."""


class Client:
    """The control interface at an address such as http://127.0.0.1:9201.

    Every method returns the JSON that it answered and raises ClientError.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(
            base_url=url,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            # It is plain HTTP: reading the system's authorities would only cost time.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """Read."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, **body: Any) -> Any:
        """Order something."""
        return self._ask("POST", path, json=body)

    def delete(self, path: str) -> Any:
        """Remove something."""
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            response = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ClientError(
                f"no simulator answers at {self._url} ({error}); start one with "
                "`make run-third-party-hub-simulator`, or say where it is with --control"
            ) from error
        if response.status_code != 200:
            raise ClientError(_reason(response))
        return response.json()


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}: {response.text[:200]}"
