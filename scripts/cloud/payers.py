"""Who owns an environment and who pays for it: tags of every stack, and so of all it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from scripts.cloud import notes
from scripts.cloud.aws import Aws
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import NO_CHANGES

VARIABLES = {"OWNER": "Owner", "COST_CENTRE": "CostCentre"}
"""Variable of a deployment → tag."""

# What every service of AWS takes in a tag; the note joins them.
_VALUE = re.compile(r"[\w .:/+@-]{1,128}")
_NOTE = "payers"
_noted: WeakKeyDictionary[Aws, dict[str, str]] = WeakKeyDictionary()


def read(variables: Mapping[str, str]) -> dict[str, str]:
    """Read OWNER and COST_CENTRE: tag → value, of those that are given. Raises InputError."""
    given = {}
    for variable, tag in VARIABLES.items():
        if value := variables.get(variable, "").strip():
            if not _VALUE.fullmatch(value):
                raise InputError(
                    f"{variable} is {value!r}; a tag has up to 128 letters, digits, spaces and"
                    " any of .:/+@-_"
                )
            given[tag] = value
    return given


def keep(aws: Aws, given: Mapping[str, str]) -> str:
    """Note who they are for later deployments too; return what was done."""
    before = tags(aws)
    after = {**before, **given}
    if after == before:
        return NO_CHANGES
    notes.write(aws, _NOTE, "\n".join(f"{tag}={value}" for tag, value in sorted(after.items())))
    _noted[aws] = after
    return ", ".join(f"{tag} {value}" for tag, value in sorted(after.items()))


def tags(aws: Aws) -> dict[str, str]:
    """Return the tags of this environment's stacks, besides its name."""
    if aws not in _noted:
        lines = (notes.read(aws, _NOTE) or "").splitlines()
        _noted[aws] = dict(line.split("=", 1) for line in lines)
    return _noted[aws]


def forget(aws: Aws) -> None:
    """Delete the note."""
    notes.forget(aws, _NOTE)
    _noted.pop(aws, None)
