"""What processes cost: CPU seconds and proportional memory, from /proc."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
CPU_EVERY_SECONDS = 1.0
MEMORY_EVERY = 5


def children(process_id: int) -> list[int]:
    """Return the process ids of a process's children; none where it is gone."""
    try:
        listed = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in listed.split()]


def family(process_id: int) -> list[int]:
    """Return a process and all below it."""
    members = [process_id]
    for member in members:
        members += children(member)
    return members


def cpu_seconds(process_id: int) -> float:
    """Return the CPU time of a process and all below it, those that have ended included."""
    total = 0
    for member in family(process_id):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        # utime, stime; then those of the children it has waited for.
        total += sum(map(int, fields[11:15]))
    return total / _TICKS


def machine_cpu_seconds() -> float:
    """Return the CPU time of everything on this machine since it started, idling not counted."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _waiting, interrupts, soft, _stolen = fields
    return (user + nice + system + interrupts + soft) / _TICKS


def memory_bytes(process_id: int) -> int:
    """Return the proportional set size of a process and all below it."""
    return sum(map(process_memory_bytes, family(process_id)))


def process_memory_bytes(process_id: int) -> int:
    """Return the proportional set size of one process: what is shared counts in parts."""
    try:
        for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def describe() -> str:
    """Say what machine this is, and not which."""
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "CPU of unknown make",
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores ({model}), {memory_kib / 2**20:.0f} GiB, "
        f"Linux {os.uname().release.partition('-')[0]}"
    )


@dataclass
class Series:
    """What was seen over time: seconds since the begin, and a value for each."""

    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, second: float, value: float) -> None:
        """Append one."""
        self.seconds.append(second)
        self.values.append(value)


class Watch:
    """Samples families of processes in the background. CPU is in parts of one core.

    families: name → its head; others: name → something else to look at once a second.
    """

    def __init__(
        self, families: Mapping[str, int], others: Mapping[str, Callable[[], float]]
    ) -> None:
        self.began = time.monotonic()
        self.cpu = {name: Series() for name in families}
        self.memory = {name: Series() for name in families}
        self.others = {name: Series() for name in others}
        self.marks: list[tuple[float, str]] = []
        self._families = families
        self._looks = others
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def mark(self, text: str) -> None:
        """Note that something begins now."""
        self.marks.append((time.monotonic() - self.began, text))

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        before = {name: cpu_seconds(head) for name, head in self._families.items()}
        then = time.monotonic()
        turn = 0
        while not self._end.wait(CPU_EVERY_SECONDS):
            now = time.monotonic()
            second = now - self.began
            for name, head in self._families.items():
                used = cpu_seconds(head)
                self.cpu[name].add(second, max(0.0, used - before[name]) / (now - then))
                before[name] = used
                if turn % MEMORY_EVERY == 0:
                    self.memory[name].add(second, memory_bytes(head))
            for name, look in self._looks.items():
                self.others[name].add(second, look())
            then = now
            turn += 1
