"""What the hub is told: the outbox's marks, deliveries, EVSEs' master data, prices."""

from alembic import op

revision = "0002"
down_revision = "0001"

UPGRADE = """
-- Identity order is not commit order, so what was read is marked: a cursor could pass over a
-- row that commits late.
ALTER TABLE events ADD COLUMN relayed_at timestamptz;
CREATE INDEX events_unrelayed ON events (event_id) WHERE relayed_at IS NULL;
CREATE INDEX events_relayed_at ON events (relayed_at) WHERE relayed_at IS NOT NULL;

CREATE TABLE deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue text NOT NULL,
    key text NOT NULL,
    hub_session_id text,
    -- what the hub shall have; NULL: nothing any more
    payload jsonb,
    -- what it has; NULL: nothing
    delivered jsonb,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'delivered', 'parked', 'dropped')),
    queued_at timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    -- it was sent, and no answer says whether it arrived
    uncertain boolean NOT NULL DEFAULT false,
    reason text NOT NULL DEFAULT '',
    -- the hub's own name for the call, for its support
    process_id text,
    settled_at timestamptz,
    -- one charge detail record a session, whatever happens
    UNIQUE (queue, key)
);
CREATE INDEX deliveries_waiting ON deliveries (queue, delivery_id) WHERE state = 'waiting';
CREATE INDEX deliveries_parked ON deliveries (delivery_id) WHERE state = 'parked';
CREATE INDEX deliveries_hub_session ON deliveries (hub_session_id)
    WHERE hub_session_id IS NOT NULL;
CREATE INDEX deliveries_settled_at ON deliveries (settled_at) WHERE queue = 'notification';

CREATE TABLE hub_queues (
    queue text PRIMARY KEY,
    -- the deliveries of the call under way: a successor finds what its predecessor left open
    in_flight bigint[] NOT NULL DEFAULT '{}',
    full_load_at timestamptz,
    -- the next push replaces everything the hub has
    full_load_next boolean NOT NULL DEFAULT false,
    full_load_wanted boolean NOT NULL DEFAULT false,
    worker text NOT NULL DEFAULT '',
    beaten_at timestamptz
);

-- what drivers and the hub are told of an EVSE beside its name
CREATE TABLE evse_details (
    charging_point_id text NOT NULL,
    evse_number integer NOT NULL,
    details jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charging_point_id, evse_number),
    FOREIGN KEY (charging_point_id, evse_number) REFERENCES evses ON DELETE CASCADE
);
CREATE INDEX evses_roaming ON evses (charging_point_id) WHERE roaming;

CREATE TABLE price_products (
    provider_id text NOT NULL,
    product_id text NOT NULL,
    details jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider_id, product_id)
);

-- charging points with EVSEs in roaming whose socket nobody holds
CREATE TABLE absences (
    charging_point_id text PRIMARY KEY REFERENCES charging_points ON DELETE CASCADE,
    since timestamptz NOT NULL DEFAULT now(),
    -- beyond the grace period: the hub is told
    told boolean NOT NULL DEFAULT false
);

-- Sessions that begin with a card at the charging point have no EVSE until they start, and many
-- may have the same token one after the other.
ALTER TABLE hub_sessions
    ADD COLUMN origin text NOT NULL DEFAULT 'remote' CHECK (origin IN ('remote', 'local')),
    ADD COLUMN stop_id_tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN ended_at timestamptz,
    ALTER COLUMN evse_id DROP NOT NULL,
    ALTER COLUMN evse_number DROP NOT NULL,
    DROP CONSTRAINT hub_sessions_id_tag_key;
CREATE INDEX hub_sessions_id_tag ON hub_sessions (id_tag);
CREATE UNIQUE INDEX hub_sessions_open_token ON hub_sessions (charging_point_id, id_tag)
    WHERE session_id IS NULL AND state IN ('asked', 'accepted');
CREATE INDEX hub_sessions_unstarted ON hub_sessions (created_at)
    WHERE session_id IS NULL AND state IN ('asked', 'accepted');
CREATE INDEX hub_sessions_charging ON hub_sessions (session_id) WHERE state = 'accepted';
UPDATE hub_sessions AS h SET state = 'ended', ended_at = s.ended_at
FROM sessions AS s WHERE s.session_id = h.session_id AND s.state = 'ended';
"""

DOWNGRADE = """
-- What the version before cannot hold: cards' sessions, and a token that was used again.
DELETE FROM hub_sessions WHERE origin = 'local' OR evse_id IS NULL OR evse_number IS NULL;
DELETE FROM hub_sessions AS h USING hub_sessions AS later
WHERE h.id_tag = later.id_tag AND (h.created_at, h.hub_session_id)
                                < (later.created_at, later.hub_session_id);
DROP INDEX hub_sessions_charging, hub_sessions_unstarted, hub_sessions_open_token,
    hub_sessions_id_tag, evses_roaming;
ALTER TABLE hub_sessions
    ADD CONSTRAINT hub_sessions_id_tag_key UNIQUE (id_tag),
    ALTER COLUMN evse_number SET NOT NULL,
    ALTER COLUMN evse_id SET NOT NULL,
    DROP COLUMN ended_at,
    DROP COLUMN stop_id_tags,
    DROP COLUMN origin;
UPDATE hub_sessions SET state = 'accepted' WHERE state = 'ended' AND session_id IS NOT NULL;
DROP TABLE absences, price_products, evse_details, hub_queues, deliveries;
DROP INDEX events_relayed_at, events_unrelayed;
ALTER TABLE events DROP COLUMN relayed_at;
"""


def upgrade() -> None:
    """Add them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Take them away again; what has not been delivered is lost."""
    op.execute(DOWNGRADE)
