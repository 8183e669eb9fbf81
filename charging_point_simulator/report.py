"""What happened, as the charging points saw it: to be held against what the backend recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_PERCENTILES = (50, 95, 99)


@dataclass
class SessionRecord:
    """One charging session. Energy and registers in Wh; times ISO 8601 UTC.

    transaction_id: the central system's number, in 2.x the charging point's own name.
    """

    identity: str
    connector: int
    id_tag: str
    meter_start_wh: int
    started_at: str
    transaction_id: int | str | None = None
    meter_stop_wh: int | None = None
    stopped_at: str | None = None
    meter_values_acknowledged: int = 0
    start_acknowledged: bool = False
    stop_acknowledged: bool = False
    remote: bool = False
    stop_reason: str | None = None

    @property
    def energy_wh(self) -> int:
        """What the car took."""
        return (self.meter_stop_wh or self.meter_start_wh) - self.meter_start_wh

    @property
    def complete(self) -> bool:
        """Whether the backend has acknowledged all of it."""
        return self.start_acknowledged and self.stop_acknowledged


@dataclass
class Report:
    """The outcome of a run."""

    charging_points: int
    sessions: list[SessionRecord] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Charging point → why it failed."""
    latencies: dict[str, list[float]] = field(default_factory=dict)
    violations: Counter[str] = field(default_factory=Counter)
    """What of the backend's messages was against the standard → how often."""
    connections: int = 0
    reconnects: int = 0
    closes: Counter[str] = field(default_factory=Counter)
    """How the backend ended connections (a close code, or `cut` without one) → how often."""
    seconds: float = 0.0

    def latency(self, action: str, seconds: float) -> None:
        """Note how long an answer took."""
        self.latencies.setdefault(action, []).append(seconds)

    def violation(self, identity: str, text: str) -> None:
        """Note a message of the backend that is against the standard."""
        self.violations[text] += 1

    @property
    def energy_wh(self) -> int:
        """All energy of all sessions."""
        return sum(session.energy_wh for session in self.sessions)

    @property
    def complete_sessions(self) -> int:
        """How many sessions the backend has acknowledged wholly."""
        return sum(session.complete for session in self.sessions)

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "charging_points": self.charging_points,
            "failed": len(self.failures),
            "failures": self.failures,
            "sessions_complete": self.complete_sessions,
            "energy_wh": self.energy_wh,
            "violations": dict(self.violations),
            "connections": self.connections,
            "reconnects": self.reconnects,
            "closes": dict(self.closes),
            "seconds": round(self.seconds, 3),
            "latency_ms": {
                action: _percentiles(values) for action, values in sorted(self.latencies.items())
            },
            "sessions": [
                {**asdict(session), "energy_wh": session.energy_wh} for session in self.sessions
            ],
        }

    def write(self, file: Path) -> None:
        """Write the report as a JSON file. Raises OSError."""
        file.write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def summary(self) -> str:
        """Return the report in one line."""
        return (
            f"{self.charging_points} charging points, {self.complete_sessions} of "
            f"{len(self.sessions)} sessions complete, {self.energy_wh / 1000:.3f} kWh, "
            f"{self.reconnects} reconnects, {len(self.failures)} failed, {self.seconds:.1f} s"
        )


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"count": len(ordered)} | {
        f"p{p}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 3)
        for p in _PERCENTILES
    }
