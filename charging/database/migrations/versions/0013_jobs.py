"""Jobs: one thing asked of many charging points, at a pace, until it is done or stopped."""

from alembic import op

revision = "0013"
down_revision = "0012"

SCHEMA = """
CREATE TABLE jobs (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    arguments jsonb NOT NULL,
    person text NOT NULL,
    program text NOT NULL,
    -- the same key twice is the same job
    idempotency_key text UNIQUE,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped', 'done')),
    -- why it was stopped, for a person
    reason text NOT NULL DEFAULT '',
    per_minute integer NOT NULL CHECK (per_minute > 0),
    at_once integer NOT NULL CHECK (at_once > 0),
    -- it stops itself at so many that refused, did not answer or went silent; none: never
    max_failures integer CHECK (max_failures > 0),
    -- that each has to answer
    seconds double precision NOT NULL,
    -- up to when the pace has been used
    paced_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- or resumed: failures before do not count
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX jobs_running ON jobs (job_id) WHERE state = 'running';

CREATE TABLE job_items (
    job_id bigint NOT NULL REFERENCES jobs ON DELETE CASCADE,
    place integer NOT NULL,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- beside the job's, or in their place
    arguments jsonb NOT NULL DEFAULT '{}',
    command_id bigint REFERENCES commands ON DELETE SET NULL,
    -- none before the answer
    accepted boolean,
    answered_at timestamptz,
    PRIMARY KEY (job_id, charging_point_id)
);
CREATE INDEX job_items_waiting ON job_items (job_id, place)
    WHERE command_id IS NULL AND accepted IS NULL;
CREATE INDEX job_items_under_way ON job_items (job_id)
    WHERE command_id IS NOT NULL AND accepted IS NULL;
CREATE INDEX job_items_answered ON job_items (job_id, answered_at) WHERE accepted IS NOT NULL;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP TABLE job_items, jobs")
