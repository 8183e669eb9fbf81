"""SQL that several programs need has one home each in charging/database."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("charging", "cp_backend", "third_party_backend", "operations", "scripts")

HOMES = {
    "INSERT INTO events": "charging/database/events.py",
    "INSERT INTO audit": "charging/database/audit.py",
    "INSERT INTO commands": "charging/database/commands.py",
    "UPDATE commands": ("charging/database/commands.py", "charging/database/following.py"),
    r"heartbeat_at\s*[<>]": "charging/database/presence.py",
    r"psycopg\.(AsyncConnection\.)?connect\(": "charging/database/connection.py",
}


@pytest.mark.parametrize("pattern", HOMES)
def test_there_is_one_home(pattern):
    found = {
        str(file.relative_to(ROOT))
        for program in PROGRAMS
        for file in (ROOT / program).rglob("*.py")
        if "migrations" not in file.parts and re.search(pattern, file.read_text())
    }
    home = HOMES[pattern]
    assert found == ({home} if isinstance(home, str) else set(home))
