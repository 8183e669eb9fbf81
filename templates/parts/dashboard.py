"""A dashboard of CloudWatch, widget by widget."""

from __future__ import annotations

import json
from typing import Any

from troposphere import Ref

from templates.parts.alarms import Metric


class Board:
    """A dashboard's body under way: JSON in which ``${…}`` stand for values known later."""

    def __init__(self) -> None:
        self.widgets: list[dict[str, Any]] = []
        self.values: dict[str, object] = {}
        self._known: dict[str, str] = {}
        self._x = self._y = 0

    def place(self, value: object) -> str:
        """Return what stands for a value in the body."""
        if isinstance(value, str):
            return value
        if isinstance(value, Ref):
            return f"${{{value.data['Ref']}}}"
        text_ = json.dumps(value, default=lambda one: one.to_dict(), sort_keys=True)
        if text_ not in self._known:
            self._known[text_] = f"Value{len(self.values)}"
            self.values[self._known[text_]] = value
        return f"${{{self._known[text_]}}}"

    def graph(self, title: str, *metrics: tuple[str, Metric], unit: str = "") -> None:
        """Add a graph, three in a row. metrics: (label, metric)."""
        self._add(
            {
                "title": title,
                "view": "timeSeries",
                "region": "${AWS::Region}",
                "period": 60,
                "yAxis": {"left": {"min": 0, "label": unit, "showUnits": not unit}},
                "metrics": [self._line(label, metric) for label, metric in metrics],
            },
            "metric",
            width=8,
        )

    def alarms(self, names: list[str]) -> None:
        """Add the state of alarms, over the whole width."""
        prefix = (
            "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}"
            ":alarm:vni-cpo-${Environment}-"
        )
        self._add(
            {"title": "Alarms", "alarms": [prefix + name for name in names]}, "alarm", width=24
        )

    def _line(self, label: str, metric: Metric) -> list[object]:
        dimensions = [
            word for name, value in metric.dimensions.items() for word in (name, self.place(value))
        ]
        return [
            self.place(metric.namespace),
            metric.name,
            *dimensions,
            {"stat": metric.statistic, "label": label},
        ]

    def _add(self, properties: dict[str, Any], kind: str, *, width: int) -> None:
        if self._x + width > 24:
            self._x, self._y = 0, self._y + 6
        self.widgets.append(
            {
                "type": kind,
                "x": self._x,
                "y": self._y,
                "width": width,
                "height": 6,
                "properties": properties,
            }
        )
        self._x += width
