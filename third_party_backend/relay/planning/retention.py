"""What is deleted or dropped after a while."""

from __future__ import annotations

import logging
from datetime import timedelta

from charging.database.connection import Connection
from third_party_backend.relay.planning.context import Context

LATE_NOTIFICATION_SECONDS = 120
"""How long notifications may follow after their session's record."""
_PRUNE_BATCH = 5000

log = logging.getLogger(__name__)


def drop_late_notifications(context: Context) -> None:
    """Drop notifications whose session's record was delivered a while ago.

    The hub takes fewer notifications a minute than records, so a busy hour's would wait for ever;
    the record has all that they would add.
    """
    dropped = context.connection.execute(
        """
        UPDATE deliveries AS d
        SET state = 'dropped', settled_at = now(),
            reason = 'the session''s charge detail record was delivered first'
        FROM deliveries AS c
        WHERE d.queue = 'notification' AND d.state = 'waiting'
          AND c.queue = 'charge-detail-record' AND c.key = d.hub_session_id
          AND c.state = 'delivered' AND c.settled_at < now() - make_interval(secs => %s)
        """,
        [LATE_NOTIFICATION_SECONDS],
    ).rowcount
    if dropped:
        log.warning("notifications dropped", extra={"deliveries": dropped})


def prune(context: Context) -> None:
    """Delete relayed events, old questions about cards and notifications; records are kept."""
    connection = context.connection
    before = timedelta(days=context.settings.retention_days)
    connection.execute(
        "DELETE FROM events WHERE event_id IN (SELECT event_id FROM events"
        " WHERE relayed_at < now() - %s LIMIT %s)",
        [before, _PRUNE_BATCH],
    )
    connection.execute(
        "DELETE FROM authorizations WHERE authorization_id IN (SELECT authorization_id"
        " FROM authorizations WHERE asked_at < now() - %s ORDER BY 1 LIMIT %s)",
        [before, _PRUNE_BATCH],
    )
    connection.execute(
        "DELETE FROM deliveries WHERE delivery_id IN (SELECT delivery_id FROM deliveries"
        " WHERE queue = 'notification' AND settled_at < now() - %s"
        " AND state IN ('delivered', 'dropped') LIMIT %s)",
        [before, _PRUNE_BATCH],
    )


def delete_unrelayed(connection: Connection, days: float) -> None:
    """Delete events that no relay has turned into deliveries in so many days."""
    connection.execute(
        "DELETE FROM events WHERE relayed_at IS NULL AND recorded_at < now() - %s",
        [timedelta(days=days)],
    )
