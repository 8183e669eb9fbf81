"""What charging points are set to, what they should be, and jobs that go in waves."""

from alembic import op

revision = "0017"
down_revision = "0016"

SCHEMA = """
-- Settings of OCPP 1.6 have no component.
CREATE TABLE variables (
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    component text NOT NULL DEFAULT '',
    name text NOT NULL,
    -- none where it is not told, as of passwords
    value text,
    readonly boolean,
    -- it was accepted, and is in force after the next restart
    after_restart boolean NOT NULL DEFAULT false,
    known_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charging_point_id, component, name)
);

CREATE TABLE setting_templates (
    template text PRIMARY KEY,
    -- LIKE patterns of the charging points that it is for
    vendor text NOT NULL,
    model text NOT NULL,
    firmware text NOT NULL,
    settings jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE jobs
    -- so many charging points; the next ones only when these have ended for so long; none: no waves
    ADD COLUMN wave integer CHECK (wave > 0),
    ADD COLUMN wave_seconds double precision NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    """Make the tables and columns."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Drop them."""
    op.execute(
        "ALTER TABLE jobs DROP COLUMN wave, DROP COLUMN wave_seconds;"
        " DROP TABLE setting_templates, variables"
    )
