"""`make fuzz`: wrong messages at every seam for a time; prints what was tried and found."""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
from contextlib import ExitStack
from random import Random

from scripts.world import new_database
from tests.fuzzing.run import Report, run, seams


def main() -> int:
    """Run the command line; return 0, or 1 when something was found."""
    options = _parser().parse_args()
    os.nice(10)
    seed = options.seed if options.seed is not None else Random().randrange(2**32)
    print(f"seed {seed}", flush=True)
    random = Random(seed)
    asyncio.set_event_loop(asyncio.new_event_loop())
    reports: list[Report] = []
    with ExitStack() as stack:
        url = None if options.without_database else stack.enter_context(new_database("fuzz"))
        wanted = {name: make for name, make in seams(random, url).items() if options.seam in name}
        for make in wanted.values():
            seam = make()
            reports.append(run(seam, random, seconds=options.seconds / len(wanted)))
            _print(reports[-1])
            if hasattr(seam, "close"):
                seam.close()
    found = sum(len(report.defects) for report in reports)
    print(f"{sum(r.executions for r in reports):,} executions, {found} defects")
    return 1 if found else 0


def _print(report: Report) -> None:
    pace = report.executions / max(report.seconds, 1e-9)
    print(
        f"{report.name:16} {report.executions:>10,} executions, {pace:>8,.0f} a second,"
        f" {len(report.outcomes):>4} outcomes, {len(report.defects)} defects",
        flush=True,
    )
    for what, data in {what[:80]: (what, data) for what, data in report.defects}.values():
        print(f"  {what[:400]}\n  {base64.b64encode(data).decode()[:2_000]}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all seams together")
    parser.add_argument("--seed", type=int, help="of a run that is to be repeated")
    parser.add_argument("--seam", default="", help="only those with this in their name")
    parser.add_argument("--without-database", action="store_true", help="leave those out")
    return parser


if __name__ == "__main__":
    sys.exit(main())
