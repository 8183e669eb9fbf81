"""A sender sends one queue to the hub: one call after the other, at the pace that the hub allows.

Of all senders of a queue, in whatever process, one holds the queue's advisory lock and works;
the others stand by. Before each call the row of the queue names the deliveries that it carries,
so that whoever takes over knows what may have arrived.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence

from charging.database.connection import Connection
from charging.delivery import DeliveryState, Queue
from charging.service.backoff import Backoff
from charging.service.telemetry import Metrics
from third_party_backend.oicp.calls import CALLS_PER_MINUTE, Action, push
from third_party_backend.oicp.status import StatusCode
from third_party_backend.oicp.verdicts import Answer, Verdict
from third_party_backend.relay import deliveries
from third_party_backend.relay.client import HubClient
from third_party_backend.relay.database import (
    BEAT_SECONDS,
    WORKER,
    Json,
    keep_connected,
    work_when_locked,
)
from third_party_backend.relay.deliveries import CATALOGUE, FULLY_LOADED, Delivery
from third_party_backend.relay.pacing import Pace

POLL_SECONDS = 1.0
TAKEOVER_SECONDS = 1.0
"""What a call that a dead worker left open may still take at the hub."""
MAX_RECORDS = 1000
"""Records of one push."""
STEP_ASIDE_AFTER = 10
"""Tries after which one message that upsets the hub lets the others pass."""
STEP_ASIDE_SECONDS = 600.0
CORRECTIONS = 2
"""How often what the hub has is concluded from a refusal: its codes have other meanings too."""
FULL_LOAD_SECONDS = {Queue.EVSE_DATA: 7 * 86_400.0, Queue.EVSE_STATUS: 86_400.0}
MAX_RETRY_AFTER_SECONDS = 300.0

log = logging.getLogger(__name__)


class Sender(threading.Thread):
    """Sends one queue until stopped. wake: set when there is something new."""

    def __init__(
        self,
        queue: Queue,
        url: str,
        hub: HubClient,
        metrics: Metrics,
        stopped: threading.Event,
        *,
        max_backoff_seconds: float,
        pace: float,
    ) -> None:
        super().__init__(name=queue.value, daemon=True)
        self.wake = threading.Event()
        self._queue = queue
        self._url = url
        self._hub = hub
        self._metrics = metrics
        self._stopped = stopped
        self._backoff = Backoff(max_backoff_seconds, first_seconds=1.0)
        self._pace = Pace(CALLS_PER_MINUTE[queue] * pace)
        self._full_load_next = False
        self._beaten = 0.0

    def run(self) -> None:
        """Send whenever the queue is ours; survive the database's absence."""

        def work(connection: Connection) -> None:
            work_when_locked(connection, self._queue, self._stopped, self._work)

        keep_connected(self._url, self._queue.value, self._stopped, self._metrics, work)

    def _work(self, connection: Connection) -> None:
        state = deliveries.open_queue(connection, self._queue, WORKER)
        log.info("sending", extra={"queue": self._queue.value, "left_open": len(state.in_flight)})
        self._full_load_next = state.full_load_next
        if state.in_flight:
            self._stopped.wait(TAKEOVER_SECONDS)
        while not self._stopped.is_set():
            self.wake.clear()
            self._begin_full_load(connection)
            batch = deliveries.due(
                connection,
                self._queue,
                MAX_RECORDS if self._queue in CATALOGUE else 1,
            )
            if batch:
                action, batch = group(self._queue, batch, full_load=self._full_load_next)
                self._deliver(connection, action, batch)
                continue
            if time.monotonic() - self._beaten > BEAT_SECONDS:
                deliveries.beat(connection, self._queue)
                self._beaten = time.monotonic()
            self.wake.wait(POLL_SECONDS)

    def _begin_full_load(self, connection: Connection) -> None:
        if self._queue not in FULLY_LOADED or self._full_load_next:
            return
        state = deliveries.queue_state(connection, self._queue)
        age, limit = state.full_load_age_seconds, FULL_LOAD_SECONDS[self._queue]
        if (age is None or age > limit or state.full_load_wanted) and (
            deliveries.begin_full_load(connection, self._queue)
        ):
            self._full_load_next = True
            log.info("full load", extra={"queue": self._queue.value})

    def _deliver(self, connection: Connection, action: Action, batch: list[Delivery]) -> None:
        """Send, and act on the answer. A push that one of its records spoils is halved."""
        if self._stopped.is_set():
            return
        answer = self._send(connection, action, batch)
        if answer.verdict is Verdict.DONE:
            self._backoff.reset()
            self._metrics.count("DeliveriesSent", self._queue.value, len(batch))
            deliveries.settle(connection, self._queue, batch, answer.process_id)
            if action is Action.FULL_LOAD:
                deliveries.full_load_done(connection, self._queue)
                self._full_load_next = False
            return
        self._metrics.count("DeliveriesFailed", self._queue.value)
        if answer.verdict is Verdict.AGAIN:
            self._put_off(connection, batch, answer)
        elif len(batch) > 1 and not answer.whole:
            for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                # What the first half has replaced, the second must not replace again.
                again = action
                if action is Action.FULL_LOAD and not self._full_load_next:
                    again = Action.INSERT
                self._deliver(connection, again, half)
        else:
            self._refused(connection, action, batch, answer)

    def _send(self, connection: Connection, action: Action, batch: list[Delivery]) -> Answer:
        self._pace.wait(self._stopped)
        records: list[Json] = []
        for delivery in batch:
            # A delete names what the hub has.
            record = delivery.payload if delivery.payload is not None else delivery.delivered
            assert record is not None
            records.append(record)
        call = push(self._queue, self._hub.operator, action, records)
        deliveries.beat(connection, self._queue, [delivery.delivery_id for delivery in batch])
        self._beaten = started = time.monotonic()
        answer = self._hub.send(call)
        milliseconds = (time.monotonic() - started) * 1000
        self._metrics.sample("DeliveryLatency", milliseconds)
        log.log(
            logging.INFO if answer.verdict is Verdict.DONE else logging.WARNING,
            "delivered" if answer.verdict is Verdict.DONE else "not delivered",
            extra={
                "queue": self._queue.value,
                "action": action.value if self._queue in CATALOGUE else None,
                "records": len(batch),
                "key": batch[0].key,
                "hub_session": batch[0].hub_session_id,
                "code": answer.code,
                "reason": answer.reason,
                "hub_process": answer.process_id,
                "milliseconds": round(milliseconds),
                "waited_seconds": round(max(d.waited_seconds for d in batch), 3),
            },
        )
        return answer

    def _put_off(self, connection: Connection, batch: list[Delivery], answer: Answer) -> None:
        stubborn = not answer.busy and min(d.attempts for d in batch) + 1 >= STEP_ASIDE_AFTER
        deliveries.put_off(
            connection,
            self._queue,
            batch,
            answer.reason,
            answer.process_id,
            uncertain=answer.uncertain,
            away=answer.busy,
            aside_seconds=STEP_ASIDE_SECONDS * random.uniform(0.5, 1) if stubborn else None,  # noqa: S311
        )
        seconds = self._backoff.seconds()
        if answer.retry_after is not None:
            seconds = max(seconds, min(answer.retry_after, MAX_RETRY_AFTER_SECONDS))
        self._stopped.wait(seconds)

    def _refused(
        self, connection: Connection, action: Action, batch: list[Delivery], answer: Answer
    ) -> None:
        self._backoff.reset()
        first = batch[0]
        queue = self._queue
        if queue is Queue.CHARGE_DETAIL_RECORD and answer.is_known and first.uncertain:
            # Sent before without an answer: that it is refused now means that it arrived, or that
            # the hub knows no such session (any more).
            log.warning("delivered, it seems", extra={"hub_session": first.hub_session_id})
            self._metrics.count("DeliveriesSent", queue.value)
            deliveries.settle(
                connection, queue, batch, answer.process_id, doubt=answer.reason or answer.code
            )
            return
        if queue in FULLY_LOADED and self._corrected(connection, action, first, answer):
            return
        state = DeliveryState.PARKED
        if queue is Queue.NOTIFICATION and (
            first.uncertain or (answer.is_known and self._is_closed(connection, first))
        ):
            # It may well be there, or it comes after its session's record: nothing to mend.
            state = DeliveryState.DROPPED
        if state is DeliveryState.PARKED:
            log.error(
                "parked",
                extra={
                    "queue": queue.value,
                    "records": len(batch),
                    "key": first.key,
                    "reason": answer.reason,
                    "hub_process": answer.process_id,
                },
            )
        deliveries.give_up(connection, queue, batch, state, answer.reason, answer.process_id)

    def _corrected(
        self, connection: Connection, action: Action, delivery: Delivery, answer: Answer
    ) -> bool:
        """Learn from a refusal what the hub really has; return whether there was something."""
        if answer.whole or delivery.attempts >= CORRECTIONS:
            return False
        known: Json | None
        if action is Action.INSERT and answer.code == StatusCode.INCONSISTENT_EVSE:
            known = delivery.payload
        elif action in (Action.UPDATE, Action.DELETE) and answer.code == StatusCode.UNKNOWN_EVSE:
            known = None
        else:
            return False
        deliveries.correct(connection, self._queue, delivery, known)
        return True

    def _is_closed(self, connection: Connection, delivery: Delivery) -> bool:
        row = connection.execute(
            "SELECT 1 FROM deliveries WHERE queue = %s AND key = %s AND state = 'delivered'",
            [Queue.CHARGE_DETAIL_RECORD.value, delivery.hub_session_id],
        ).fetchone()
        return row is not None


def group(
    queue: Queue, batch: Sequence[Delivery], *, full_load: bool
) -> tuple[Action, list[Delivery]]:
    """Return what one push can hold: one action, and prices of one provider and default.

    The first delivery decides; the others of its sort go with it. full_load: the next push
    replaces all that the hub has.
    """

    def sort(delivery: Delivery) -> tuple[Action, str]:
        record = delivery.payload if delivery.payload is not None else delivery.delivered
        provider = ""
        if queue is Queue.PRICING_PRODUCTS:
            provider = f"{delivery.key.split('/')[0]} {(record or {}).get('default')}"
        if delivery.payload is None:
            return Action.DELETE, provider
        if full_load:
            return Action.FULL_LOAD, provider
        return (Action.INSERT if delivery.delivered is None else Action.UPDATE), provider

    first = sort(batch[0])
    return first[0], [delivery for delivery in batch if sort(delivery) == first]
