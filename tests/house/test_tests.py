"""Rules of the house for tests."""

from __future__ import annotations

import ast

from tests.house.tree import TESTS, parsed, relative

# The one place that waits by looking again and again.
WAITING = "tests/waiting.py"


def calls(file):
    """The calls of a module: (name as it is written, arguments)."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), [ast.unparse(one) for one in node.args]


def imports(file):
    """The names that a module imports, whole: ``tests.rows.EVSE``."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_tests_wait_for_something_and_never_for_time():
    """``asyncio.sleep(0)`` is no wait: it lets the event loop have a turn."""
    sleeps = {
        f"{relative(file)}: {name}({', '.join(arguments)})"
        for file in TESTS
        if relative(file) != WAITING
        for name, arguments in calls(file)
        if name.split(".")[-1] == "sleep" and arguments != ["0"]
    }
    assert sleeps == set()


def test_tests_do_not_mock_our_own_code():
    mocks = {
        relative(file)
        for file in TESTS
        if any(name.endswith(("monkeypatch.setattr", "MagicMock")) for name, _ in calls(file))
        or any(name.startswith(("unittest.mock", "mock", "pytest_mock")) for name in imports(file))
    }
    assert mocks == set()


def test_what_tests_share_is_in_plain_modules():
    """A conftest and a test module are pytest's to import; fixtures are found, not imported."""
    wrong = {
        f"{relative(file)}: {name}"
        for file in TESTS
        for name in imports(file)
        if name.startswith("tests.")
        and any(part == "conftest" or part.startswith("test_") for part in name.split(".")[:-1])
    }
    assert wrong == set()


def test_no_two_test_modules_have_one_name():
    """pytest takes the second for the first, and stops."""
    names = [file.name for file in TESTS if file.name.startswith("test_")]
    assert sorted(set(names)) == sorted(names)
