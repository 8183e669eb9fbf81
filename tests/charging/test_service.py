"""Backoff, and the address of a client behind proxies."""

import pytest

from charging.service.backoff import Backoff
from charging.service.proxies import client_address


def test_delays_double_up_to_the_cap_and_start_anew_after_a_success():
    backoff = Backoff(5.0, first_seconds=0.1)
    for longest in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        assert longest / 2 <= backoff.seconds() <= longest
    backoff.reset()
    assert backoff.seconds() <= 0.1


def test_two_that_failed_together_do_not_come_back_together():
    delays = {Backoff(60.0, first_seconds=1.0).seconds() for _ in range(20)}
    assert len(delays) > 1


def test_a_failure_that_lasts_for_days_ends_in_no_overflow():
    backoff = Backoff(5.0)
    assert all(backoff.seconds() <= 5.0 for _ in range(2000))


@pytest.mark.parametrize(
    ("headers", "hops", "address"),
    [
        ([], 0, "10.0.0.1"),
        (["203.0.113.9"], 0, "10.0.0.1"),  # nobody is trusted: anybody may have written it
        (["203.0.113.9"], 1, "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], 1, "203.0.113.9"),
        (["198.51.100.1", "203.0.113.9"], 1, "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9 ,10.0.0.2"], 2, "203.0.113.9"),
        (["x" * 1000], 1, "x" * 64),
    ],
)
def test_the_outermost_trusted_proxy_is_believed(headers, hops, address):
    for fall_back in (True, False):
        assert client_address("10.0.0.1", headers, hops, fall_back=fall_back) == address


@pytest.mark.parametrize("headers", [[], ["203.0.113.9"]])
def test_whoever_came_past_the_proxies_is_the_socket_s_peer_or_nobody(headers):
    assert client_address("10.0.0.1", headers, 2, fall_back=True) == "10.0.0.1"
    assert client_address("10.0.0.1", headers, 2, fall_back=False) is None
