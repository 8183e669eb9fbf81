"""Notifications that come too late to be told."""

from __future__ import annotations

import logging

from third_party_backend.relay.planning.context import Context

LATE_NOTIFICATION_SECONDS = 120
"""How long notifications may follow after their session's record."""

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
