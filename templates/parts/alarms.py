"""Metrics by name, and alarms on them: each with a sentence and a section of docs/runbook.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from troposphere import Ref, Sub, Template, cloudwatch

from templates.exports import imported
from templates.naming import camel, named, tags
from templates.parameters import text

MINUTE = 60
FIVE_MINUTES = 300
DAY = 86_400


CHARGING_POINT_METRICS = "VNI/ChargingPointBackend"
THIRD_PARTY_METRICS = "VNI/ThirdPartyBackend"
OPERATIONS_METRICS = "VNI/Operations"
# What each program calls itself in its metrics.
PROGRAMS = {
    CHARGING_POINT_METRICS: "charging-point-backend",
    THIRD_PARTY_METRICS: "third-party-backend",
    OPERATIONS_METRICS: "operations",
}


@dataclass(frozen=True)
class Metric:
    """A metric of CloudWatch. Namespace and values of dimensions may be intrinsic functions."""

    namespace: object
    name: str
    dimensions: Mapping[str, object] = field(default_factory=dict)
    statistic: str = "Sum"


def own(namespace: str, name: str, statistic: str = "Sum") -> Metric:
    """Return a metric that one of our programs emits."""
    return Metric(
        namespace,
        name,
        {"Environment": Ref("Environment"), "Service": PROGRAMS[namespace]},
        statistic,
    )


def add_runbook(template: Template) -> None:
    """Give a template the parameter RunbookUrl, which its alarms' descriptions link to."""
    text(template, "RunbookUrl", "Where docs/runbook.md can be read", Default="docs/runbook.md")


def alarm(
    template: Template,
    name: str,
    what: str,
    metric: Metric | Mapping[str, Metric],
    threshold: object,
    *,
    expression: str = "",
    comparison: str = "GreaterThanThreshold",
    period: int = MINUTE,
    periods: int = 5,
    missing: object = "notBreaching",
    **more: object,
) -> cloudwatch.Alarm:
    """Give a template the alarm ``vni-cpo-<environment>-<name>``.

    what: the sentence that whoever is woken reads. metric: one, or several by the ids that
    `expression` (CloudWatch metric math) uses. period: seconds, of which so many in a row must
    be beyond the threshold. missing: what no data means. For a template with `add_runbook`.
    """
    if isinstance(metric, Metric):
        measured: dict[str, object] = {
            "Namespace": metric.namespace,
            "MetricName": metric.name,
            "Dimensions": _dimensions(metric),
            "Statistic": metric.statistic,
            "Period": period,
        }
    else:
        measured = {
            "Metrics": [
                cloudwatch.MetricDataQuery(
                    Id="result", Expression=expression, Label=name, ReturnData=True
                ),
                *(
                    cloudwatch.MetricDataQuery(
                        Id=key,
                        MetricStat=cloudwatch.MetricStat(
                            Metric=cloudwatch.Metric(
                                Namespace=one.namespace,
                                MetricName=one.name,
                                Dimensions=_dimensions(one),
                            ),
                            Stat=one.statistic,
                            Period=period,
                        ),
                        ReturnData=False,
                    )
                    for key, one in metric.items()
                ),
            ]
        }
    return template.add_resource(
        cloudwatch.Alarm(
            f"{camel(name)}Alarm",
            AlarmName=named(name),
            AlarmDescription=Sub(f"{what}. What to do: ${{RunbookUrl}}#{name}"),
            ComparisonOperator=comparison,
            Threshold=threshold,
            EvaluationPeriods=periods,
            TreatMissingData=missing,
            AlarmActions=[imported("alerts", "Topic")],
            OKActions=[imported("alerts", "Topic")],
            Tags=tags(name),
            **measured,
            **more,
        )
    )


def _dimensions(metric: Metric) -> list[cloudwatch.MetricDimension]:
    return [
        cloudwatch.MetricDimension(Name=name, Value=value)
        for name, value in metric.dimensions.items()
    ]
