"""All that the hub shall know, planned anew now and then, whatever events may have been missed."""

from __future__ import annotations

import logging

from charging.database.connection import Connection
from third_party_backend.relay.planning.catalogue import plan_evses
from third_party_backend.relay.planning.context import BATCH, Context
from third_party_backend.relay.planning.prices import plan_prices

EVERY_SECONDS = 86_400.0

log = logging.getLogger(__name__)


class Reconciliation:
    """Compares what the hub shall know with what is planned: at first, and then daily.

    A batch a transaction, so that events are not kept waiting meanwhile.
    """

    def __init__(self) -> None:
        self._left: list[str] = []

    @property
    def under_way(self) -> bool:
        """Whether charging points are left to be compared."""
        return bool(self._left)

    def begin(self, context: Context) -> None:
        """Take all charging points on, unless a comparison is recent or under way."""
        recent = context.connection.execute(
            "SELECT 1 FROM hub_queues WHERE queue = 'catalogue'"
            " AND beaten_at > now() - make_interval(secs => %s)",
            [EVERY_SECONDS],
        ).fetchone()
        if recent is not None or self._left:
            return
        self._left = [
            row[0]
            for row in context.connection.execute(
                "SELECT DISTINCT charging_point_id FROM evses WHERE evse_id IS NOT NULL ORDER BY 1"
            )
        ]
        plan_prices(context.connection)
        self._note_when_done(context.connection)
        log.info("reconciling", extra={"charging_points": len(self._left)})

    def step(self, context: Context) -> None:
        """Compare a batch."""
        names, self._left = self._left[:BATCH], self._left[BATCH:]
        plan_evses(context.connection, names)
        self._note_when_done(context.connection)

    def _note_when_done(self, connection: Connection) -> None:
        if not self._left:
            connection.execute(
                "INSERT INTO hub_queues (queue, beaten_at) VALUES ('catalogue', now())"
                " ON CONFLICT (queue) DO UPDATE SET beaten_at = now()"
            )
