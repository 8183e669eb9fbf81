"""Ends that are presumed, corrections, audits of the energy, tariffs and bills."""

from alembic import op

revision = "0012"
down_revision = "0011"

FUNCTIONS = """
-- The register, in Wh, and the time of an end that names no session that we know; NULL where it
-- holds none.
CREATE FUNCTION register_of_fact(payload jsonb) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN payload ->> 'meterStop' ~ '^ *-?[0-9]{1,15}([.][0-9]*)? *$'
                THEN round((payload ->> 'meterStop')::numeric)::bigint END
$$;
CREATE FUNCTION time_of_fact(payload jsonb) RETURNS timestamptz STABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN (payload ->> 'timestamp')::timestamptz;
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$;
-- The energy, in Wh, of a record that the hub was sent.
CREATE FUNCTION energy_of_record(payload jsonb) RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT round((payload ->> 'ConsumedEnergy')::numeric * 1000)::bigint
$$;
"""

SCHEMA = """
ALTER TABLE sessions
    -- charging.presumption.Presumption: why it was taken to have ended; NULL: its end was reported
    ADD COLUMN presumed text,
    -- of an end that is, or was, presumed: since when it counts. Until then a late fact takes its
    -- place; afterwards it is a correction, which the hub does not hear of
    ADD COLUMN end_final_at timestamptz,
    ADD CONSTRAINT sessions_presumed_check CHECK (
        presumed IS NULL OR (
            state = 'ended'
            AND presumed IN ('later_start', 'restart', 'available', 'operator')));
CREATE INDEX sessions_presumed ON sessions (session_id)
    WHERE presumed IS NOT NULL AND end_final_at IS NULL;
CREATE INDEX sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_evse ON sessions (charging_point_id, evse_number, started_at);

-- What a session was, and what it became: nothing is overwritten without a row here.
CREATE TABLE session_corrections (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id integer NOT NULL REFERENCES sessions,
    at timestamptz NOT NULL DEFAULT now(),
    person text NOT NULL,
    reason text NOT NULL,
    -- {"started_at", "meter_start_wh", "ended_at", "meter_stop_wh", "presumed"}
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    -- it counted already: what was sent or billed with it has to be set right by a person
    was_final boolean NOT NULL
);
CREATE INDEX session_corrections_session ON session_corrections (session_id);

ALTER TABLE unassigned_facts
    -- when an operator settled it, and to which session it was assigned; NULL: to none
    ADD COLUMN settled_at timestamptz,
    ADD COLUMN settled_reason text NOT NULL DEFAULT '',
    ADD COLUMN session_id integer REFERENCES sessions;
CREATE INDEX unassigned_facts_open ON unassigned_facts (fact_id) WHERE settled_at IS NULL;

-- Reports of what meters counted against what was billed. Each has the digest of the one before,
-- so that none can be changed, left out or put in afterwards without its being seen.
CREATE TABLE energy_audits (
    audit_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    -- NULL: of all charging points
    charging_point_id text,
    made_at timestamptz NOT NULL,
    -- canonical JSON, as the digest has it
    report text NOT NULL,
    -- Wh that are listed with an alarm
    alarming_wh bigint NOT NULL,
    alarms integer NOT NULL,
    previous_digest text NOT NULL,
    digest text NOT NULL UNIQUE,
    -- Ed25519 over the digest, and the public key, both hexadecimal; NULL: made without a key
    signature text,
    public_key text
);
CREATE INDEX energy_audits_day ON energy_audits (day, audit_number);

-- What our own cards pay. A row is never changed: a new price is a new row with a later time.
CREATE TABLE tariffs (
    tariff_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    valid_from timestamptz NOT NULL,
    -- charging.tariff.Tariff
    details jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, valid_from)
);
-- NULL: the tariff named 'default'
ALTER TABLE tokens ADD COLUMN tariff text;

-- What was billed. A correction is a row of its own, the difference to what stands already.
CREATE TABLE bill_entries (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id integer NOT NULL REFERENCES sessions,
    -- the first day of the month on whose bill it stands
    month date NOT NULL,
    kind text NOT NULL CHECK (kind IN ('charge', 'correction')),
    id_tag text NOT NULL,
    parent_id_tag text,
    tariff_id bigint NOT NULL REFERENCES tariffs,
    energy_wh bigint NOT NULL,
    currency text NOT NULL,
    -- in the currency's smallest unit
    net bigint NOT NULL,
    tax bigint NOT NULL,
    -- how the whole cost of the session comes about: [{"what", "quantity", "price", "net"}]
    steps jsonb NOT NULL,
    reason text NOT NULL DEFAULT '',
    booked_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX bill_entries_charge ON bill_entries (session_id) WHERE kind = 'charge';
CREATE INDEX bill_entries_month ON bill_entries (month, id_tag);
"""

DOWNGRADE = """
DROP TABLE bill_entries;
ALTER TABLE tokens DROP COLUMN tariff;
DROP TABLE tariffs;
DROP TABLE energy_audits;
DROP INDEX unassigned_facts_open;
DELETE FROM unassigned_facts WHERE settled_at IS NOT NULL;
ALTER TABLE unassigned_facts
    DROP COLUMN session_id, DROP COLUMN settled_reason, DROP COLUMN settled_at;
DROP TABLE session_corrections;
DROP INDEX sessions_evse, sessions_ended_at, sessions_presumed;
ALTER TABLE sessions DROP COLUMN end_final_at, DROP COLUMN presumed;
DROP FUNCTION energy_of_record(jsonb), time_of_fact(jsonb), register_of_fact(jsonb);
"""


def upgrade() -> None:
    """Add them; ends of before were all reported."""
    op.execute(FUNCTIONS)
    op.execute(SCHEMA)


def downgrade() -> None:
    """Take them away: reports, corrections and bills are lost, the sessions stay as they are."""
    op.execute(DOWNGRADE)
