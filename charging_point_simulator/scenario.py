"""What the simulated charging points are to do, and their drivers."""

from __future__ import annotations

from dataclasses import dataclass

OFFLINE_NEVER = 0.0


@dataclass(frozen=True)
class Scenario:
    """Times in seconds; those of the car and its meter are simulated seconds.

    time_compression: simulated seconds a second. Timestamps are real time all the same, since a
    backend rightly distrusts messages from the future; the car charges so many times faster, and
    its power is so many times a real car's, so that energy stays the integral of power.
    wait_for_remote: how long to wait for a remote start, None to start by itself.
    remote_start: what a remote start is answered: `accept`, `reject`, or `no-car` (accepted,
    and nothing comes of it).
    connection_timeout: how long it then waits for the car that does not come (simulated).
    status: of the connectors from the start; one that is not Available charges nobody.
    reservations: whether ReserveNow is accepted.
    offline_after: go offline so long after a session's start (0: never), for offline_for.
    stay: whether it stays connected after its sessions, until it is stopped.
    """

    sessions: int = 1
    connectors: int = 1
    id_tag: str = "SIMULATOR"
    duration: float = 1800.0
    meter_values_interval: float = 60.0
    time_compression: float = 60.0
    pause: float = 0.0
    wait_for_remote: float | None = None
    remote_start: str = "accept"
    connection_timeout: float = 60.0
    status: str = "Available"
    reservations: bool = True
    offline_after: float = OFFLINE_NEVER
    offline_for: float = 3.0
    stay: bool = False
    give_up_after: float = 120.0

    def real_seconds(self, simulated: float) -> float:
        """Return how long so many simulated seconds take."""
        return simulated / self.time_compression
