"""The business's own words beside those that charging points and the hub use.

What was reported stays where it was: `evses.status` and `sessions.stop_reason` are the charging
point's own words, `start_answer` is the hub's. Our words stand beside: in columns of their own,
checked, and filled for the rows that exist.

Services of the version before write and read the reported words only. While they may run, triggers
keep both in step: a row written with the reported word alone gets ours, and a decision written in
ours gets the word that the version before reads. A migration to come takes the triggers away,
together with `sessions.start_status` and `sessions.stop_status`, which report nothing.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

FUNCTIONS = """
-- Ours for what OCPP 1.6 reports of a connector (7.7 ChargePointStatus); NULL for none and for
-- another word, which only services know that write ours as well.
CREATE FUNCTION evse_state_of(reported text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE reported
        WHEN 'Available' THEN 'available'
        WHEN 'Preparing' THEN 'preparing'
        WHEN 'Charging' THEN 'charging'
        WHEN 'SuspendedEV' THEN 'suspended_by_vehicle'
        WHEN 'SuspendedEVSE' THEN 'suspended_by_station'
        WHEN 'Finishing' THEN 'finishing'
        WHEN 'Reserved' THEN 'reserved'
        WHEN 'Unavailable' THEN 'unavailable'
        WHEN 'Faulted' THEN 'faulted'
    END
$$;

-- Ours for OCPP 1.6's reasons (7.36 Reason); NULL for none and for another word.
CREATE FUNCTION stop_cause_of(reported text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE reported
        WHEN 'Local' THEN 'local'
        WHEN 'Remote' THEN 'remote'
        WHEN 'EVDisconnected' THEN 'unplugged'
        WHEN 'UnlockCommand' THEN 'unlocked'
        WHEN 'DeAuthorized' THEN 'not_authorized'
        WHEN 'Reboot' THEN 'restart'
        WHEN 'SoftReset' THEN 'restart'
        WHEN 'HardReset' THEN 'hard_restart'
        WHEN 'PowerLoss' THEN 'power_loss'
        WHEN 'EmergencyStop' THEN 'emergency_stop'
        WHEN 'Other' THEN 'other'
    END
$$;

-- Ours for OCPP 1.6's AuthorizationStatus, as the version before kept it; it kept 'Invalid' only of
-- tokens that nobody knew.
CREATE FUNCTION decision_of(status text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE status
        WHEN 'Accepted' THEN 'accepted'
        WHEN 'Blocked' THEN 'blocked'
        WHEN 'Expired' THEN 'expired'
        WHEN 'Invalid' THEN 'unknown'
        WHEN 'ConcurrentTx' THEN 'refused'
    END
$$;

CREATE FUNCTION status_of_decision(decision text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE decision
        WHEN 'accepted' THEN 'Accepted'
        WHEN 'blocked' THEN 'Blocked'
        WHEN 'expired' THEN 'Expired'
        WHEN 'unknown' THEN 'Invalid'
        WHEN 'refused' THEN 'Invalid'
    END
$$;

-- Ours for the status code of an answer that the hub was given (OICP 2.3, status codes); NULL for
-- no answer and for success.
CREATE FUNCTION refusal_of_answer(answer jsonb) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE answer -> 'StatusCode' ->> 'Code'
        WHEN '000' THEN NULL
        WHEN '017' THEN 'other_provider'
        WHEN '320' THEN 'not_offered'
        WHEN '400' THEN 'session_unknown'
        WHEN '501' THEN 'offline'
        WHEN '510' THEN 'no_vehicle'
        WHEN '601' THEN 'reserved'
        WHEN '602' THEN 'in_use'
        WHEN '603' THEN 'evse_unknown'
        WHEN '604' THEN 'not_roaming'
        WHEN '700' THEN 'out_of_service'
        ELSE CASE WHEN answer IS NOT NULL THEN 'rejected' END
    END
$$;

-- The signed readings among `meter_values.sampled_values`, NULL where there are none: a list of
-- {"moment": "begin", "between" or "end", "value": text}.
CREATE FUNCTION signed_readings(sampled_values jsonb) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN sampled_values @? '$[*] ? (@.format == "SignedData")' THEN (
        SELECT jsonb_agg(
            jsonb_build_object(
                'moment', CASE sample ->> 'context'
                    WHEN 'Transaction.Begin' THEN 'begin'
                    WHEN 'Transaction.End' THEN 'end'
                    ELSE 'between'
                END,
                'value', coalesce(sample ->> 'value', '')
            ) ORDER BY place)
        FROM jsonb_array_elements(sampled_values) WITH ORDINALITY AS t (sample, place)
        WHERE sample ->> 'format' = 'SignedData')
    END
$$;
"""

COLUMNS = """
-- The versions of OCPP that it may speak, such as {1.6,2.0.1}; NULL: whatever the service speaks.
ALTER TABLE charging_points ADD COLUMN ocpp_versions text[];

ALTER TABLE evses ADD COLUMN state text;
UPDATE evses SET state = coalesce(evse_state_of(status), 'unknown');
ALTER TABLE evses
    ALTER COLUMN state SET NOT NULL,
    ADD CONSTRAINT evses_state_check CHECK (state IN (
        'unknown', 'available', 'preparing', 'charging', 'suspended_by_vehicle',
        'suspended_by_station', 'finishing', 'occupied', 'reserved', 'unavailable', 'faulted'));
COMMENT ON COLUMN evses.status IS 'as the charging point reported it, in its version of OCPP';
COMMENT ON COLUMN evses.error_code IS 'as the charging point reported it';
COMMENT ON COLUMN evses.state IS 'charging.evse.EvseState';

ALTER TABLE sessions
    ADD COLUMN stop_cause text,
    ADD COLUMN start_decision text,
    ADD COLUMN stop_decision text;
UPDATE sessions
SET start_decision = coalesce(decision_of(start_status), 'refused'),
    stop_cause = CASE WHEN stop_reason IS NOT NULL
                      THEN coalesce(stop_cause_of(stop_reason), 'other') END,
    stop_decision = CASE WHEN stop_status IS NOT NULL
                         THEN coalesce(decision_of(stop_status), 'refused') END;
ALTER TABLE sessions
    ALTER COLUMN start_decision SET NOT NULL,
    ADD CONSTRAINT sessions_start_decision_check CHECK (
        start_decision IN ('accepted', 'blocked', 'expired', 'unknown', 'refused')),
    ADD CONSTRAINT sessions_stop_decision_check CHECK (
        stop_decision IN ('accepted', 'blocked', 'expired', 'unknown', 'refused')),
    ADD CONSTRAINT sessions_stop_cause_check CHECK (stop_cause IN (
        'local', 'remote', 'unplugged', 'vehicle', 'unlocked', 'limit', 'not_authorized',
        'no_vehicle', 'restart', 'hard_restart', 'power_loss', 'emergency_stop', 'fault',
        'other'));
COMMENT ON COLUMN sessions.stop_reason IS 'as the charging point reported it';
COMMENT ON COLUMN sessions.stop_cause IS 'charging.session.StopCause';
COMMENT ON COLUMN sessions.start_decision IS
    'charging.authorization.Decision: what the charging point was answered, for a retry';
COMMENT ON COLUMN sessions.start_status IS 'of the version before: start_decision in its words';
COMMENT ON COLUMN sessions.stop_status IS 'of the version before: stop_decision in its words';

ALTER TABLE hub_sessions ADD COLUMN start_refusal text;
ALTER TABLE reservations ADD COLUMN start_refusal text;
UPDATE hub_sessions SET start_refusal = refusal_of_answer(start_answer)
WHERE start_answer IS NOT NULL;
UPDATE reservations SET start_refusal = refusal_of_answer(start_answer)
WHERE start_answer IS NOT NULL;
ALTER TABLE hub_sessions ADD CONSTRAINT hub_sessions_start_refusal_check CHECK (
    start_refusal IN (
        'evse_unknown', 'not_roaming', 'offline', 'out_of_service', 'in_use', 'reserved',
        'no_vehicle', 'not_offered', 'rejected', 'session_unknown', 'session_ended',
        'other_provider'));
ALTER TABLE reservations ADD CONSTRAINT reservations_start_refusal_check CHECK (
    start_refusal IN (
        'evse_unknown', 'not_roaming', 'offline', 'out_of_service', 'in_use', 'reserved',
        'no_vehicle', 'not_offered', 'rejected', 'session_unknown', 'session_ended',
        'other_provider'));
COMMENT ON COLUMN hub_sessions.start_answer IS 'as the hub was told, word for word';
COMMENT ON COLUMN reservations.start_answer IS 'as the hub was told, word for word';
COMMENT ON COLUMN hub_sessions.start_refusal IS 'charging.refusal.Refusal; NULL: not refused';
COMMENT ON COLUMN reservations.start_refusal IS 'charging.refusal.Refusal; NULL: not refused';
"""

# WHEN is looked at without calling the function, so what writes our words pays nearly nothing.
TRIGGERS = """
CREATE FUNCTION keep_evse_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.state := coalesce(evse_state_of(NEW.status), NEW.state, 'unknown');
    RETURN NEW;
END $$;
CREATE TRIGGER state_inserted BEFORE INSERT ON evses FOR EACH ROW
    WHEN (NEW.state IS NULL) EXECUTE FUNCTION keep_evse_state();
-- Only the reported word has changed; or two that are one state to us, which changes nothing here.
CREATE TRIGGER state_updated BEFORE UPDATE OF status ON evses FOR EACH ROW
    WHEN (NEW.status IS DISTINCT FROM OLD.status AND NEW.state = OLD.state)
    EXECUTE FUNCTION keep_evse_state();

CREATE FUNCTION keep_new_session_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.start_decision := coalesce(NEW.start_decision, decision_of(NEW.start_status), 'refused');
    NEW.start_status := coalesce(NEW.start_status, status_of_decision(NEW.start_decision));
    RETURN NEW;
END $$;
CREATE TRIGGER words_inserted BEFORE INSERT ON sessions FOR EACH ROW
    WHEN (NEW.start_decision IS NULL OR NEW.start_status IS NULL)
    EXECUTE FUNCTION keep_new_session_words();

CREATE FUNCTION keep_session_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.start_status <> OLD.start_status AND NEW.start_decision = OLD.start_decision THEN
        NEW.start_decision := coalesce(decision_of(NEW.start_status), 'refused');
    ELSIF NEW.start_decision <> OLD.start_decision AND NEW.start_status = OLD.start_status THEN
        NEW.start_status := status_of_decision(NEW.start_decision);
    END IF;
    IF NEW.stop_reason IS NOT NULL AND NEW.stop_cause IS NULL THEN
        NEW.stop_cause := coalesce(stop_cause_of(NEW.stop_reason), 'other');
    END IF;
    IF NEW.stop_status IS NOT NULL AND NEW.stop_decision IS NULL THEN
        NEW.stop_decision := coalesce(decision_of(NEW.stop_status), 'refused');
    ELSIF NEW.stop_decision IS NOT NULL AND NEW.stop_status IS NULL THEN
        NEW.stop_status := status_of_decision(NEW.stop_decision);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER words_updated BEFORE UPDATE ON sessions FOR EACH ROW
    WHEN (NEW.start_status <> OLD.start_status OR NEW.start_decision <> OLD.start_decision
          OR (NEW.stop_reason IS NOT NULL AND NEW.stop_cause IS NULL)
          OR (NEW.stop_status IS NULL) <> (NEW.stop_decision IS NULL))
    EXECUTE FUNCTION keep_session_words();

CREATE FUNCTION keep_start_refusal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.start_refusal := refusal_of_answer(NEW.start_answer);
    RETURN NEW;
END $$;
CREATE TRIGGER refusal_updated BEFORE UPDATE OF start_answer ON hub_sessions FOR EACH ROW
    WHEN (NEW.start_answer IS NOT NULL AND NEW.start_refusal IS NULL)
    EXECUTE FUNCTION keep_start_refusal();
CREATE TRIGGER refusal_updated BEFORE UPDATE OF start_answer ON reservations FOR EACH ROW
    WHEN (NEW.start_answer IS NOT NULL AND NEW.start_refusal IS NULL)
    EXECUTE FUNCTION keep_start_refusal();
"""

DOWNGRADE = """
DROP TRIGGER refusal_updated ON reservations;
DROP TRIGGER refusal_updated ON hub_sessions;
DROP TRIGGER words_updated ON sessions;
DROP TRIGGER words_inserted ON sessions;
DROP TRIGGER state_updated ON evses;
DROP TRIGGER state_inserted ON evses;
ALTER TABLE reservations DROP COLUMN start_refusal;
ALTER TABLE hub_sessions DROP COLUMN start_refusal;
ALTER TABLE sessions
    DROP COLUMN stop_decision, DROP COLUMN start_decision, DROP COLUMN stop_cause;
ALTER TABLE evses DROP COLUMN state;
ALTER TABLE charging_points DROP COLUMN ocpp_versions;
DROP FUNCTION keep_start_refusal(), keep_session_words(), keep_new_session_words(),
    keep_evse_state(), signed_readings(jsonb), refusal_of_answer(jsonb), status_of_decision(text),
    decision_of(text), stop_cause_of(text), evse_state_of(text);
COMMENT ON COLUMN evses.status IS NULL;
COMMENT ON COLUMN evses.error_code IS NULL;
COMMENT ON COLUMN sessions.stop_reason IS NULL;
COMMENT ON COLUMN sessions.start_status IS NULL;
COMMENT ON COLUMN sessions.stop_status IS NULL;
COMMENT ON COLUMN hub_sessions.start_answer IS NULL;
COMMENT ON COLUMN reservations.start_answer IS NULL;
"""


def upgrade() -> None:
    """Add our words and fill them."""
    op.execute(FUNCTIONS)
    op.execute(COLUMNS)
    op.execute(TRIGGERS)


def downgrade() -> None:
    """Take them away; the reported words hold all that the version before knows."""
    op.execute(DOWNGRADE)
