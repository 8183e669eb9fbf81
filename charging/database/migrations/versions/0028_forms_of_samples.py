"""Readings whose samples are kept as a form's number and the values."""

import time

import sqlalchemy
from alembic import op

revision = "0028"
down_revision = "0027"

# How long a lock on readings is waited for, and how often it is asked for again: whatever waits
# behind it is a charging point's fact.
LOCK_SECONDS = 2
TRIES = 60

FORMS = r"""
-- The JSON of samples, cut where the values stand (see charging/samples.py): a model of charging
-- point has a few.
CREATE TABLE IF NOT EXISTS sample_forms (
    -- 8 bytes of hash, so that it never means another form, in whichever copy of the database
    form_id bigint PRIMARY KEY,
    -- what stands before, between and after the values
    pieces text[] NOT NULL,
    -- the values that make up the power in W (reported_power_w), and by what each is multiplied
    power_places integer[] NOT NULL,
    power_factors double precision[] NOT NULL,
    learnt_at timestamptz NOT NULL DEFAULT now()
);

-- The samples of a row of meter_values, whichever way it has them.
CREATE OR REPLACE FUNCTION whole_samples(sampled_values jsonb, form bigint, form_values text)
RETURNS jsonb STABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT CASE WHEN form IS NULL THEN sampled_values ELSE (
        SELECT string_agg(p.piece || coalesce(v.value, ''), '' ORDER BY p.place)::jsonb
        FROM sample_forms AS f
        CROSS JOIN unnest(f.pieces) WITH ORDINALITY AS p (piece, place)
        LEFT JOIN unnest(string_to_array(form_values, ',')) WITH ORDINALITY AS v (value, place)
            ON v.place = p.place
        WHERE f.form_id = form) END
$$;

-- Keeps a form and says whether it is there; false where another one has its number. Raises where
-- it is no JSON.
CREATE OR REPLACE FUNCTION learn_form(form bigint, form_pieces text[])
RETURNS boolean LANGUAGE sql AS $$
    -- reported_power_w adds up multiples of values: with a single 1 among zeros it tells each.
    INSERT INTO sample_forms (form_id, pieces, power_places, power_factors)
    SELECT form, form_pieces, coalesce(array_agg(place ORDER BY place), '{}'),
           coalesce(array_agg(factor ORDER BY place), '{}')
    FROM (SELECT place, reported_power_w((
              SELECT string_agg(p.piece || CASE WHEN p.place = cardinality(form_pieces) THEN ''
                                                WHEN p.place = i.place THEN '1' ELSE '0' END,
                                '' ORDER BY p.place)::jsonb
              FROM unnest(form_pieces) WITH ORDINALITY AS p (piece, place))) AS factor
          FROM generate_series(1, cardinality(form_pieces) - 1) AS i (place)) AS each
    WHERE factor <> 0
    ON CONFLICT DO NOTHING;
    SELECT EXISTS (SELECT FROM sample_forms WHERE form_id = form AND pieces = form_pieces);
$$;

-- reported_power_w of the samples of a row of meter_values, whichever way it has them.
CREATE OR REPLACE FUNCTION power_of_samples(sampled_values jsonb, form bigint, form_values text)
RETURNS double precision STABLE PARALLEL SAFE LANGUAGE sql AS $$
    SELECT CASE WHEN form IS NULL THEN reported_power_w(sampled_values) ELSE (
        SELECT CASE WHEN count(v.w) = count(*) THEN sum(v.w * p.factor)
               ELSE reported_power_w(whole_samples(NULL, form, form_values)) END
        FROM sample_forms AS f
        CROSS JOIN unnest(f.power_places, f.power_factors) AS p (place, factor)
        CROSS JOIN LATERAL (SELECT split_part(form_values, ',', p.place) AS value) AS s
        CROSS JOIN LATERAL (SELECT CASE WHEN s.value ~ '^-?[0-9]{1,12}(\.[0-9]*)?$'
                                   THEN s.value::double precision END AS w) AS v
        WHERE f.form_id = form HAVING count(*) > 0) END
$$;
"""

COLUMNS = """
ALTER TABLE meter_values
    -- NULL: sampled_values has the samples whole
    ADD COLUMN IF NOT EXISTS form_id bigint,
    -- of the form's places, with commas between them
    ADD COLUMN IF NOT EXISTS form_values text,
    ALTER COLUMN sampled_values DROP NOT NULL
"""

DOWNGRADE = """
UPDATE meter_values SET sampled_values = whole_samples(sampled_values, form_id, form_values)
    WHERE sampled_values IS NULL;
ALTER TABLE meter_values
    ALTER COLUMN sampled_values SET NOT NULL, DROP COLUMN form_values, DROP COLUMN form_id;
DROP FUNCTION power_of_samples;
DROP FUNCTION learn_form;
DROP FUNCTION whole_samples;
DROP TABLE sample_forms;
"""


def upgrade() -> None:
    """Add the forms and the columns. Rows that exist stay as they are, and are read as before."""
    op.execute(FORMS)
    with op.get_context().autocommit_block():
        for tried in range(1, TRIES + 1):
            limit = f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"
            try:
                op.execute(f"DO $do$ BEGIN {limit}; {COLUMNS}; END $do$")
            except sqlalchemy.exc.OperationalError as error:
                if "lock timeout" not in str(error) or tried == TRIES:
                    raise
                time.sleep(1)
            else:
                return


def downgrade() -> None:
    """Put the samples together again."""
    op.execute(DOWNGRADE)
