"""A stack's module has the stack's name, and names have one home."""

import re
from pathlib import Path

import pytest

from templates import stacks
from templates.__main__ import GENERATED, STACKS
from templates.naming import (
    host_name,
    log_group_name,
    name_of_test_service,
    named,
    parameter_name,
    service_name,
    spelled,
    stack_name,
)

ROOT = Path(__file__).parents[2]
SCRIPTS = [*(ROOT / "scripts/cloud").glob("*.py"), ROOT / "scripts/pipeline.py"]
# How the names of an environment begin.
BEGINNINGS = re.compile(r"vni-cpo-|/vni/|vni-backend-[^{]*\{.*environment|\.vni\.internal")


def test_a_stacks_module_has_the_stacks_name():
    for name, module in STACKS.items():
        assert module.__name__ == f"templates.stacks.{name.replace('-', '_')}"
    modules = {file.stem for file in Path(stacks.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == {name.replace("-", "_") for name in STACKS}
    assert {file.stem for file in GENERATED.glob("*.yml")} == set(STACKS)


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_scripts_take_names_from_their_home(file):
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if '"Project=vni-cpo"' not in line:
            assert not BEGINNINGS.search(line), f"{file.name}:{number}: {line.strip()}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (named(), "vni-cpo-staging"),
        (named("alerts"), "vni-cpo-staging-alerts"),
        (stack_name("cluster"), "vni-cpo-cluster-staging"),
        (service_name("third-party"), "vni-backend-third-party-staging"),
        (name_of_test_service("third-party"), "vni-backend-third-party-staging-test"),
        (host_name("charging-point"), "charging-point.staging.vni.internal"),
        (log_group_name("relay"), "/vni/staging/relay"),
        (parameter_name("migrated"), "/vni/staging/migrated"),
    ],
)
def test_names_as_people_and_programs_know_them(name, text):
    assert spelled(name, "staging") == text
