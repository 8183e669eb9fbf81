"""Behind a load balancer: nginx does what the ALB of templates/stacks/services.py does."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from cp_backend.settings import Settings
from scripts.cloud.certificates import own_names
from scripts.programs import Program, free_port
from templates.stacks.services import REQUEST_IDLE_SECONDS, WEBSOCKET_IDLE_SECONDS
from tests.books import recorded, reported
from tests.load_balancer import NGINX, NO_NGINX, LoadBalancer, issue_certificate
from tests.waiting import eventually
from third_party_backend.server import Server
from third_party_backend.settings import Settings as ThirdPartySettings

ENVIRONMENT = "staging"
HUB = "127.0.0.8"
SESSION = "b2688855-7f00-0002-6d8e-48d883f6abb6"
CHARGING_POINT_NAME, THIRD_PARTY_NAME = own_names(ENVIRONMENT)
BEHIND_ONE = {
    "admit_unknown": "true",
    "admit_unknown_tokens": "true",
    "forwarded_hops": "1",
    "drain_time": "1",
}
FAST = ("--duration", "120", "--meter-values-interval", "30", "--time-compression", "100")

pytestmark = pytest.mark.skipif(NGINX is None, reason=NO_NGINX)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The authority's certificate, and what the load balancers have: chain and key."""
    directory = tmp_path_factory.mktemp("certificates")
    return issue_certificate(directory, ENVIRONMENT, own_names(ENVIRONMENT))


@pytest.fixture
def balance(certificate, tmp_path):
    """Start load balancers: ``balance(port, idle_seconds)``."""
    running = []

    def start(target, idle_seconds=WEBSOCKET_IDLE_SECONDS, name=CHARGING_POINT_NAME):
        running.append(
            LoadBalancer(tmp_path, certificate, target, idle_seconds=idle_seconds, name=name)
        )
        return running[-1]

    yield start
    for balancer in running:
        balancer.stop()


def test_the_simulator_charges_through_it(run_node, balance, database, simulate):
    balancer = balance(run_node(**BEHIND_ONE).port)
    report = simulate(
        *("--port", balancer.port, "--ca-file", balancer.ca, "--tls-name", balancer.name),
        *("--charging-points", 10, *FAST),
    ).report()
    assert report["sessions_complete"] == 10
    assert recorded(database) == reported(report)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--ca-file", "CA", "--tls-name", CHARGING_POINT_NAME], 0, "acknowledged: Hello"),
        (["--tls-name", CHARGING_POINT_NAME], 1, "the certificate cannot be trusted"),
        (["--ca-file", "CA"], 1, "cannot be trusted"),  # not a certificate for 127.0.0.1
    ],
)
def test_only_who_has_the_ca_file_and_the_name_trusts_it(
    run_node, balance, tmp_path, words, code, expected
):
    balancer = balance(run_node(**BEHIND_ONE).port)
    words = [balancer.ca if word == "CA" else word for word in words]
    program = Program(
        ["charging_point_simulator", "--port", str(balancer.port), "--count", "1", *words],
        tmp_path / "hello.log",
    )
    assert program.wait(30) == code, program.log_end()
    assert expected in program.log_end()


@pytest.mark.parametrize("forged", [None, "6.6.6.6", "6.6.6.6, 7.7.7.7"])
async def test_a_charging_points_own_address_is_recorded_and_a_forged_one_is_not(
    run_node, balance, forged
):
    node = run_node(**BEHIND_ONE)
    headers = {"X-Forwarded-For": forged} if forged else {}
    async with balance(node.port).connect(source="127.0.0.7", additional_headers=headers):
        assert await address_of_who_came(node) == "127.0.0.7"


async def test_a_node_that_is_not_told_of_the_load_balancer_believes_no_header(run_node, balance):
    node = run_node(admit_unknown="true", drain_time="1")
    headers = {"X-Forwarded-For": "6.6.6.6"}
    async with balance(node.port).connect(source="127.0.0.7", additional_headers=headers):
        assert await address_of_who_came(node) == "127.0.0.1"


async def address_of_who_came(node):
    """The only charging point's address, as the node logs it."""
    return (await asyncio.to_thread(eventually, lambda: node.logged("connected")))[0][
        "remote_address"
    ]


async def test_pings_hold_a_quiet_charging_point_and_silence_ends_it(run_node, balance):
    """The templates' idle timeout and the service's ping interval, thirty times faster."""
    ping_seconds = Settings().ping_interval
    assert 2 * ping_seconds + Settings().pong_timeout <= WEBSOCKET_IDLE_SECONDS
    idle = round(WEBSOCKET_IDLE_SECONDS / 30)
    pinging = run_node(**BEHIND_ONE, ping_interval=str(ping_seconds / 30), pong_timeout="2")
    silent = run_node(**BEHIND_ONE, ping_interval="600")
    options = {"ping_interval": None}  # the client says nothing by itself
    async with (
        balance(pinging.port, idle).connect("HELD", **options) as held,
        balance(silent.port, idle).connect("CUT", **options) as cut,
    ):
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionClosed):
                await cut.recv()
        # By now the other has been as quiet for as long, and is there still.
        boot = {"chargePointVendor": "V", "chargePointModel": "M"}
        await held.send(json.dumps([2, "1", "BootNotification", boot]))
        async with asyncio.timeout(30):
            assert json.loads(await held.recv())[:2] == [3, "1"]
    assert await asyncio.to_thread(eventually, lambda: silent.logged("disconnected"))


async def test_a_stopping_node_says_come_back_through_it(run_node, balance):
    node = run_node(**BEHIND_ONE)
    async with balance(node.port).connect() as charging_point:
        await address_of_who_came(node)
        assert await asyncio.to_thread(node.program.stop) == 0
        with pytest.raises(ConnectionClosed) as closed:
            await charging_point.recv()
    assert closed.value.rcvd.code == 1012


@pytest.fixture
def third_party_port(database_url, tmp_path):
    """The port of a running third-party-backend that admits the hub, as its task does."""
    port = free_port()
    settings = {
        "DATABASE_URL": database_url,
        "THIRD_PARTY_WORKERS": "1",
        "THIRD_PARTY_ALLOWED_CIDRS": f"{HUB}/32",
        "THIRD_PARTY_FORWARDED_HOPS": "1",
    }
    words = ["third_party_backend", "--port", str(port)]
    with Program(words, tmp_path / "third_party.log", settings) as program:
        program.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
        yield port


def test_the_load_balancer_gives_up_an_idle_request_connection_before_gunicorn_does():
    """Otherwise it would now and then send a request into a connection that is being closed."""
    assert Server(ThirdPartySettings(), database_url="").cfg.keepalive > REQUEST_IDLE_SECONDS


def test_only_the_hub_is_answered_through_its_own(third_party_port, balance):
    balancer = balance(third_party_port, REQUEST_IDLE_SECONDS, THIRD_PARTY_NAME)

    def ask(source, **headers):
        """Answers to two requests on one connection, which is kept alive."""
        with httpx.Client(
            base_url=f"https://127.0.0.1:{balancer.port}",
            headers={"Host": THIRD_PARTY_NAME, **headers},
            transport=httpx.HTTPTransport(verify=balancer.context(), local_address=source),
            trust_env=False,
        ) as client:
            return [
                client.post(
                    "/api/oicp/charging/v21/providers/DE-DCB/authorize-remote/stop",
                    json={"SessionID": SESSION, "ProviderID": "DE-DCB", "EvseID": "DE*VNI*E1*1"},
                    extensions={"sni_hostname": THIRD_PARTY_NAME},
                )
                for _ in range(2)
            ]

    for headers in ({}, {"X-Forwarded-For": "6.6.6.6"}):
        for answer in ask(HUB, **headers):
            assert answer.status_code == 200
            assert answer.json()["StatusCode"]["Code"] == "400"  # no such session
    for headers in ({}, {"X-Forwarded-For": HUB}):
        assert {answer.status_code for answer in ask("127.0.0.1", **headers)} == {403}
