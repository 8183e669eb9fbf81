"""A command to a charging point and its result: one row of `commands`, a row with a life.

queued (someone asked) → sent (the node that owns the socket took it) → answered, or expired
when nobody answered by its deadline. Only the state `sent` can become `answered`, so an answer
that comes after the asker gave up never changes what the asker was told.

An accepted command is not yet carried out: a start is done when its session begins, a reset when
the charging point boots. `intents` says what each kind asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

COMMANDS_CHANNEL = "commands"
"""NOTIFY channel that wakes the nodes; the payload is the charging point's id."""

COMMAND_ANSWERS_CHANNEL = "command_answers"
"""NOTIFY channel that wakes whoever waits; the payload is the command's id."""


class CommandKind(StrEnum):
    """What can be asked of a charging point; `intents.INTENTS` has the arguments of each."""

    REMOTE_START = "remote_start"
    REMOTE_STOP = "remote_stop"
    RESERVE = "reserve"
    CANCEL_RESERVATION = "cancel_reservation"
    UNLOCK = "unlock"
    RESET = "reset"
    SET_AVAILABILITY = "set_availability"
    READ_SETTINGS = "read_settings"
    WRITE_SETTINGS = "write_settings"
    CLEAR_CACHE = "clear_cache"
    SEND_LOCAL_LIST = "send_local_list"
    READ_LOCAL_LIST_VERSION = "read_local_list_version"
    SET_PROFILE = "set_profile"
    CLEAR_PROFILES = "clear_profiles"
    READ_SCHEDULE = "read_schedule"
    TRIGGER = "trigger"
    UPDATE_FIRMWARE = "update_firmware"
    UPLOAD_LOG = "upload_log"
    INSTALL_CERTIFICATE = "install_certificate"
    DELETE_CERTIFICATE = "delete_certificate"
    READ_CERTIFICATES = "read_certificates"
    SET_CERTIFICATE = "set_certificate"
    SET_PASSWORD = "set_password"  # noqa: S105 - a word, no password
    SEND_DATA = "send_data"
    CALL = "call"

    @property
    def followed(self) -> bool:
        """Whether what it asks goes on after it was accepted, so that its end is waited for."""
        return self in DONE_WITHIN_SECONDS


DONE_WITHIN_SECONDS = {
    # A driver has to plug in; charging points wait a minute or a few (ConnectionTimeOut).
    CommandKind.REMOTE_START: 600,
    CommandKind.REMOTE_STOP: 600,
    CommandKind.RESET: 1800,
    CommandKind.SET_AVAILABILITY: 300,
    CommandKind.TRIGGER: 120,
    # From the time at which it is to be fetched or installed.
    CommandKind.UPDATE_FIRMWARE: 6 * 3600,
    CommandKind.UPLOAD_LOG: 2 * 3600,
}
"""Kinds that go on after they were accepted; what is not seen done in this time is unknown."""

SCHEDULED_SECONDS = 24 * 3600
"""The same for what waits for the end of a running session."""


class CommandState(StrEnum):
    """The life of a command."""

    QUEUED = "queued"
    SENT = "sent"
    ANSWERED = "answered"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """A newer command took its place before a node had taken it."""


class Done(StrEnum):
    """How it ended what a command asked, once it was accepted (or before the answer came)."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The charging point never reported it."""


class Outcome(StrEnum):
    """How a command ended, in the business's words; the node translates from OCPP."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    """Accepted, and done when the running session ends."""
    REBOOT_REQUIRED = "reboot_required"
    """Accepted, and in force after the next restart."""
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
    INVALID = "invalid"
    """It cannot be asked so: `detail` names the member at fault. Nothing was sent."""

    @property
    def accepted(self) -> bool:
        """Whether the charging point does, or will do, what was asked."""
        return self in (Outcome.ACCEPTED, Outcome.SCHEDULED, Outcome.REBOOT_REQUIRED)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a charging point tells it, or as it has taken it.

    value: None where it is secret. readonly: None where it does not say. after_restart: it was
    taken, and is in force after the next restart. offered: whether it has such a setting at all.
    """

    name: str
    value: str | None = None
    readonly: bool | None = None
    after_restart: bool = False
    offered: bool = True


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The answer to a command.

    detail: one sentence for a person, empty when all is well. answer: the payloads of the charging
    point's answers as they came, one a call that was sent; JSON values. sent: whether a call went
    out at all. settings: what the answers tell of the charging point's settings.
    """

    outcome: Outcome
    detail: str = ""
    answer: tuple[Any, ...] = ()
    sent: bool = True
    settings: tuple[Setting, ...] = ()

    @property
    def open(self) -> bool:
        """Whether what was asked may still be done: accepted, or sent and not answered."""
        unanswered = self.outcome in (Outcome.OFFLINE, Outcome.TIMEOUT)
        return self.outcome.accepted or (self.sent and unanswered)
