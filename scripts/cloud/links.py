"""Pages of AWS's console about an environment: logs, metrics, tasks, pipelines."""

from __future__ import annotations

from urllib.parse import quote

from scripts.cloud import stacks
from scripts.cloud.aws import Aws
from templates.naming import SERVICES, camel, log_group_name, named

_CONSOLES = (
    ("cn-", "console.amazonaws.cn"),
    ("us-gov-", "console.amazonaws-us-gov.com"),
)


def console(region: str, path: str) -> str:
    """Return the address of a page. path: with its fragment, without the query."""
    domain = next((d for prefix, d in _CONSOLES if region.startswith(prefix)), None)
    host = domain or f"{region}.console.aws.amazon.com"
    page, hash_sign, fragment = path.partition("#")
    return f"https://{host}/{page}?region={region}{hash_sign}{fragment}"


def log_group(region: str, name: str) -> str:
    """Return the page of a log group."""
    # The console reads its fragment with `$` for `%`, of a name that was quoted twice.
    twice = quote(quote(name, safe=""), safe="").replace("%", "$")
    return console(region, f"cloudwatch/home#logsV2:log-groups/log-group/{twice}")


def links(aws: Aws) -> dict[str, str]:
    """Return what is there of an environment: what a page shows → its address."""
    found, region = stacks.look(aws), aws.region
    rows = {}
    if "observability" in found:
        dashboard = quote(aws.target.spelled(named()))
        rows["metrics"] = console(region, f"cloudwatch/home#dashboards/dashboard/{dashboard}")
    if "services" in found:
        cluster = stacks.outputs(aws, "cluster")["Name"]
        names = stacks.outputs(aws, "services")
        for service in SERVICES:
            name = names[f"{camel(service)}ServiceName"]
            rows[f"{service}: tasks, CPU, memory"] = console(
                region, f"ecs/v2/clusters/{cluster}/services/{name}/health"
            )
            group = aws.target.spelled(log_group_name(service))
            rows[f"{service}: logs"] = log_group(region, group)
    if "deployment-pipeline" in found:
        pipelines = stacks.outputs(aws, "deployment-pipeline")
        for service in SERVICES:
            name = pipelines[f"{camel(service)}Pipeline"]
            rows[f"{service}: pipeline"] = console(
                region, f"codesuite/codepipeline/pipelines/{name}/view"
            )
    return rows
