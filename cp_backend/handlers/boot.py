"""A charging point (re)starts, and says that it is alive."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime

from cp_backend.handlers.desk import Desk, Reply, after_commit
from cp_backend.ocpp.vocabulary import BootAnswer, Booted, HeartbeatReceived, Registration

log = logging.getLogger(__name__)

# Heartbeats of charging points that booted together must not stay together.
_JITTER = 0.1


def on_booted(desk: Desk, charging_point_id: str, said: Booted, reply: Reply) -> None:
    """Answer with what the operator decided about this charging point."""

    def answer(registration: Registration) -> BootAnswer:
        reply.registered(registration)
        log.info(
            "booted",
            extra={"charging_point": charging_point_id, "registration": registration.value},
        )
        seconds = (
            desk.settings.heartbeat_interval
            if registration is Registration.ACCEPTED
            else desk.settings.boot_retry_interval
        )
        jittered = max(1, round(seconds * random.uniform(1 - _JITTER, 1)))  # noqa: S311
        return BootAnswer(registration, datetime.now(UTC), jittered)

    desk.store.booted(charging_point_id, said, after_commit(reply, answer))


def on_heartbeat(desk: Desk, charging_point_id: str, said: HeartbeatReceived, reply: Reply) -> None:
    """Tell the time. That it lives is known from the socket; the database is not asked."""
    reply.answer(datetime.now(UTC))
