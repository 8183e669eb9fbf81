"""What a service measures of itself: counters, samples, CloudWatch embedded metrics.

Nothing here blocks or allocates for each message beyond an addition: figures gather in memory
and leave once a minute as one log line in CloudWatch's embedded metric format. Each program
declares its metrics; they are made nowhere else.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

MAX_EMF_VALUES = 100
"""CloudWatch reads at most 100 values of a metric in one document."""


class Metrics:
    """The figures of one process since the last document.

    units: every metric and its CloudWatch unit. gauges: those that are at the moment of the
    document; samples: those of which single values count. The others are counters.
    """

    def __init__(
        self,
        namespace: str,
        units: Mapping[str, str],
        *,
        gauges: frozenset[str] = frozenset(),
        samples: frozenset[str] = frozenset(),
    ) -> None:
        self._namespace = namespace
        self._units = units
        self._counters = [name for name in units if name not in gauges | samples]
        self.counts: Counter[str] = Counter()
        """Since the last document, by metric."""
        self.totals: Counter[str] = Counter()
        """Since the start, by metric and by `Metric:detail`."""
        self.gauges: dict[str, float] = dict.fromkeys(sorted(gauges), 0)
        self._samples: dict[str, list[float]] = {name: [] for name in sorted(samples)}
        self._seen: Counter[str] = Counter()
        self._looked: tuple[float, Counter[str]] = (time.monotonic(), Counter())

    def count(self, metric: str, detail: str = "", amount: int = 1) -> None:
        """Add to a counter; detail (an action, a cause) is one of few fixed words."""
        self.counts[metric] += amount
        if detail:
            self.counts[f"{metric}:{detail}"] += amount

    def sample(self, metric: str, value: float) -> None:
        """Keep a fair sample of at most 100 values of a metric (Vitter's algorithm R)."""
        values = self._samples[metric]
        self._seen[metric] += 1
        if len(values) < MAX_EMF_VALUES:
            values.append(value)
            return
        place = random.randrange(self._seen[metric])  # noqa: S311 - statistics, no secret
        if place < MAX_EMF_VALUES:
            values[place] = value

    def figures(self) -> dict[str, Any]:
        """Return totals since the start, rates since it was last asked (`rates`, a second),
        gauges, percentiles of samples: for people.
        """
        totals = self.totals + self.counts
        figures: dict[str, Any] = {name: totals[name] for name in self._counters}
        (before, then), now = self._looked, time.monotonic()
        self._looked = now, totals
        figures["rates"] = {
            name: round((totals[name] - then[name]) / max(0.001, now - before), 1)
            for name in self._counters
        }
        figures |= {name: round(value, 3) for name, value in self.gauges.items()}
        for name, values in self._samples.items():
            if values:
                ordered = sorted(values)
                figures[f"{name}P50"] = round(ordered[len(values) // 2], 3)
                figures[f"{name}P99"] = round(ordered[len(values) * 99 // 100], 3)
        figures["detail"] = {name: n for name, n in sorted(totals.items()) if ":" in name}
        return figures

    def document(self, dimensions: dict[str, str]) -> dict[str, Any]:
        """Return the embedded metric document since the last one and begin the next.

        dimensions: of all metrics, such as Environment and Service. Causes and actions stand
        beside the metrics as plain fields for Logs Insights, since each value of a dimension
        is a metric of its own, and paid for.
        Source: CloudWatch Logs, "Specification: Embedded metric format".
        """
        self.totals.update(self.counts)
        values: dict[str, Any] = {name: self.counts[name] for name in self._counters}
        values |= self.gauges
        values |= {
            name: [round(value, 3) for value in kept]
            for name, kept in self._samples.items()
            if kept
        }
        detail = {name: n for name, n in sorted(self.counts.items()) if ":" in name}
        self.counts.clear()
        self._seen.clear()
        for kept in self._samples.values():
            kept.clear()
        return {
            "_aws": {
                "Timestamp": int(datetime.now(UTC).timestamp() * 1000),
                "CloudWatchMetrics": [
                    {
                        "Namespace": self._namespace,
                        "Dimensions": [list(dimensions)],
                        "Metrics": [{"Name": name, "Unit": self._units[name]} for name in values],
                    }
                ],
            },
            **dimensions,
            **values,
            "detail": detail,
        }


def write_document(document: dict[str, Any]) -> None:
    """Write a metric document as a log line of its own."""
    sys.stderr.write(json.dumps(document) + "\n")
