"""Runs seams: makes inputs, keeps those with a new outcome, notes what no input may bring about."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.fuzzing.database_seam import Database
from tests.fuzzing.hub_seams import HubAnswers, HubBytes, HubRequests
from tests.fuzzing.seams import Answers, Calls, Frames, Openings, Seam, WebSocket

CORPUS = Path(__file__).parent / "corpus"
"""A file a seam, an input a line in base64: each once brought a defect about."""
VERSIONS = ("1.6", "2.0.1", "2.1")
SLOW_SECONDS = 2.0
_FROM_POOL = 0.3
_POOL = 400
_MOST_DEFECTS = 20


def seams(random: Random, database_url: str | None) -> dict[str, Callable[[], Seam]]:
    """Return how to make each seam, by name; those with a database only where there is one."""
    made: dict[str, Callable[[], Seam]] = {"frames": lambda: Frames(random)}
    for version in VERSIONS:
        made[f"calls {version}"] = partial(Calls, random, version)
        made[f"answers {version}"] = partial(Answers, random, version)
        if database_url is not None:
            made[f"database {version}"] = partial(Database, random, version, database_url)
    return made | {
        "websocket": lambda: WebSocket(random),
        "handshakes": lambda: Openings(random),
        "hub requests": lambda: HubRequests(random),
        "hub answers": lambda: HubAnswers(random),
        "hub bytes": lambda: HubBytes(random),
    }


@dataclass
class Report:
    """What came of a seam. outcomes: how often each; defects: (what, the input)."""

    name: str
    executions: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    defects: list[tuple[str, bytes]] = field(default_factory=list)


def run(
    seam: Seam, random: Random, *, seconds: float | None = None, count: int | None = None
) -> Report:
    """Try inputs for a time, or so many."""
    report, pool = Report(seam.name), list(corpus(seam.name))
    began = time.monotonic()
    while (seconds is None or time.monotonic() - began < seconds) and (
        count is None or report.executions < count
    ):
        data = seam.make()
        if pool and random.random() < _FROM_POOL and not isinstance(seam, Database):
            data = seam._mutator.bytes_changed(random.choice(pool))  # type: ignore[attr-defined]
        tried_at = time.monotonic()
        try:
            outcome = seam.try_one(data)
            if time.monotonic() - tried_at > SLOW_SECONDS:
                raise TimeoutError("one input took too long")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked for
            report.defects.append((f"{type(error).__name__}: {error}", data))
            if len(report.defects) >= _MOST_DEFECTS:
                break
            outcome = "defect"
        report.executions += getattr(seam, "at_once", 1)
        if outcome not in report.outcomes and len(pool) < _POOL:
            pool.append(data)
        if outcome in report.outcomes or len(report.outcomes) < _POOL:
            report.outcomes[outcome] += 1
    report.seconds = time.monotonic() - began
    return report


def corpus(name: str) -> Iterator[bytes]:
    """Yield a seam's inputs that once brought a defect about."""
    file = CORPUS / f"{name.replace(' ', '-')}.txt"
    if file.exists():
        for line in file.read_text().split():
            yield base64.b64decode(line)
