"""The least that answers a charging point: standard library, no check, no state."""

import json
from datetime import UTC, datetime


def answer(text):
    """Return the answer to a call, text to text."""
    _, message_id, action, _ = json.loads(text)
    now = datetime.now(UTC).isoformat()
    if action == "Heartbeat":
        payload = {"currentTime": now}
    elif action == "BootNotification":
        payload = {"status": "Accepted", "currentTime": now, "interval": 300}
    elif action == "StartTransaction":
        payload = {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}
    else:
        payload = {}
    return json.dumps([3, message_id, payload])
