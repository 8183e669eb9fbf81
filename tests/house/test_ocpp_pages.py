"""The pages about OCPP say what the code does, and nothing is left out of them."""

from dataclasses import replace

import pytest

from charging.command import CommandKind
from cp_backend.ocpp.dialect import DIALECTS
from cp_backend.ocpp.schemas import schemas
from scripts.ocpp_pages import conformance, coverage
from scripts.ocpp_pages.directions import BY_CHARGING_POINTS, REFUSED, SCHEMAS
from scripts.ocpp_pages.examples import EXAMPLES


@pytest.mark.parametrize("page", [coverage, conformance], ids=["ocpp", "conformance"])
def test_a_page_is_fresh(page):
    fresh = page.PAGE.exists() and page.PAGE.read_text() == page.text()
    assert fresh, f"`python -m scripts.ocpp_pages` writes docs/{page.PAGE.name} anew"


@pytest.mark.parametrize("version", DIALECTS)
def test_every_action_of_a_spoken_version_is_read_written_or_refused_with_a_reason(version):
    rows = coverage.rows(version)
    assert {row.action for row in rows} == schemas(SCHEMAS[version]).actions
    assert [row.action for row in rows if row.what == coverage.ABSENT] == []
    assert [row.action for row in rows if row.what == coverage.READ and not row.how] == []


@pytest.mark.parametrize("version", DIALECTS)
def test_what_a_dialect_reads_is_what_charging_points_call(version):
    read = set(DIALECTS[version].incoming)
    assert read <= BY_CHARGING_POINTS[version]
    assert not read & set(REFUSED[version])


def test_every_command_has_an_example():
    assert {intent.kind for intent in EXAMPLES} == set(CommandKind)


def test_an_action_that_is_read_no_longer_makes_the_page_stale():
    dialect = DIALECTS["1.6"]
    incoming = {name: row for name, row in dialect.incoming.items() if name != "Heartbeat"}
    silent = replace(dialect, incoming=incoming)
    (row,) = (r for r in coverage.rows("1.6", silent) if r.action == "Heartbeat")
    assert row.what == coverage.ABSENT


def test_a_case_is_tried_once_and_every_test_is_of_a_case():
    numbers = [number for cases in conformance.CASES.values() for number in cases]
    assert len(numbers) == len(set(numbers))
    assert set(conformance.tried()) <= set(numbers)
    assert not set(conformance.tried()) & set(conformance.NOT_TRIED)
    assert set(conformance.tried()) | set(conformance.NOT_TRIED) == set(numbers)
