"""Registers of ends that belong to no session, of OCPP 2.x too."""

from alembic import op

revision = "0026"
down_revision = "0025"

# The greatest energy register among its samples: they only rise. Samples of a phase are none.
UPGRADE = """
CREATE OR REPLACE FUNCTION register_of_fact(payload jsonb)
RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE
        WHEN payload ? 'meterStop' THEN
            CASE WHEN payload ->> 'meterStop' ~ '^ *-?[0-9]{1,15}([.][0-9]*)? *$'
                 THEN round((payload ->> 'meterStop')::numeric)::bigint END
        ELSE (
            SELECT round(max(each.wh))::bigint
            FROM jsonb_path_query(payload, 'lax $.meterValue[*].sampledValue[*]') AS sample
            CROSS JOIN LATERAL (
                SELECT (sample ->> 'value')::numeric
                       * CASE sample #>> '{unitOfMeasure,unit}' WHEN 'kWh' THEN 1000 ELSE 1 END
                       * 10::numeric ^ CASE
                           WHEN sample #>> '{unitOfMeasure,multiplier}' ~ '^-?[0-9]$'
                           THEN (sample #>> '{unitOfMeasure,multiplier}')::int ELSE 0 END AS wh
                WHERE jsonb_typeof(sample -> 'value') = 'number'
            ) AS each
            WHERE coalesce(sample ->> 'measurand', 'Energy.Active.Import.Register')
                      = 'Energy.Active.Import.Register'
              AND NOT sample ? 'phase' AND abs(each.wh) < 1e15) END
$$
"""

DOWNGRADE = """
CREATE OR REPLACE FUNCTION register_of_fact(payload jsonb)
RETURNS bigint IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN payload ->> 'meterStop' ~ '^ *-?[0-9]{1,15}([.][0-9]*)? *$'
                THEN round((payload ->> 'meterStop')::numeric)::bigint END
$$
"""


def upgrade() -> None:
    """Read TransactionEvent's registers beside StopTransaction's."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Read those of StopTransaction alone."""
    op.execute(DOWNGRADE)
