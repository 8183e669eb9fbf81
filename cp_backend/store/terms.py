"""What the subjects of the store share."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

M = TypeVar("M")


class Submission(NamedTuple, Generic[M]):
    """A message of a charging point, on its way to a statement."""

    charging_point_id: str
    message: M
