"""The runbook has a section for each alarm, and none for an alarm that is no more."""

import re
from pathlib import Path

import pytest

from templates.__main__ import STACKS

RUNBOOK = (Path(__file__).parents[2] / "docs/runbook.md").read_text()
PREFIX = "vni-cpo-${Environment}-"


def alarms():
    for stack, module in STACKS.items():
        for name, resource in module.build().to_dict()["Resources"].items():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                yield pytest.param(resource["Properties"], id=f"{stack}/{name}")


ALARMS = list(alarms())


def name_of(alarm):
    return alarm["AlarmName"]["Fn::Sub"].removeprefix(PREFIX)


def test_every_alarm_has_a_section_and_every_section_an_alarm():
    sections = re.findall(r"^## ([a-z0-9-]+)$", RUNBOOK, re.MULTILINE)
    names = [name_of(alarm.values[0]) for alarm in ALARMS]
    assert sorted(sections) == sorted(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_says_what_happens_and_leads_to_its_section(alarm):
    # environment-status finds alarms by this beginning.
    assert alarm["AlarmName"]["Fn::Sub"].startswith(PREFIX)
    text = alarm["AlarmDescription"]["Fn::Sub"]
    assert text.endswith(f"What to do: ${{RunbookUrl}}#{name_of(alarm)}")
    assert len(text) < 900
    topic = {"Fn::ImportValue": {"Fn::Sub": "vni-cpo-alerts-${Environment}:Topic"}}
    assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]
    missing = alarm["TreatMissingData"]
    choices = missing["Fn::If"][1:] if isinstance(missing, dict) else [missing]
    assert set(choices) <= {"breaching", "notBreaching"}


def test_sections_link_to_sections():
    sections = set(re.findall(r"^## ([a-z0-9-]+)$", RUNBOOK, re.MULTILINE))
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= sections
