"""Files that an operator hands in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from operations.errors import InvalidError, OperationError, TableFaultsError

Result = TypeVar("Result")


def import_file(path: Path, take: Callable[[str], Result]) -> Result:
    """Take a file's text; errors name the file. Raises OperationError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidError(f"{path} is not UTF-8; save it as 'CSV UTF-8'") from None
    try:
        return take(text)
    except (InvalidError, TableFaultsError) as error:
        raise OperationError(f"{path}: {error}") from None
