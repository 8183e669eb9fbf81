"""Whether the load balancer drains this task, as it says itself.

A load balancer that deregisters a target leaves its open WebSockets alone until the deregistration
delay ends, and then cuts all of them without a close frame. ECS sends SIGTERM only after that. So a
node asks for the health of its own target, and begins to close its connections when it is
`draining`. Source: Amazon ECS developer guide, "Optimize load balancer connection draining
parameters"; Elastic Load Balancing API reference 2015-12-01, DescribeTargetHealth.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen
from xml.etree import ElementTree

LOOK_SECONDS = 10.0
"""Between two looks; the deregistration delay must leave room for twice as much."""
GROUP_VARIABLE = "TARGET_GROUP_ARN"
LOOK_VARIABLE = "TARGET_LOOK_SECONDS"
"""No settings of the service: an older image, which does not know them, would refuse to start."""

# Where Fargate gives a task credentials of its role.
_CREDENTIALS_HOST = "http://169.254.170.2"
_TIMEOUT_SECONDS = 5.0
_VERSION = "2015-12-01"
_SERVICE = "elasticloadbalancing"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """Of a task's role, valid for some hours. token: of the session."""

    key_id: str
    secret: str
    token: str


@dataclass(frozen=True)
class Target:
    """A task in its target group.

    group: the group's ARN, which holds the region. port: of the target. endpoint: of the ELB API.
    credentials_url, task_url: where the container's surroundings give its role's credentials and
    its addresses. look_seconds: between two looks.
    """

    group: str
    port: int
    endpoint: str
    credentials_url: str
    task_url: str
    look_seconds: float = LOOK_SECONDS

    @property
    def region(self) -> str:
        """The group's region."""
        return self.group.split(":")[3]

    def state(self) -> str:
        """Return the state of this target (`healthy`, `draining`, `unused`, …); it blocks.

        Raises OSError or ValueError where AWS, or what surrounds the container, does not answer.
        """
        task = _get(self.task_url)
        address = task["Containers"][0]["Networks"][0]["IPv4Addresses"][0]
        given = _get(self.credentials_url)
        credentials = Credentials(
            given["AccessKeyId"], given["SecretAccessKey"], given.get("Token", "")
        )
        body = urlencode(
            {
                "Action": "DescribeTargetHealth",
                "Version": _VERSION,
                "TargetGroupArn": self.group,
                "Targets.member.1.Id": address,
                "Targets.member.1.Port": self.port,
            }
        ).encode()
        headers = signed(self.endpoint, body, self.region, credentials, datetime.now(UTC))
        return state_in(_open(Request(self.endpoint, body, headers)))  # noqa: S310 - see _open


def target_from(environment: Mapping[str, str] = os.environ, *, port: int) -> Target | None:
    """Return this task's target, or None outside a task behind a load balancer.

    TARGET_GROUP_ARN (and TARGET_LOOK_SECONDS, 10) come from the task definition, the rest from
    Fargate; AWS_ENDPOINT_URL names another AWS. port: where this service listens.
    """
    group = environment.get(GROUP_VARIABLE, "")
    task = environment.get("ECS_CONTAINER_METADATA_URI_V4", "")
    credentials = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if relative := environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        credentials = _CREDENTIALS_HOST + relative
    if not (group and task and credentials):
        return None
    _, partition, _, region, *_ = group.split(":", 4)
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    endpoint = environment.get("AWS_ENDPOINT_URL", f"https://{_SERVICE}.{region}.{suffix}")
    look = float(environment.get(LOOK_VARIABLE, LOOK_SECONDS))
    return Target(group, port, f"{endpoint.rstrip('/')}/", credentials, f"{task}/task", look)


async def watch(target: Target, on_draining: Callable[[bool], None]) -> None:
    """Look at this target for ever; call back when the load balancer begins to drain it.

    It calls back with False should the target be registered again. An answer that does not come
    changes nothing.
    """
    registered = draining = failing = False
    while True:
        # Nodes that start together do not ask together.
        await asyncio.sleep(target.look_seconds * random.uniform(0.8, 1.2))  # noqa: S311
        try:
            state = await asyncio.to_thread(target.state)
        except (OSError, ValueError, LookupError) as error:
            if not failing:
                log.warning("state of the target unknown", extra={"error": str(error)})
            failing = True
            continue
        failing = False
        # A target that was never there is not registered yet; one that was, is no more.
        gone = state == "draining" or (registered and state == "unused")
        registered = registered or state not in ("draining", "unused", "unavailable")
        if gone != draining and (gone or state in ("initial", "healthy")):
            draining = gone
            log.info("target", extra={"state": state})
            on_draining(draining)


def state_in(answer: bytes) -> str:
    """Return the state in an answer to DescribeTargetHealth. Raises ValueError."""
    try:
        root = ElementTree.fromstring(answer)  # noqa: S314 - AWS's own, over TLS
    except ElementTree.ParseError as error:
        raise ValueError(f"an answer that is no XML: {error}") from error
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "State" and element.text:
            return element.text.strip()
    raise ValueError("an answer without a target's state")


def signed(
    endpoint: str, body: bytes, region: str, credentials: Credentials, now: datetime
) -> dict[str, str]:
    """Return the headers of a signed POST to the ELB API.

    Source: AWS, "Create a signed AWS API request" (Signature Version 4).
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": urlsplit(endpoint).netloc,
        "x-amz-date": stamp,
        **({"x-amz-security-token": credentials.token} if credentials.token else {}),
    }
    names = ";".join(sorted(headers))
    request = "\n".join(
        [
            *("POST", "/", ""),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            *("", names, hashlib.sha256(body).hexdigest()),
        ]
    )
    scope = f"{stamp[:8]}/{region}/{_SERVICE}/aws4_request"
    text = "\n".join(
        ["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()]
    )
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    return headers | {
        "authorization": f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    }


def _get(url: str) -> Any:
    return json.loads(_open(Request(url)))  # noqa: S310 - see _open


def _open(request: Request) -> bytes:
    """Return an answer's body. The addresses come from the task definition and from Fargate."""
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        body: bytes = answer.read()
        return body
