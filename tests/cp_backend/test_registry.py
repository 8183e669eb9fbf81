"""The table of a node's connections: the newest wins, and no end evicts a successor."""

import pytest

from cp_backend.registry import MAX_GUESTS, Registry


class Held:
    """All that the registry knows of a connection."""

    def __init__(self, charging_point_id):
        self.charging_point_id = charging_point_id


@pytest.fixture
def registry():
    return Registry()


def test_the_newest_connection_takes_the_place_of_its_predecessor(registry):
    old, new = Held("CP1"), Held("CP1")
    assert registry.add(old) is None
    assert registry.add(new) is old
    assert registry.get("CP1") is new
    assert len(registry) == 1


def test_the_end_of_an_old_connection_never_evicts_its_successor(registry):
    old, new = Held("CP1"), Held("CP1")
    registry.add(old)
    registry.add(new)
    assert registry.remove(old)
    assert registry.get("CP1") is new
    assert registry.remove(new)
    assert registry.get("CP1") is None
    assert len(registry) == 0


def test_a_guest_counts_and_is_no_charging_point(registry):
    guest, station = Held("CP1"), Held("CP1")
    registry.add_guest(guest)
    registry.add(station)
    assert len(registry) == 2
    assert set(registry) == {guest, station}
    assert list(registry.charging_points()) == [station]
    assert not registry.remove(guest)
    assert registry.get("CP1") is station


def test_guests_of_one_identity_are_few_and_the_oldest_goes(registry):
    guests = [Held("CP1") for _ in range(MAX_GUESTS + 1)]
    other = Held("CP2")
    assert registry.add_guest(other) is None
    assert [registry.add_guest(guest) for guest in guests] == [None] * MAX_GUESTS + [guests[0]]
    assert not registry.remove(guests[0])
    assert len(registry) == MAX_GUESTS + 1
    for guest in [*guests[1:], other]:
        assert not registry.remove(guest)
    assert len(registry) == 0


def test_it_may_change_while_it_is_gone_through(registry):
    held = [Held(f"CP{n}") for n in range(5)]
    for each in held:
        registry.add(each)
    for each in registry:
        registry.remove(each)
    assert len(registry) == 0
