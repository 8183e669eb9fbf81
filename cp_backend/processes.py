"""Several nodes behind one port.

They are forked after everything is imported, started again when one dies, stopped together.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from charging.service.backoff import Backoff

_SHORT_LIFE_SECONDS = 5.0
_MAX_BACKOFF_SECONDS = 30.0

log = logging.getLogger(__name__)


def supervise(count: int, run_node: Callable[[int], int], ended: Callable[[int], None]) -> int:
    """Keep so many nodes running until SIGTERM or SIGINT; return the exit code.

    run_node: what a node does, in its own process, given its place from 0 on; its result is that
    process's exit code. ended: called with the place of a node that is gone, before another takes
    it.
    """
    # Objects that exist by now are shared by all nodes, as long as the collector, which writes
    # to what it looks at, leaves them alone.
    gc.collect()
    gc.freeze()
    nodes: dict[int, tuple[int, float]] = {}
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)
        for process_id in nodes:
            os.kill(process_id, number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for place in range(count):
        nodes[_fork(run_node, place)] = place, time.monotonic()
    backoff = Backoff(_MAX_BACKOFF_SECONDS, 0.2)
    while nodes:
        process_id, status = os.wait()
        place, started = nodes.pop(process_id, (-1, 0.0))
        if place < 0 or stopping:
            continue
        ended(place)
        code = os.waitstatus_to_exitcode(status)
        log.error("a node ended", extra={"process_id": process_id, "exit_code": code})
        if time.monotonic() - started < _SHORT_LIFE_SECONDS:
            time.sleep(backoff.seconds())
        else:
            backoff.reset()
        if not stopping:
            nodes[_fork(run_node, place)] = place, time.monotonic()
    return 0


def _fork(run_node: Callable[[int], int], place: int) -> int:
    process_id = os.fork()
    if process_id:
        return process_id
    # A Ctrl-C reaches the whole foreground group; the nodes get it once, from the parent.
    os.setpgrp()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = 1
    try:
        code = run_node(place)
    except BaseException:
        log.exception("node failed")
    finally:
        # Not sys.exit: what the parent registered for its own end is none of ours.
        os._exit(code)
