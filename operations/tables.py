"""Files that an operator hands in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from charging.tables import MAX_FAULTS, Fault, Row, TableError
from operations.output import OperationError

Rows = list[tuple[int, Row]]


def read_file(
    path: Path, read: Callable[[str], tuple[Rows, list[Fault]]]
) -> tuple[Rows, list[Fault]]:
    """Read a table from a CSV or JSON file. Raises OperationError for what is none."""
    try:
        return read(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OperationError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OperationError(f"{path} is not UTF-8; save it as 'CSV UTF-8'") from None
    except TableError as error:
        raise OperationError(f"{path}: {error}") from None


def refuse(path: Path, faults: Sequence[Fault]) -> None:
    """Raise OperationError with each fault's place, if there are any."""
    if not faults:
        return
    told = [f"  {fault}" for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        told.append(f"  … and {len(faults) - MAX_FAULTS} more")
    raise OperationError(
        f"{path}: nothing was imported, {len(faults)} things are wrong:\n" + "\n".join(told)
    )
