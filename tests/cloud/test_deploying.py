"""An environment from an empty account and back, by the real Makefile and the real AWS CLI."""

import pytest

pytestmark = pytest.mark.xdist_group("cloud")

HUB = "203.0.113.7,198.51.100.0/24"


def test_an_environment_comes_repeats_and_goes(account):
    first = account.deploy("staging", WHITELIST_IP=HUB)
    assert "15/15 names in certificate     renewed: 8 names were missing" in first
    assert "staging is deployed in" in first
    again = account.deploy("staging", WHITELIST_IP=HUB)
    assert "Nothing changed" in again
    gone = account.make("delete-environment", ENVIRONMENT="staging", CONFIRM="staging")
    assert gone.returncode == 0, gone.stderr
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []
    assert account.recorded() == []
