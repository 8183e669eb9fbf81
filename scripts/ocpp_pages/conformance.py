"""docs/conformance.md: the Open Charge Alliance's test cases for central systems, and ours of them.

The list is that of OCPP 1.6's Compliancy Testing Tool, section on central systems: numbers and
names alone. A case has passed where `tests/conformance` has a test of its number, which runs with
all others; one that cannot be tried here has its reason in `NOT_TRIED`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/conformance.md"
TESTS = ROOT / "tests/conformance"

CASES: dict[str, dict[str, str]] = {
    "Core": {
        "TC_001_CSMS": "Cold boot",
        "TC_003_CSMS": "Regular session, plug in first",
        "TC_004_1_CSMS": "Regular session, identification first",
        "TC_004_2_CSMS": "Identification first, connection times out",
        "TC_005_1_CSMS": "Disconnected at the vehicle's side",
        "TC_007_CSMS": "Regular start with a cached id",
        "TC_010_CSMS": "Remote start, cable plugged in first",
        "TC_011_1_CSMS": "Remote start first",
        "TC_011_2_CSMS": "Remote start, time out",
        "TC_012_CSMS": "Remote stop",
        "TC_013_CSMS": "Hard reset",
        "TC_014_CSMS": "Soft reset",
        "TC_017_1_CSMS": "Unlock, no session, cable not fixed",
        "TC_017_2_CSMS": "Unlock, no session, fixed cable",
        "TC_018_1_CSMS": "Unlock with a session, cable not fixed",
        "TC_019_1_CSMS": "Read all configuration keys",
        "TC_019_2_CSMS": "Read one configuration key",
        "TC_021_CSMS": "Change a configuration key",
        "TC_023_1_CSMS": "Authorize, invalid",
        "TC_023_2_CSMS": "Authorize, expired",
        "TC_023_3_CSMS": "Authorize, blocked",
        "TC_024_CSMS": "Start, the connector's lock fails",
        "TC_026_CSMS": "Remote start, rejected",
        "TC_028_CSMS": "Remote stop, rejected",
        "TC_030_CSMS": "Unlock, failure",
        "TC_031_CSMS": "Unlock, unknown connector",
        "TC_032_1_CSMS": "Power failure, boot, stop of sessions",
        "TC_037_1_CSMS": "Offline start, valid id",
        "TC_037_3_CSMS": "Offline start, invalid id",
        "TC_039_CSMS": "Offline session",
        "TC_040_1_CSMS": "Configuration key, not supported",
        "TC_040_2_CSMS": "Configuration key, invalid value",
        "TC_061_CSMS": "Clear the authorization cache",
        "TC_064_CSMS": "Data transfer to a central system",
    },
    "Local authorization list": {
        "TC_042_1_CSMS": "List version, not supported",
        "TC_042_2_CSMS": "List version, empty",
        "TC_043_1_CSMS": "Send list, not supported",
        "TC_043_3_CSMS": "Send list, failed",
        "TC_043_4_CSMS": "Send list, full",
        "TC_043_5_CSMS": "Send list, differential",
    },
    "Firmware": {
        "TC_044_1_CSMS": "Firmware update, downloaded and installed",
        "TC_044_2_CSMS": "Firmware update, download failed",
        "TC_044_3_CSMS": "Firmware update, installation failed",
        "TC_045_1_CSMS": "Diagnostics",
        "TC_045_2_CSMS": "Diagnostics, upload failed",
    },
    "Reservation": {
        "TC_046_CSMS": "Of a connector, used",
        "TC_047_CSMS": "Of a connector, expired",
        "TC_048_1_CSMS": "Of a connector, faulted",
        "TC_048_2_CSMS": "Of a connector, occupied",
        "TC_048_3_CSMS": "Of a connector, unavailable",
        "TC_048_4_CSMS": "Of a connector, rejected",
        "TC_049_CSMS": "Of a charging point, used",
        "TC_051_CSMS": "Cancelled",
        "TC_052_CSMS": "Cancel, rejected",
        "TC_053_CSMS": "Used by a token of the same group",
    },
    "Remote trigger": {
        "TC_054_CSMS": "Trigger a message",
        "TC_055_CSMS": "Trigger a message, rejected",
    },
    "Smart charging": {
        "TC_056_CSMS": "Default profile of sessions",
        "TC_057_CSMS": "Profile of a session",
        "TC_059_CSMS": "Remote start with a profile",
        "TC_066_CSMS": "Composite schedule",
        "TC_067_CSMS": "Clear profiles",
    },
    "Security": {
        "TC_073_CSMS": "Change a charging point's password",
        "TC_074_CSMS": "Renew a charging point's certificate",
        "TC_075_1_CSMS": "Install a manufacturer's root certificate",
        "TC_075_2_CSMS": "Install a central system's root certificate",
        "TC_076_CSMS": "Delete a certificate",
        "TC_077_CSMS": "Security event, invalid charging point certificate",
        "TC_078_CSMS": "Security event, invalid central system certificate",
        "TC_079_CSMS": "Security log",
        "TC_080_CSMS": "Signed firmware update",
        "TC_081_CSMS": "Signed firmware update, invalid signature",
        "TC_083_CSMS": "Raise the security profile",
        "TC_085_CSMS": "Basic authentication",
        "TC_086_CSMS": "TLS with a server's certificate",
        "TC_087_CSMS": "TLS with a client's certificate",
        "TC_088_CSMS": "Choice of the subprotocol",
    },
}
"""Profile → number → what it is about."""

NOT_TRIED: dict[str, str] = {}
"""Number → why it is not tried here."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A test of a case. fails: why it is expected to fail; None: it passes. file: its name."""

    file: str
    fails: str | None


def tried() -> dict[str, Tried]:
    """Return the tests of cases, by number, as `tests/conformance` has them."""
    found = {}
    for file in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                number = number_of(node.name)
                if number is not None:
                    found[number] = Tried(file.name, _expected_failure(node))
    return found


def number_of(test: str) -> str | None:
    """Return the case of a test's name, such as ``test_tc_004_1_csms``; None: it is of none."""
    match = re.fullmatch(r"test_(tc_\d{3}(_\d)?_csms)(_\w+)?", test)
    return match[1].upper() if match else None


def _expected_failure(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.xfail":
            return next(str(ast.literal_eval(k.value)) for k in decorator.keywords)
    return None


def text() -> str:
    """Return the page."""
    tests = tried()
    numbers = [number for cases in CASES.values() for number in cases]
    passed = sum(number in tests and tests[number].fails is None for number in numbers)
    sections = "\n".join(_section(profile, tests) for profile in CASES)
    return f"""# Conformance

<!-- Written by `make ocpp-pages` from tests/conformance; a test keeps it true. -->

The Open Charge Alliance's test cases of central systems for OCPP 1.6, by the numbers of its Compliancy Testing Tool: **{passed} of {len(numbers)} pass**. Each is a test of its number in [tests/conformance](../tests/conformance), run with all others: a charging point over a real socket against a node and a database, held to the standard (`strict`), and whatever a case asks of an operator goes through the same functions as the command line. They are our own tests of what those cases ask for; the tool itself has not been run against this backend, and no certificate has been asked for.

[OCPP: what happens with each action](ocpp.md) has the actions.

{sections}"""


def _section(profile: str, tests: dict[str, Tried]) -> str:
    lines = [f"## {profile}", "", "| Case | About | Result |", "|---|---|---|"]
    for number, about in CASES[profile].items():
        lines.append(f"| {number} | {about} | {_result(number, tests.get(number))} |")
    return "\n".join(lines) + "\n"


def _result(number: str, test: Tried | None) -> str:
    if test is None:
        return f"not tried: {NOT_TRIED.get(number, 'no test yet')}"
    passes = f"passes, `{test.file}`"
    return passes if test.fails is None else f"fails: {test.fails}"
