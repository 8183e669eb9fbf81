"""Commands that a simulated charging point rejects, leaves unanswered, or answers late or wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from charging_point_simulator.schemas import SCHEMAS
from charging_point_simulator.station.calls import CallError

LATE_SECONDS = 40.0
MODES = ("reject", "silent", "late", "wrong")

# The refusal that each answer's schema has, where it is not `Rejected`; an action that 1.6 and 2.x
# share refuses alike in both but for those of the second table.
_REFUSALS: dict[str, dict[str, Any]] = {
    "ClearDisplayMessage": {"status": "Unknown"},
    "ClearChargingProfile": {"status": "Unknown"},
    "DeleteCertificate": {"status": "Failed"},
    "GetChargingProfiles": {"status": "NoProfiles"},
    "GetDiagnostics": {},
    "GetDisplayMessages": {"status": "Unknown"},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "GetLocalListVersion": {"listVersion": -1},
    "SendLocalList": {"status": "Failed"},
    "GetTransactionStatus": {"messagesInQueue": False},
    "UnlockConnector": {"status": "UnlockFailed"},
    "UnpublishFirmware": {"status": "NoFirmware"},
}
_REFUSALS_2: dict[str, dict[str, Any]] = {"GetLocalListVersion": {"versionNumber": 0}}
# Their answers have no way to refuse.
_REFUSED_BY_ERROR = {
    "1.6": ("GetConfiguration", "UpdateFirmware"),
    "2": (
        *("ClearVariableMonitoring", "CostUpdated", "GetVariables", "SetVariableMonitoring"),
        "SetVariables",
    ),
}


@dataclass(frozen=True)
class Fault:
    """How a command is answered. answer: makes the answer, None for the right one."""

    answer: Callable[[str], dict[str, Any]] | None = None
    silent: bool = False
    delay_seconds: float = 0.0


class Faults:
    """What is wrong with which command. version: of OCPP, in which they are answered."""

    def __init__(self, faults: Mapping[str, Fault], version: str = "1.6") -> None:
        self.version = version
        self._faults = dict(faults)

    def of(self, action: str) -> Fault | None:
        """Return what is wrong with a command, None for nothing."""
        return self._faults.get(action)

    def set(self, action: str, fault: Fault) -> None:
        """Let something be wrong with a command."""
        self._faults[action] = fault


def refusal(action: str, version: str = "1.6") -> dict[str, Any]:
    """Return the answer that refuses a command. Raises CallError where only an error can."""
    if action in _REFUSED_BY_ERROR["1.6" if version == "1.6" else "2"]:
        raise CallError("NotSupported", "refused, as asked for")
    if version != "1.6" and action in _REFUSALS_2:
        return _REFUSALS_2[action]
    return _REFUSALS.get(action, {"status": "Rejected"})


def nonsense(action: str) -> dict[str, Any]:
    """Return an answer that no schema allows."""
    return {"status": "Perhaps", "configurationKey": "none", "listVersion": "one"}


def read_faults(words: Sequence[str], version: str = "1.6") -> Faults:
    """Read ``Action=mode`` words, ``late`` with ``:seconds``. Raises ValueError."""
    faults = {}
    for word in words:
        action, _, mode = word.partition("=")
        mode, _, seconds = mode.partition(":")
        if action not in SCHEMAS[version].actions:
            raise ValueError(f"--answer {word}: OCPP {version} has no action {action!r}")
        if mode not in MODES or (seconds and mode != "late"):
            raise ValueError(f"--answer {word}: expected {'|'.join(MODES)}, or late:SECONDS")
        faults[action] = {
            "reject": Fault(answer=partial(refusal, version=version)),
            "silent": Fault(silent=True),
            "wrong": Fault(answer=nonsense),
        }.get(mode) or Fault(delay_seconds=_seconds(word, seconds))
    return Faults(faults, version)


def _seconds(word: str, text: str) -> float:
    try:
        seconds = float(text or LATE_SECONDS)
    except ValueError:
        raise ValueError(f"--answer {word}: {text!r} is no number of seconds") from None
    if seconds <= 0:
        raise ValueError(f"--answer {word}: the seconds must be positive")
    return seconds
