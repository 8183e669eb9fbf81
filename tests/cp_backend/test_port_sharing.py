"""Nodes behind one port: a full one leaves newcomers to those who have room."""

import pytest
from websockets.exceptions import InvalidStatus

from cp_backend.port_sharing import Rooms, should_listen
from tests.station import Station
from tests.waiting import eventually


@pytest.mark.parametrize(
    ("listening", "connections", "others_have_room", "expected"),
    [
        (True, 98, True, True),
        (True, 99, True, False),
        (False, 96, True, False),
        (False, 94, True, True),
        (True, 100, False, True),
        (False, 100, False, True),
    ],
)
def test_who_is_full_leaves_the_port_while_others_have_room(
    listening, connections, others_have_room, expected
):
    assert expected is should_listen(
        listening=listening, connections=connections, limit=100, others_have_room=others_have_room
    )


def test_room_is_what_the_others_have():
    rooms = Rooms(3)
    rooms.publish(0, 500)
    assert not rooms.others_have_room(0, 1)
    assert rooms.others_have_room(1, 500)
    assert not rooms.others_have_room(1, 501)
    rooms.publish(0, -5)
    assert not rooms.others_have_room(1, 1)


def test_all_find_a_place_and_who_is_one_too_many_is_told_503(run_node):
    limit = 10
    node = run_node("--processes", "2", admit_unknown="true", max_connections=str(limit))

    def come(number):
        try:
            return Station(node.port, f"CP{number}")
        except (InvalidStatus, OSError):
            return None

    stations = []
    try:
        # By chance alone one node would be full long before the other.
        for number in range(2 * limit):
            stations.append(eventually(lambda number=number: come(number), 30))
        with pytest.raises(InvalidStatus) as error:
            eventually(lambda: come_or_raise(node.port), 30)
        assert error.value.response.status_code == 503
    finally:
        for station in stations:
            station.close()


def come_or_raise(port):
    """Raise what the node answers; None where nobody listened just then."""
    try:
        Station(port, "LAST").close()
    except OSError:
        return None
    return True
