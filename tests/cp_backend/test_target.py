"""What a node asks the load balancer about its own target, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from cp_backend.target import Credentials, Target, signed, state_in, target_from, watch
from tests.waiting import eventually_async

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/vni/0123456789abcdef"
CREDENTIALS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/token==")


@pytest.mark.parametrize("token", ["", "a/token=="])
def test_a_request_is_signed_as_awss_own_library_signs_it(token):
    endpoint = "https://elasticloadbalancing.eu-central-1.amazonaws.com/"
    body = b"Action=DescribeTargetHealth&Targets.member.1.Id=10.40.0.7"
    credentials = Credentials(CREDENTIALS.key_id, CREDENTIALS.secret, token)
    headers = signed(endpoint, body, "eu-central-1", credentials, datetime.now(UTC))
    request = AWSRequest("POST", endpoint, {"content-type": headers["content-type"]}, body)
    request.context["timestamp"] = headers["x-amz-date"]
    botocore_credentials = BotocoreCredentials(credentials.key_id, credentials.secret, token)
    signer = botocore.auth.SigV4Auth(botocore_credentials, "elasticloadbalancing", "eu-central-1")
    request.headers["host"] = headers["host"]
    request.headers["x-amz-date"] = headers["x-amz-date"]
    if token:
        request.headers["x-amz-security-token"] = token
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert headers["authorization"].endswith(f"Signature={signer.signature(text, request)}")


def test_only_a_task_behind_a_load_balancer_has_a_target():
    fargate = {
        "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/abc",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/def",
    }
    assert target_from({}, port=9000) is None
    assert target_from(fargate, port=9000) is None
    assert target_from({"TARGET_GROUP_ARN": GROUP}, port=9000) is None
    target = target_from({**fargate, "TARGET_GROUP_ARN": GROUP}, port=9000)
    assert target == Target(
        GROUP,
        9000,
        "https://elasticloadbalancing.eu-central-1.amazonaws.com/",
        "http://169.254.170.2/v2/credentials/def",
        "http://169.254.170.2/v4/abc/task",
    )
    china = GROUP.replace("arn:aws:", "arn:aws-cn:").replace("eu-central-1", "cn-north-1")
    target = target_from({**fargate, "TARGET_GROUP_ARN": china}, port=9000)
    assert target.endpoint == "https://elasticloadbalancing.cn-north-1.amazonaws.com.cn/"


@pytest.mark.parametrize("answer", [b"", b"<a/>", b"not XML", b"<a><State/></a>"])
def test_an_answer_without_a_state_is_an_error(answer):
    with pytest.raises(ValueError, match="answer"):
        state_in(answer)


class Surroundings(ThreadingHTTPServer):
    """What surrounds a task at AWS: its metadata, its role's credentials, the ELB API.

    states: answered one after the other, the last for ever; None is an error of AWS.
    """

    def __init__(self, states):
        self.states = states
        self.asked = []
        super().__init__(("127.0.0.1", 0), _Answers)

    def answer(self, path, body):
        if path == "/task":
            addresses = [{"NetworkMode": "awsvpc", "IPv4Addresses": ["10.40.0.7"]}]
            return 200, json.dumps({"Containers": [{"Networks": addresses}]})
        if path == "/credentials":
            keys = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T"}
            return 200, json.dumps(keys)
        self.asked.append(parse_qs(body.decode()))
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            return 500, "<ErrorResponse/>"
        namespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
        return 200, (
            f'<R xmlns="{namespace}"><TargetHealth><State>{state}</State></TargetHealth></R>'
        )


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        status, text = self.server.answer(self.path, self.rfile.read(length))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        self.do_POST()

    def log_message(self, *_):
        pass


@pytest.fixture
def surroundings():
    servers = []

    def start(*states):
        servers.append(Surroundings(list(states)))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{servers[-1].server_port}"
        target = Target(GROUP, 9000, f"{url}/", f"{url}/credentials", f"{url}/task", 0.01)
        return servers[-1], target

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_it_asks_for_itself_alone(surroundings):
    server, target = surroundings("healthy")
    assert target.state() == "healthy"
    assert server.asked == [
        {
            "Action": ["DescribeTargetHealth"],
            "Version": ["2015-12-01"],
            "TargetGroupArn": [GROUP],
            "Targets.member.1.Id": ["10.40.0.7"],
            "Targets.member.1.Port": ["9000"],
        }
    ]


@pytest.mark.parametrize(
    ("states", "seen"),
    [
        (["unused", "initial", "healthy", "draining"], [True]),
        # A look missed it, or failed: what is no more is as good as drained.
        (["healthy", None, "unused"], [True]),
        (["initial", "unhealthy", "healthy", "unavailable", None, "healthy"], []),
        # Not registered yet, for as long as it takes.
        (["unused", "unused", "unused"], []),
        # Registered again: it serves again.
        (["healthy", "draining", "draining", "initial", "healthy"], [True, False]),
    ],
)
async def test_what_it_makes_of_states(surroundings, states, seen):
    server, target = surroundings(*states)
    called = []
    watching = asyncio.create_task(watch(target, called.append))
    await eventually_async(lambda: len(server.asked) >= len(states) + 3, 20)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert called == seen
