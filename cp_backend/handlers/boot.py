"""A charging point starts, and sends heartbeats."""

from __future__ import annotations

import logging
import random
from datetime import UTC, datetime

from cp_backend.context import Context
from cp_backend.handlers.reply import Reply, after_commit
from cp_backend.vocabulary import BootAnswer, Booted, HeartbeatReceived, Registration

log = logging.getLogger(__name__)

# Heartbeats of charging points that booted together must not stay together.
_JITTER = 0.1


def on_booted(
    context: Context, charging_point_id: str, message: Booted, reply: Reply[BootAnswer]
) -> None:
    """Answer with what the operator decided about this charging point."""

    def answer(registration: Registration) -> BootAnswer:
        reply.registered(registration)
        log.info(
            "booted",
            extra={"charging_point": charging_point_id, "registration": registration.value},
        )
        seconds = (
            context.settings.heartbeat_interval
            if registration is Registration.ACCEPTED
            else context.settings.boot_retry_interval
        )
        jittered = max(1, round(seconds * random.uniform(1 - _JITTER, 1)))  # noqa: S311
        return BootAnswer(registration, datetime.now(UTC), jittered)

    context.store.admission.booted(charging_point_id, message, after_commit(reply, answer))


def on_heartbeat(
    context: Context, charging_point_id: str, message: HeartbeatReceived, reply: Reply[datetime]
) -> None:
    """Answer with the time. That it lives is known from the socket; the database is not asked."""
    reply.answer(datetime.now(UTC))
