"""People who use the console, their signed-in sessions, and keys of programs that use the API."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"

UP = """
CREATE TABLE people (
    person text PRIMARY KEY CHECK (person = lower(person) AND person <> ''),
    role text NOT NULL CHECK (role IN ('observer', 'operator', 'administrator')),
    -- scrypt; NULL for people whom the load balancer signs in
    password_salt bytea,
    password_hash bytea,
    time_zone text NOT NULL DEFAULT 'UTC',
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((password_salt IS NULL) = (password_hash IS NULL))
);

-- Signed-in browsers; deleting a row signs one out.
CREATE TABLE person_sessions (
    -- SHA-256 of the cookie, which is kept nowhere
    digest bytea PRIMARY KEY,
    person text NOT NULL REFERENCES people ON DELETE CASCADE,
    form_token text NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX person_sessions_person ON person_sessions (person);

CREATE TABLE sign_in_failures (
    at timestamptz NOT NULL DEFAULT now(),
    person text NOT NULL,
    address text NOT NULL
);
CREATE INDEX sign_in_failures_at ON sign_in_failures (at);

CREATE TABLE api_keys (
    api_key_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of the key, which is shown once
    digest bytea NOT NULL UNIQUE,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('observer', 'operator', 'administrator')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
"""

DOWN = """
DROP TABLE api_keys;
DROP TABLE sign_in_failures;
DROP TABLE person_sessions;
DROP TABLE people;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(UP)


def downgrade() -> None:
    """Take them away; everybody is signed out, and no key opens the API."""
    op.execute(DOWN)
