"""Rules of the house for code that the linter does not know.

The linter holds the others: an exception that is swallowed (BLE, S110, S112), a task that nobody
keeps (RUF006), naive time (DTZ), lines and docstrings beyond 100 columns (E501, W505).
"""

from __future__ import annotations

import ast
import re
from dataclasses import fields

import pytest

import cp_backend.settings
import third_party_backend.settings
from tests.house.tree import CODE, FILES, MODULES, ROOT, parsed, relative, room

FUNCTION_LINES = 60
MODULE_LINES = 500


def functions(file):
    """The functions of a module: name → lines."""
    return {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_functions_and_modules_are_short():
    """Templates are tables in the shape of code and may be long, as tests' lists of cases may."""
    files = [file for file in MODULES if room(file) != "templates"]
    long_functions = {
        f"{relative(file)}:{name}"
        for file in files
        for name, lines in functions(file).items()
        if lines > FUNCTION_LINES
    }
    long_modules = {
        relative(file)
        for file in CODE
        if room(file) != "templates" and len(file.read_text().splitlines()) > MODULE_LINES
    }
    assert long_functions == set()
    assert long_modules == set()


def test_a_misspelt_field_does_not_pass_as_any():
    """Fewer than 5 in 1,000 lines: what may be anything is checked by nobody."""
    files = [file for file in CODE if room(file) == "cp_backend"]
    lines = sum(len(file.read_text().splitlines()) for file in files)
    named = sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for file in files
        for node in ast.walk(parsed(file))
    )
    assert named / lines < 5 / 1000


def attributes_read(package):
    """Names of attributes that are read of something called settings, outside settings.py.

    A field is read as well where a property of the settings reads it, if that is read.
    """
    read = set()
    for file in CODE:
        if room(file) == package and file.name != "settings.py":
            for node in ast.walk(parsed(file)):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    read.add(node.attr)
    for node in ast.walk(parsed(ROOT / package / "settings.py")):
        if isinstance(node, ast.FunctionDef) and node.name in read:
            read |= {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
    return read


@pytest.mark.parametrize("module", [cp_backend.settings, third_party_backend.settings])
def test_every_setting_is_read(module):
    declared = {one.name for one in fields(module.Settings)}
    assert declared - attributes_read(module.__name__.split(".")[0]) == set()


def test_only_settings_read_the_environment():
    """What a program is told stands in one place, with its meaning and its bounds."""
    allowed = {
        "charging/database/address.py",
        "charging_point_simulator/target.py",
        "charging/service/file_store.py",
        "cp_backend/target.py",  # variables that Fargate sets, not ours
        "cp_backend/settings.py",
        "operations/console/settings.py",
        "third_party_backend/settings.py",
        # Tools: they start programs, or are what `make` and the pipelines call.
        "scripts/capacity/__main__.py",
        "scripts/capacity/compare.py",
        "scripts/capacity/crowd.py",
        "scripts/capacity/flood.py",
        "scripts/capacity/round_trips.py",
        "scripts/cloud/__main__.py",
        "scripts/cloud/aws.py",
        "scripts/cloud/containers.py",
        "scripts/cloud/images.py",
        "scripts/cloud/operations.py",  # in the program that a task runs
        "scripts/pipeline.py",
        "scripts/programs.py",
    }
    readers = {
        relative(file) for file in CODE if re.search(r"os\.(environ|getenv)", file.read_text())
    }
    assert readers - allowed == set()


def test_a_name_says_what_is_in_it():
    vague = re.compile(r"(^|_)(utils?|helpers?|common|base|managers?|misc)(_|$)")
    places = {part for file in FILES for part in (file.stem, *file.relative_to(ROOT).parts[:-1])}
    # An image's base is a term of the trade.
    assert {place for place in places if vague.search(place)} == {"make_base_image"}
    classes = {
        node.name
        for file in MODULES
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.ClassDef)
    }
    assert {name for name in classes if re.search(r"(Manager|Helper|Utils?)$", name)} == set()


def test_every_module_says_what_it_is():
    for file in MODULES:
        if file.stat().st_size:
            assert ast.get_docstring(parsed(file)), relative(file)
