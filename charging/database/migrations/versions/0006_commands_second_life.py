"""Commands keep their answers whole, know who asked, and are followed until they are done."""

from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = """
ALTER TABLE commands
    -- the payloads of the charging point's answers as they came, one a call that was sent
    ADD COLUMN answer jsonb,
    -- who asked, and with which program; requested_by stays for the services before
    ADD COLUMN person text,
    ADD COLUMN program text,
    -- the same key twice is the same command
    ADD COLUMN idempotency_key text,
    -- a newer command of the same kind takes the place of a queued older one with this key
    ADD COLUMN supersedes text,
    ADD COLUMN priority smallint NOT NULL DEFAULT 0,
    -- accepted is not done: a start is done when its session begins, a reset with the next boot
    ADD COLUMN done_at timestamptz,
    ADD COLUMN done_outcome text CHECK (done_outcome IN ('done', 'failed', 'unknown')),
    ADD CONSTRAINT commands_done CHECK ((done_at IS NULL) = (done_outcome IS NULL));

ALTER TABLE commands DROP CONSTRAINT commands_state_check;
ALTER TABLE commands ADD CONSTRAINT commands_state_check
    CHECK (state IN ('queued', 'sent', 'answered', 'expired', 'superseded'));

CREATE UNIQUE INDEX commands_idempotency_key ON commands (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- what still has to be carried out at a charging point
CREATE INDEX commands_under_way ON commands (charging_point_id, kind)
    WHERE state IN ('sent', 'answered') AND done_at IS NULL;
-- the newest of a charging point
CREATE INDEX commands_queued_at ON commands (charging_point_id, queued_at);

-- All that were answered before count as done; of what was refused nothing is to be waited for.
UPDATE commands SET done_at = answered_at, done_outcome = 'unknown' WHERE state = 'answered';

-- what goes on after "accepted": firmware, logs, reports
CREATE TABLE command_progress (
    command_id bigint NOT NULL REFERENCES commands ON DELETE CASCADE,
    at timestamptz NOT NULL,
    stage text NOT NULL,
    detail text NOT NULL DEFAULT '',
    PRIMARY KEY (command_id, at, stage)
);

-- who did what, written in the transaction of what was done
CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    person text NOT NULL,
    program text NOT NULL,
    action text NOT NULL,
    -- what it was done to: a charging point, a token, a session …
    subject text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_subject ON audit (subject, audit_id);
"""


def upgrade() -> None:
    """Widen commands, and make progress and audit."""
    op.execute(SCHEMA)


def downgrade() -> None:
    """Take it back; commands that were superseded count as expired."""
    op.execute(
        """
        DROP TABLE audit, command_progress;
        DROP INDEX commands_queued_at, commands_under_way, commands_idempotency_key;
        UPDATE commands SET state = 'expired' WHERE state = 'superseded';
        ALTER TABLE commands DROP CONSTRAINT commands_state_check;
        ALTER TABLE commands ADD CONSTRAINT commands_state_check
            CHECK (state IN ('queued', 'sent', 'answered', 'expired'));
        ALTER TABLE commands
            DROP CONSTRAINT commands_done,
            DROP COLUMN done_outcome, DROP COLUMN done_at, DROP COLUMN priority,
            DROP COLUMN supersedes, DROP COLUMN idempotency_key, DROP COLUMN program,
            DROP COLUMN person, DROP COLUMN answer;
        """
    )
