"""The fleet that an environment is sized for: CHARGING_POINTS of this deployment or of the last."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from scripts.cloud import notes
from scripts.cloud.aws import Aws
from scripts.cloud.inputs import InputError
from scripts.cloud.steps import NO_CHANGES
from templates.environments import CELL_CHARGING_POINTS, DEFAULT_FLEET, Sizes, sizes

_NOTE = "charging-points"
# Every stack's sizes follow the fleet; AWS is asked for it once.
_noted: WeakKeyDictionary[Aws, str | None] = WeakKeyDictionary()


def charging_points(aws: Aws) -> int:
    """Return how many charging points the environment is for. Raises InputError."""
    if aws.target.charging_points is not None:
        return _checked(aws.target.charging_points)
    noted = _read(aws)
    return int(noted) if noted else DEFAULT_FLEET


def sizes_of(aws: Aws) -> Sizes:
    """Return the environment's sizes for its fleet."""
    return sizes(aws.target.environment, charging_points(aws))


def keep(aws: Aws, fleet: int) -> str:
    """Note the fleet for later deployments; return what was done."""
    if str(fleet) == _read(aws):
        return NO_CHANGES
    notes.write(aws, _NOTE, str(fleet))
    _noted[aws] = str(fleet)
    return f"{fleet:,} charging points"


def forget(aws: Aws) -> None:
    """Delete the note."""
    notes.forget(aws, _NOTE)
    _noted.pop(aws, None)


def _read(aws: Aws) -> str | None:
    if aws not in _noted:
        _noted[aws] = notes.read(aws, _NOTE)
    return _noted[aws]


def _checked(fleet: int) -> int:
    if fleet > CELL_CHARGING_POINTS:
        raise InputError(
            f"CHARGING_POINTS is {fleet}, but one environment holds {CELL_CHARGING_POINTS}; "
            "docs/cells.md says how several share a fleet"
        )
    return fleet
