"""Stacks in states that a deployment meets and cannot simply go on from."""

import json
import subprocess
import urllib.request

import pytest

DEPLOY = """
import os
from scripts.cloud.aws import Aws
from scripts.cloud.inputs import target
from scripts.cloud.stacks import StackError, deploy
try:
    print(deploy(Aws(target(os.environ)), "boundary"))
except StackError as error:
    print(error)
"""
NAME = "vni-cpo-boundary-staging"


@pytest.fixture
def deploy(account):
    """Deploy one stack; return what was said."""

    def run():
        done = subprocess.run(
            [account.python, "-c", DEPLOY],
            cwd=account.project,
            env={**account.variables, "ENVIRONMENT": "staging"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run()
    return run


def put_into(account, status):
    """Let the stack be in a state of CloudFormation's."""
    region = account.variables["AWS_DEFAULT_REGION"]
    asked = {"Account": account.number, "Region": region, "Name": NAME, "Status": status}
    with urllib.request.urlopen(f"{account.url}/_status", data=json.dumps(asked).encode()):
        pass


def status(account):
    (stack,) = account.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    return stack["StackStatus"]


def test_an_update_that_could_not_be_taken_back_is_taken_back_first(account, deploy):
    put_into(account, "UPDATE_ROLLBACK_FAILED")
    assert "no changes" in deploy()
    assert status(account) == "UPDATE_ROLLBACK_COMPLETE"


def test_what_is_half_deleted_is_not_deleted_further_without_a_word(account, deploy):
    put_into(account, "DELETE_FAILED")
    said = deploy()
    assert f"`aws cloudformation delete-stack --stack-name {NAME}` goes on with it" in said
    assert status(account) == "DELETE_FAILED"


def test_the_husk_of_a_first_attempt_is_deleted(account, deploy):
    put_into(account, "ROLLBACK_COMPLETE")
    assert "deployed" in deploy()
    assert status(account) == "CREATE_COMPLETE"
