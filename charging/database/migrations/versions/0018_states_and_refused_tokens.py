"""The history of EVSEs' states, tokens that were refused, and the power of a reading."""

from alembic import op

revision = "0018"
down_revision = "0017"

UPGRADE = r"""
CREATE TABLE state_history (
    history_id bigint GENERATED ALWAYS AS IDENTITY,
    charging_point_id text NOT NULL,
    -- 0: the charging point as a whole
    evse_number integer NOT NULL,
    -- charging.evse.EvseState
    state text NOT NULL,
    -- as the charging point reported them
    status text NOT NULL,
    error_code text,
    changed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (received_at);
CREATE INDEX state_history_charging_point ON state_history (charging_point_id, received_at);
-- A change of state is kept whatever became of the partitions.
CREATE TABLE state_history_default PARTITION OF state_history DEFAULT;

CREATE FUNCTION keep_state_partitions(ahead integer, keep integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    this date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
    month date;
    part text;
BEGIN
    -- One at a time: nodes start together.
    PERFORM pg_advisory_xact_lock(hashtext('keep_state_partitions'));
    FOR month IN
        SELECT generate_series(this, this + make_interval(months => ahead), interval '1 month')
    LOOP
        part := 'state_history_' || to_char(month, 'YYYYMM');
        IF to_regclass(part) IS NULL AND NOT EXISTS (
            SELECT FROM state_history_default
            WHERE received_at >= month::timestamp AT TIME ZONE 'UTC'
        ) THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF state_history FOR VALUES FROM (%L) TO (%L)',
                part, month::text || ' 00:00+00',
                (month + interval '1 month')::date::text || ' 00:00+00');
        END IF;
    END LOOP;
    FOR part IN
        SELECT c.relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
        WHERE inhparent = 'state_history'::regclass AND c.relname ~ '^state_history_[0-9]{6}$'
          AND c.relname
              < 'state_history_' || to_char(this - make_interval(months => keep), 'YYYYMM')
    LOOP
        EXECUTE format('DROP TABLE %I', part);
    END LOOP;
END $$;
SELECT keep_state_partitions(2, 13);

CREATE TABLE refused_tokens (
    refusal_id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- in its compared form; '' where it could not be read
    id_tag text NOT NULL,
    charging_point_id text NOT NULL REFERENCES charging_points ON DELETE CASCADE,
    -- the last: charging.authorization.Decision and Rule
    decision text NOT NULL,
    rule text NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id_tag, charging_point_id)
);
CREATE INDEX refused_tokens_last_at ON refused_tokens (last_at);

-- The power that a reading of `meter_values.sampled_values` reports, in W; NULL: it reports none.
-- The whole before its phases, at the outlet.
CREATE FUNCTION reported_power_w(sampled_values jsonb) RETURNS double precision
IMMUTABLE LANGUAGE sql AS $$
    WITH powers AS (
        SELECT s ->> 'phase' AS phase,
               CASE WHEN s ->> 'value' ~ '^\s*[-+]?[0-9]{1,12}(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?\s*$'
                   THEN (s ->> 'value')::double precision END
               * CASE coalesce(s ->> 'unit', s #>> '{unitOfMeasure,unit}', 'W')
                     WHEN 'kW' THEN 1000 WHEN 'W' THEN 1 END
               * CASE WHEN s #>> '{unitOfMeasure,multiplier}' ~ '^-?[0-9]$'
                     THEN power(10, (s #>> '{unitOfMeasure,multiplier}')::int) ELSE 1 END AS w
        FROM jsonb_array_elements(
            CASE jsonb_typeof(sampled_values) WHEN 'array' THEN sampled_values ELSE '[]' END) AS s
        WHERE jsonb_typeof(s) = 'object' AND s ->> 'measurand' = 'Power.Active.Import'
          AND coalesce(s ->> 'location', 'Outlet') = 'Outlet'
    )
    SELECT coalesce((SELECT w FROM powers WHERE phase IS NULL AND w IS NOT NULL LIMIT 1),
                    (SELECT sum(w) FROM powers WHERE phase ~ '^L[123](-N)?$'))
$$;
"""

DOWNGRADE = """
DROP FUNCTION reported_power_w;
DROP TABLE refused_tokens;
DROP FUNCTION keep_state_partitions;
DROP TABLE state_history;
"""


def upgrade() -> None:
    """Add them."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Take them away."""
    op.execute(DOWNGRADE)
