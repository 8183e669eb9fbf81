"""A task goes as ECS lets it go: deregistered first, SIGTERM after the deregistration delay.

nginx is the load balancer, real nodes are the tasks, the emulated AWS answers what they ask.
"""

from __future__ import annotations

import asyncio
import signal

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scripts.cloud.certificates import own_names
from templates.stacks.services import WEBSOCKET_IDLE_SECONDS
from tests.load_balancer import NGINX, NO_NGINX, LoadBalancer, issue_certificate
from tests.waiting import eventually, eventually_async

CHARGING_POINTS, DRAIN_SECONDS, DELAY_SECONDS = 60, 2, 6
ADDRESS = "10.40.0.7"
ADMITTING = {
    "admit_unknown": "true",
    "forwarded_hops": "1",
    "drain_time": str(DRAIN_SECONDS),
    "boot_wait": "1",
}

pytestmark = pytest.mark.skipif(NGINX is None, reason=NO_NGINX)


@pytest.fixture
def group(account):
    """A target group with a deregistration delay, and the old task in it."""
    elb = account.client("elbv2")
    vpc = account.client("ec2").create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    arn = elb.create_target_group(
        Name="drained", Protocol="HTTP", Port=9000, VpcId=vpc, TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(DELAY_SECONDS)}
    elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": ADDRESS}])
    yield arn
    elb.delete_target_group(TargetGroupArn=arn)


@pytest.fixture
def in_fargate(account, emulator_url, monkeypatch):
    """What a task at AWS is surrounded by, except for its target group."""
    for name, value in {
        "ECS_CONTAINER_METADATA_URI_V4": f"{emulator_url}/_task/{ADDRESS}",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{emulator_url}/_credentials/{account.number}",
        "AWS_ENDPOINT_URL": emulator_url,
        "TARGET_LOOK_SECONDS": "0.2",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def balance(tmp_path):
    """Start the load balancer before a node's port."""
    certificate = issue_certificate(tmp_path, "staging", own_names("staging"))
    running = []

    def start(port):
        running.append(
            LoadBalancer(
                tmp_path,
                certificate,
                port,
                idle_seconds=WEBSOCKET_IDLE_SECONDS,
                name=own_names("staging")[0],
                delay_seconds=DELAY_SECONDS,
            )
        )
        return running[-1]

    yield start
    for balancer in running:
        balancer.stop()


async def receive(charging_point):
    """Receive for ever: whoever never boots here is asked to, after a while."""
    while True:
        await charging_point.recv()


async def hold(balancer, identity, ends):
    """Connect, wait for the end, note it, and come back; return the new connection."""
    charging_point = await balancer.connect(identity)
    try:
        with pytest.raises(ConnectionClosed) as closed:
            await receive(charging_point)
        ends[identity] = (
            closed.value.rcvd.code if closed.value.rcvd else None,
            asyncio.get_running_loop().time(),
        )
    finally:
        await charging_point.close()
    return await come_back(balancer, identity)


async def come_back(balancer, identity):
    """Connect, again and again while the node is too busy for newcomers."""
    while True:
        try:
            return await balancer.connect(identity)
        except InvalidStatus as refused:
            assert refused.response.status_code == 503


async def drained(account, group, run_node, balance, ask):
    """Deregister a node with its charging points; return how they ended, and the two nodes.

    ask: called before the old node starts. Ends are charging point → (close code or None, time).
    """
    new = run_node(**ADMITTING)
    ask()
    old = run_node(**ADMITTING)
    balancer = balance(old.port)
    ends = {}
    names = [f"CP{number:03d}" for number in range(CHARGING_POINTS)]
    holding = [asyncio.create_task(hold(balancer, name, ends)) for name in names]
    await asyncio.to_thread(eventually, lambda: len(old.logged("connected")) == len(names), 30)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.to_thread(balancer.deregister, new.port)
    account.client("elbv2").deregister_targets(TargetGroupArn=group, Targets=[{"Id": ADDRESS}])
    # Some stay open at the old node until the delay ends; then ECS sends SIGTERM.
    await eventually_async(lambda: loop.time() > began + DELAY_SECONDS + 1, DELAY_SECONDS + 10)
    old.program.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        again = await asyncio.gather(*holding)
    assert await asyncio.to_thread(old.program.wait, 20) == 0
    for charging_point in again:
        await charging_point.close()
    return ends, old, new


async def test_a_node_sends_its_charging_points_away_before_the_load_balancer_cuts_them(
    account, group, in_fargate, run_node, balance, monkeypatch
):
    def ask():
        monkeypatch.setenv("TARGET_GROUP_ARN", group)

    ends, old, new = await drained(account, group, run_node, balance, ask)
    assert {code for code, _ in ends.values()} == {1012}
    times = sorted(time for _, time in ends.values())
    assert times[-1] - times[0] > DRAIN_SECONDS / 2
    assert old.logged("draining")
    assert {line["charging_point"] for line in new.logged("connected")} >= set(ends)


async def test_a_node_that_does_not_ask_has_them_cut_all_at_once(
    account, group, in_fargate, run_node, balance
):
    """What the test above would see without the question."""
    ends, _, _ = await drained(account, group, run_node, balance, lambda: None)
    assert {code for code, _ in ends.values()} == {None}
    times = sorted(time for _, time in ends.values())
    assert times[-1] - times[0] < DRAIN_SECONDS / 2
