"""What a meter counted, held against the sessions at its EVSE: gaps between them, and overlaps.

Sessions are spans of the meter's register. What none of them has is energy without a session; what
two of them have would be billed twice. The order is that of the register, so that a clock that is
wrong moves nothing; times only show where a meter was replaced or reset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Span:
    """What a session, by its number, has of a register. timed: its times can be relied on."""

    session: int
    started_at: datetime
    start_wh: int
    energy_wh: int
    timed: bool = True

    @property
    def stop_wh(self) -> int:
        """Where it ends."""
        return self.start_wh + self.energy_wh


@dataclass(frozen=True, slots=True)
class Step:
    """Where a register does not go on from a session to the next.

    energy_wh: what lies between them, negative for what both have, 0 where the register began anew:
    nobody knows what it counted meanwhile. before, after: sessions; None at an end.
    """

    before: int | None
    after: int | None
    from_wh: int
    to_wh: int
    energy_wh: int


@dataclass(frozen=True, slots=True)
class Balance:
    """metered_wh: what the register counted, each Wh once. steps: where it does not go on."""

    metered_wh: int
    steps: tuple[Step, ...]


def balance(
    spans: Sequence[Span], former: Span | None = None, last_wh: int | None = None
) -> Balance:
    """Return what a register counted, and the steps in it.

    former: the session before these. last_wh: what it shows after the last of them, if more.
    """
    ordered = sorted(spans, key=lambda span: (span.started_at, span.session))
    metered_wh, steps = 0, []
    before, epochs = former, _epochs(ordered, former)
    for place, epoch in enumerate(epochs):
        if place > 0 and before is not None:
            steps.append(
                Step(before.session, epoch[0].session, before.stop_wh, epoch[0].start_wh, 0)
            )
        counted = _walk(epoch, former if place == 0 else None)
        metered_wh += counted.metered_wh
        steps += counted.steps
        before = epoch[-1] if epoch else before
    top = max(epochs[-1], key=lambda span: span.stop_wh, default=former)
    if top is not None and last_wh is not None and last_wh > top.stop_wh:
        rest_wh = last_wh - top.stop_wh
        metered_wh += rest_wh
        steps.append(Step(top.session, None, top.stop_wh, last_wh, rest_wh))
    return Balance(metered_wh, tuple(steps))


def _epochs(ordered: Sequence[Span], former: Span | None) -> list[list[Span]]:
    """Part spans where the register began anew; the first part goes on from the former.

    One that is below what was before shows that, if its time can be relied on or the next one goes
    on there; otherwise it is an old one that came late.
    """
    epochs: list[list[Span]] = [[]]
    lowest = former.start_wh if former else None
    for place, span in enumerate(ordered):
        if lowest is None:
            lowest = span.start_wh
        if span.start_wh < lowest:
            follows = ordered[place + 1] if place + 1 < len(ordered) else None
            anew = span.timed or (follows is not None and follows.start_wh < lowest)
            if not anew:
                epochs[-1].append(span)
                continue
            epochs.append([])
        epochs[-1].append(span)
        if span.timed or len(epochs[-1]) == 1:
            lowest = span.start_wh
    return epochs


def _walk(epoch: Sequence[Span], former: Span | None) -> Balance:
    """Go along a register that was not reset: sum what it counted, and find the steps."""
    metered_wh, steps = 0, []
    holder, reached_wh = (former.session, former.stop_wh) if former else (None, None)
    for span in sorted(epoch, key=lambda span: (span.start_wh, span.stop_wh, span.session)):
        metered_wh += span.energy_wh
        old = former is not None and span.stop_wh <= former.start_wh
        if reached_wh is not None and not old:
            shared_wh = min(span.stop_wh, reached_wh) - span.start_wh
            between_wh = -shared_wh if shared_wh > 0 else max(0, span.start_wh - reached_wh)
            if between_wh:
                steps.append(Step(holder, span.session, reached_wh, span.start_wh, between_wh))
                metered_wh += between_wh
        if reached_wh is None or span.stop_wh >= reached_wh:
            holder, reached_wh = span.session, span.stop_wh
    return Balance(metered_wh, tuple(steps))
