"""A command to a charging point and its result: one row of `commands`, a row with a life.

queued (someone asked) → sent (the node that owns the socket took it) → answered, or expired
when nobody answered by its deadline. Only the state `sent` can become `answered`, so an answer
that comes after the asker gave up never changes what the asker was told.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

COMMANDS_CHANNEL = "commands"
"""NOTIFY channel that wakes the nodes; the payload is the charging point's id."""

COMMAND_ANSWERS_CHANNEL = "command_answers"
"""NOTIFY channel that wakes whoever waits; the payload is the command's id."""


class CommandKind(StrEnum):
    """What can be asked of a charging point.

    The arguments (a JSON object) of each:

    - remote_start: ``{"evse_number": int, "id_tag": str}``
    - remote_stop: ``{"session_id": int}``
    - reserve: ``{"evse_number": int, "id_tag": str, "reservation_id": int, "expires_at": str}``,
      the last in ISO 8601 with an offset
    - cancel_reservation: ``{"reservation_id": int}``
    """

    REMOTE_START = "remote_start"
    REMOTE_STOP = "remote_stop"
    RESERVE = "reserve"
    CANCEL_RESERVATION = "cancel_reservation"


class CommandState(StrEnum):
    """The life of a command."""

    QUEUED = "queued"
    SENT = "sent"
    ANSWERED = "answered"
    EXPIRED = "expired"


class Outcome(StrEnum):
    """How a command ended, in the business's words; the node translates from OCPP."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    OFFLINE = "offline"
    """The socket went away before an answer."""
    TIMEOUT = "timeout"
    """The charging point is connected and did not answer in time."""
    FAILED = "failed"
    """The charging point answered with an error; `detail` says which."""
    OCCUPIED = "occupied"
    """A vehicle stands at the EVSE."""
    OUT_OF_SERVICE = "out_of_service"
    """The EVSE is faulted or was switched off."""
    NOT_OFFERED = "not_offered"
    """The charging point does not do such a thing at all."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The answer to a command. detail: one sentence for a person, empty when all is well."""

    outcome: Outcome
    detail: str = ""
