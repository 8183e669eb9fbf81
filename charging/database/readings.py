"""The registers that were read in sessions, for whoever ends one without its stop."""

READINGS = """
SELECT m.session_id, m.sampled_at, m.energy_wh
FROM meter_values AS m
JOIN sessions AS s USING (session_id, charging_point_id)
WHERE m.session_id = ANY(%s) AND m.energy_wh IS NOT NULL
  AND m.sampled_at <= coalesce((
      SELECT min(l.started_at) FROM sessions AS l
      WHERE l.charging_point_id = s.charging_point_id AND l.evse_number = s.evse_number
        AND l.started_at > s.started_at), 'infinity')
"""
"""session_id, time and register. Not those after the next session's start at the EVSE: one of a
session whose start was lost is taken for one of the session that was open."""
