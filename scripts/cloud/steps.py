"""The steps of a deployment, each printed with what it did and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

NO_CHANGES = "no changes"

Work = Callable[[], str]
"""A step of a deployment; returns in a few words what it did, or NO_CHANGES."""


def run(steps: Mapping[str, Work], end: str) -> None:
    """Do steps in order, printing what each did and how long it took, and `end` at the end."""
    began = time.monotonic()
    changed = False
    for place, (name, work) in enumerate(steps.items(), 1):
        print(f"{place:2}/{len(steps)} {name:<24} ", end="", flush=True)
        step_began = time.monotonic()
        try:
            result = work()
        except BaseException:
            print("stopped", flush=True)
            raise
        changed |= not result.startswith(NO_CHANGES)
        print(f"{result} ({time.monotonic() - step_began:.1f} s)", flush=True)
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{end} in {took}." if changed else f"Nothing changed; {took}.", flush=True)
