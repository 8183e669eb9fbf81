"""Files of charging points, and jobs that try again and have a deadline."""

from alembic import op

revision = "0014"
down_revision = "0013"

SCHEMA = """
CREATE TABLE files (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('firmware', 'log')),
    -- for people; a charging point's own word for what it sent
    name text NOT NULL,
    -- in the store
    key text NOT NULL UNIQUE,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    -- whose log, and the command that asked for it
    charging_point_id text REFERENCES charging_points ON DELETE SET NULL,
    command_id bigint REFERENCES commands ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX files_of_charging_points ON files (charging_point_id, file_id);
CREATE INDEX files_of_commands ON files (command_id) WHERE command_id IS NOT NULL;

-- A name that one charging point may use for a while, to fetch a file or to send some.
CREATE TABLE file_links (
    link text PRIMARY KEY,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- to fetch; none: to send
    file_id bigint REFERENCES files ON DELETE CASCADE,
    -- of what is sent
    max_bytes bigint NOT NULL DEFAULT 0,
    uses integer NOT NULL DEFAULT 0,
    max_uses integer NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX file_links_of_files ON file_links (file_id);

ALTER TABLE jobs
    -- each charging point is asked so often at most
    ADD COLUMN tries integer NOT NULL DEFAULT 1 CHECK (tries > 0),
    ADD COLUMN retry_seconds double precision NOT NULL DEFAULT 60,
    -- one has succeeded when it is done, not when it accepted
    ADD COLUMN until_done boolean NOT NULL DEFAULT false,
    -- when what is left has failed
    ADD COLUMN deadline timestamptz;
ALTER TABLE job_items
    ADD COLUMN tried integer NOT NULL DEFAULT 0,
    -- before which it is not asked again
    ADD COLUMN not_before timestamptz;
"""


def upgrade() -> None:
    """Make the tables and columns."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them."""
    op.execute(
        "ALTER TABLE job_items DROP COLUMN tried, DROP COLUMN not_before;"
        " ALTER TABLE jobs DROP COLUMN tries, DROP COLUMN retry_seconds, DROP COLUMN until_done,"
        " DROP COLUMN deadline;"
        " DROP TABLE file_links, files"
    )
