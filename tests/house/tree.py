"""The project's files, as git has them, for the tests that read them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
DOCUMENTS = [file for file in FILES if file.suffix == ".md"]
MODULES = [file for file in FILES if file.suffix == ".py"]
TESTS = [file for file in MODULES if file.relative_to(ROOT).parts[0] == "tests"]
# What runs and what brings it to its place; neither tests nor other people's servers.
CODE = [
    file
    for file in MODULES
    if file not in TESTS and not file.is_relative_to(ROOT / "scripts/capacity/peers")
]


def relative(file: Path) -> str:
    """Return a file's path as the project names it."""
    return file.relative_to(ROOT).as_posix()


def room(file: Path) -> str:
    """Return the first folder of a file's path."""
    return file.relative_to(ROOT).parts[0]


@cache
def parsed(file: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(file.read_text(), relative(file))
