"""The rules of CloudWatch's embedded metric format, for documents that programs have written.

Source: CloudWatch Logs user guide, "Specification: Embedded metric format", and the limits of
PutMetricData for values.
"""

from __future__ import annotations

import json
import math
import re
import time
from typing import Any

MAX_BYTES = 1_048_576
MAX_METRICS = 100
MAX_VALUES = 100
MAX_DIMENSIONS = 30
_SIZES = [
    f"{size}{unit}" for size in ("Kilo", "Mega", "Giga", "Tera") for unit in ("bytes", "bits")
]
_RATES = ["Bytes", "Bits", "Count", *_SIZES]
UNITS = {
    *("Seconds", "Microseconds", "Milliseconds", "Percent", "None"),
    *_RATES,
    *(f"{unit}/Second" for unit in _RATES),
}


def documents(text: str) -> list[dict[str, Any]]:
    """Return the metric documents among a program's log lines."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line]


def problems(document: dict[str, Any]) -> list[str]:
    """Return what CloudWatch would not take, or would take for something else."""
    found: list[str] = []

    def hold(condition: object, text: str) -> None:
        if not condition:
            found.append(text)

    hold(len(json.dumps(document).encode()) <= MAX_BYTES, "larger than a log event")
    meta = document.get("_aws")
    if not isinstance(meta, dict):
        return ["no _aws"]
    at = meta.get("Timestamp")
    hold(isinstance(at, int) and not isinstance(at, bool), "Timestamp is no integer")
    if isinstance(at, int):
        # Seconds or microseconds would be far away from now.
        age_seconds = time.time() - at / 1000
        hold(-7200 < age_seconds < 14 * 86_400, f"Timestamp is {age_seconds:.0f} s old")
    directives = meta.get("CloudWatchMetrics")
    hold(isinstance(directives, list) and directives, "no CloudWatchMetrics")
    for directive in directives or []:
        found += _problems_of_directive(document, directive)
    return found


def _problems_of_directive(document: dict[str, Any], directive: dict[str, Any]) -> list[str]:
    found: list[str] = []

    def hold(condition: object, text: str) -> None:
        if not condition:
            found.append(text)

    namespace = directive.get("Namespace", "")
    hold(re.fullmatch(r"[A-Za-z0-9./_#:-]{1,255}", namespace), f"Namespace {namespace!r}")
    hold(not namespace.startswith("AWS/"), "the namespace is Amazon's")
    sets = directive.get("Dimensions")
    hold(isinstance(sets, list) and sets, "no Dimensions")
    names: set[str] = set()
    for dimensions in sets or []:
        hold(isinstance(dimensions, list), "a dimension set is no list")
        hold(len(dimensions) <= MAX_DIMENSIONS, "too many dimensions")
        for name in dimensions:
            names.add(name)
            hold(re.fullmatch(r"[!-9;-~][ -~]{0,249}", name), f"dimension {name!r}")
            value = document.get(name)
            hold(
                isinstance(value, str) and 1 <= len(value) <= 1024 and value.isascii(),
                f"dimension {name} has the value {value!r}",
            )
    metrics = directive.get("Metrics")
    hold(isinstance(metrics, list) and metrics, "no Metrics")
    hold(len(metrics or []) <= MAX_METRICS, "too many metrics")
    for metric in metrics or []:
        found += _problems_of_metric(document, metric)
        hold(metric.get("Name") not in names, f"{metric} is a dimension too")
    metric_names = [metric.get("Name") for metric in metrics or []]
    hold(len(metric_names) == len(set(metric_names)), "a metric stands there twice")
    return found


def _problems_of_metric(document: dict[str, Any], metric: dict[str, Any]) -> list[str]:
    name = metric.get("Name")
    if not (isinstance(name, str) and 1 <= len(name) <= 255):
        return [f"metric name {name!r}"]
    found = [f"{name}: unknown member {key}" for key in metric.keys() - _METRIC_MEMBERS]
    if metric.get("Unit", "None") not in UNITS:
        found.append(f"{name}: unit {metric['Unit']!r}")
    if metric.get("StorageResolution", 60) not in (1, 60):
        found.append(f"{name}: resolution {metric['StorageResolution']!r}")
    if name not in document:
        return [*found, f"{name} is announced and has no value"]
    value = document[name]
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= MAX_VALUES:
        found.append(f"{name} has {len(values)} values")
    found += [f"{name} is {one!r}" for one in values if not _is_value(one)]
    return found


def _is_value(value: object) -> bool:
    """Whether CloudWatch takes a number: it drops what is not finite, too small or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return value == 0 or 8.515920e-109 <= abs(value) <= 1.174271e108


_METRIC_MEMBERS = {"Name", "Unit", "StorageResolution"}
