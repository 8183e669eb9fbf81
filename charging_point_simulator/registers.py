"""The meters' registers, kept from run to run, as a meter keeps them without power.

A file for each charging point. A register never goes back, whichever run wrote it last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path


class Registers:
    """The registers of many charging points in a directory. None: nothing is kept."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def load(self, identity: str) -> dict[int, float]:
        """Return a charging point's registers by connector, in Wh; empty for a new one."""
        if self._directory is None:
            return {}
        try:
            kept = json.loads(self._file(identity).read_text())
            return {int(number): float(wh) for number, wh in kept.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def save(self, identity: str, registers: dict[int, float]) -> None:
        """Keep a charging point's registers; without a writable directory, nothing is kept."""
        if self._directory is None:
            return
        file = self._file(identity)
        part = file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({str(n): round(wh, 3) for n, wh in registers.items()}))
            part.replace(file)

    def _file(self, identity: str) -> Path:
        assert self._directory is not None
        return self._directory / f"{re.sub(r'[^A-Za-z0-9_-]', '_', identity)}.json"
