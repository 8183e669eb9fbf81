"""Alarms, the dashboard, and saved log queries.

What alarms mean and what to do is in docs/runbook.md, one section each. Alarms that roll back a
deployment stand beside their service in `templates/stacks/services.py`, the pipeline's in
`templates/stacks/deployment_pipeline.py`.
"""

from __future__ import annotations

import json

from troposphere import If, Sub, Template, cloudwatch, logs

from templates.exports import imported
from templates.naming import CHARGING_POINT, SERVICES, THIRD_PARTY, camel, log_group_name, named
from templates.parameters import (
    add_load_balancer_kind,
    add_nat_conditions,
    add_zones,
    given,
    new_template,
    number,
    text,
)
from templates.parts.alarms import (
    CHARGING_POINT_METRICS,
    DAY,
    FIVE_MINUTES,
    OPERATIONS_METRICS,
    THIRD_PARTY_METRICS,
    Metric,
    add_runbook,
    alarm,
    own,
)
from templates.parts.dashboard import Board
from templates.stacks.services import CERTIFICATES

STACK = "observability"

# A few dozen charging points that go at once are a street without power, not our trouble.
FEWEST_CONNECTIONS = 50
FEWEST_HANDSHAKES = 50


def of_service(service: str, name: str, statistic: str = "Average") -> Metric:
    """Return a metric of a service of ECS."""
    return Metric(
        "AWS/ECS",
        name,
        {
            "ClusterName": imported("cluster", "Name"),
            "ServiceName": imported("services", f"{camel(service)}ServiceName"),
        },
        statistic,
    )


def of_balancer(service: str, name: str, statistic: str = "Sum") -> Metric:
    """Return a metric of a service's load balancer."""
    return Metric(
        "AWS/ApplicationELB",
        name,
        {"LoadBalancer": imported("services", f"{camel(service)}LoadBalancerFullName")},
        statistic,
    )


def _of_a_network_load_balancer(service: str) -> list[tuple[str, Metric]]:
    """Return what stands in the same graph where the load balancer is one of the other kind."""
    dimensions = of_balancer(service, "").dimensions
    return [
        (label, Metric("AWS/NetworkELB", name, dimensions))
        for label, name in (
            ("new connections (network)", "NewFlowCount_TLS"),
            ("active connections (network)", "ActiveFlowCount_TLS"),
            ("capacity units (network)", "ConsumedLCUs"),
        )
    ]


def _namespace(service: str) -> object:
    """Return where a load balancer of either kind counts what both count alike."""
    if service == CHARGING_POINT:
        return If("IsNetwork", "AWS/NetworkELB", "AWS/ApplicationELB")
    return "AWS/ApplicationELB"


def of_targets(service: str, name: str, statistic: str = "Sum") -> Metric:
    """Return a metric of a service's tasks, as its load balancer sees them."""
    return Metric(
        _namespace(service),
        name,
        {
            "LoadBalancer": imported("services", f"{camel(service)}LoadBalancerFullName"),
            "TargetGroup": imported("services", f"{camel(service)}TargetsFullName"),
        },
        statistic,
    )


def of_database(name: str, statistic: str = "Maximum") -> Metric:
    """Return a metric of the database cluster."""
    return Metric(
        "AWS/RDS",
        name,
        {"DBClusterIdentifier": imported("database", "ClusterIdentifier")},
        statistic,
    )


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI observability: alarms, dashboard, saved queries.")
    add_runbook(template)
    add_load_balancer_kind(template)
    _add_service_alarms(template)
    _add_charging_alarms(template)
    _add_hub_alarms(template)
    _add_books_alarms(template)
    _add_database_alarms(template)
    _add_certificate_alarms(template)
    _add_queries(template)
    _add_dashboard(template)
    return template


def _add_service_alarms(template: Template) -> None:
    for service in SERVICES:
        least = number(template, f"{camel(service)}MinTasks", 2, "Tasks at least", 1)
        alarm(
            template,
            f"{service}-cpu",
            f"The {service} service has used more than 85% of its processors for ten minutes",
            of_service(service, "CPUUtilization"),
            85,
            periods=10,
        )
        alarm(
            template,
            f"{service}-memory",
            f"The {service} service has used more than 85% of its memory for five minutes",
            of_service(service, "MemoryUtilization"),
            85,
        )
        alarm(
            template,
            f"{service}-tasks-missing",
            f"Fewer tasks of the {service} service are healthy than there should be at least",
            of_targets(service, "HealthyHostCount", "Minimum"),
            least,
            comparison="LessThanThreshold",
            missing="breaching",
        )


def _add_certificate_alarms(template: Template) -> None:
    expiries: dict[str, Metric] = {}
    for parameter, description in CERTIFICATES.items():
        arn = text(template, parameter, f"{description}, in ACM")
        expiries[f"days{len(expiries)}"] = Metric(
            "AWS/CertificateManager", "DaysToExpiry", {"CertificateArn": arn}, "Minimum"
        )
    alarm(
        template,
        "certificate-expiry",
        "A certificate of the load balancers ends within three weeks",
        expiries,
        21,
        expression=f"MIN([{', '.join(expiries)}])",
        comparison="LessThanThreshold",
        period=DAY,
        periods=1,
    )
    alarm(
        template,
        "hub-certificate-expiry",
        "Our certificate at the hub ends within four weeks",
        own(THIRD_PARTY_METRICS, "HubCertificateDays", "Minimum"),
        28,
        comparison="LessThanThreshold",
        period=FIVE_MINUTES,
        periods=3,
    )
    for service, limit in (
        (CHARGING_POINT, number(template, "TlsFailuresLimit", 100, _TLS_FAILURES, 1)),
        (THIRD_PARTY, 10),
    ):
        alarm(
            template,
            f"{service}-tls-failures",
            f"Many clients of the {service} service could not agree on TLS with its load balancer",
            _tls_failures(service),
            limit,
            period=FIVE_MINUTES,
            periods=2,
        )


_TLS_FAILURES = "TLS negotiations with charging points that fail in five minutes and alarm"


def _tls_failures(service: str) -> Metric:
    """Return how many clients could not agree on TLS; no target ever learns of them."""
    return Metric(
        _namespace(service),
        "ClientTLSNegotiationErrorCount",
        of_balancer(service, "").dimensions,
    )


def _add_charging_alarms(template: Template) -> None:
    drop = number(
        template, "ConnectionsDropPercent", 20, "Share of charging points lost that alarms", 1
    )
    alarm(
        template,
        "connections-drop",
        "Many charging points have gone within five minutes",
        # Every node tells its own once a minute, so the sum of five minutes is five times all.
        {"now": own(CHARGING_POINT_METRICS, "Connections")},
        drop,
        expression=f"IF((now - DIFF(now)) / 5 > {FEWEST_CONNECTIONS},"
        " -100 * DIFF(now) / (now - DIFF(now)), 0)",
        period=FIVE_MINUTES,
        periods=1,
        # No node that tells anything is worse than one that tells of few.
        missing="breaching",
    )
    alarm(
        template,
        "handshakes-refused",
        "More than one in five handshakes has been refused for ten minutes",
        {
            "refused": own(CHARGING_POINT_METRICS, "HandshakesRefused"),
            "accepted": own(CHARGING_POINT_METRICS, "HandshakesAccepted"),
        },
        20,
        expression=f"IF(refused + accepted > {FEWEST_HANDSHAKES},"
        " 100 * refused / (refused + accepted), 0)",
        period=FIVE_MINUTES,
        periods=2,
    )
    alarm(
        template,
        "database-failures",
        "Nodes have had to refuse messages, since the database did not take them",
        own(CHARGING_POINT_METRICS, "DatabaseFailures"),
        0,
        periods=3,
    )


def _add_hub_alarms(template: Template) -> None:
    text(template, "HubUrl", "Address of the hub; empty for none", Default="")
    relayed = given(template, "HubUrl")
    alarm(
        template,
        "hub-outbox-age",
        "Something has waited for more than five minutes to be told to the hub",
        own(THIRD_PARTY_METRICS, "OutboxAge", "Maximum"),
        300,
        periods=2,
        # Where nothing is told at all, no relay runs; without a hub none has anything to tell.
        missing=If(relayed, "breaching", "notBreaching"),
    )
    alarm(
        template,
        "hub-deliveries-parked",
        "The hub refuses something for good, and it waits for a person",
        own(THIRD_PARTY_METRICS, "DeliveriesParked", "Maximum"),
        0,
        periods=1,
    )
    alarm(
        template,
        "hub-callers-refused",
        "Somebody who is not the hub calls the hub's service again and again",
        own(THIRD_PARTY_METRICS, "CallersRefused"),
        50,
        period=FIVE_MINUTES,
        periods=1,
    )


def _add_books_alarms(template: Template) -> None:
    limit = number(
        template, "EnergyWithoutHomeLimitWh", 1_000, "Wh of a day without a bill that alarm", 0
    )
    alarm(
        template,
        "energy-without-home",
        "Meters counted energy that is on no bill, and that nobody has explained",
        own(OPERATIONS_METRICS, "EnergyWithoutHome", "Maximum"),
        limit,
        period=DAY,
        periods=1,
    )
    alarm(
        template,
        "data-not-maintained",
        "Old data has not been archived for two days",
        own(OPERATIONS_METRICS, "DataMaintained"),
        1,
        comparison="LessThanThreshold",
        period=DAY,
        periods=2,
        missing="breaching",
    )
    alarm(
        template,
        "energy-not-audited",
        "The energy of no day has been audited for two days",
        own(OPERATIONS_METRICS, "EnergyAudits"),
        1,
        comparison="LessThanThreshold",
        period=DAY,
        periods=2,
        missing="breaching",
    )


def _add_database_alarms(template: Template) -> None:
    connections = number(
        template, "DatabaseConnectionsLimit", 700, "Connections of the database that alarm", 1
    )
    storage = number(template, "DatabaseStorageLimitGb", 100, "GB in the database that alarm", 1)
    alarm(
        template,
        "database-capacity",
        "The database has used more than 90% of its largest capacity for ten minutes",
        of_database("ACUUtilization", "Average"),
        90,
        periods=10,
    )
    alarm(
        template,
        "database-connections",
        "The database has many connections, and will soon refuse more",
        of_database("DatabaseConnections"),
        connections,
    )
    alarm(
        template,
        "database-storage",
        "The database holds more than it was thought it would",
        {"bytes": of_database("VolumeBytesUsed")},
        storage,
        expression="bytes / 1000000000",
        period=FIVE_MINUTES,
        periods=1,
    )
    alarm(
        template,
        "database-local-storage",
        "The writer has less than 1 GB left for sorting and temporary files",
        {"free": of_database("FreeLocalStorage", "Minimum")},
        1,
        expression="free / 1000000000",
        comparison="LessThanThreshold",
        period=FIVE_MINUTES,
        periods=3,
    )


QUERIES: dict[str, tuple[str, str]] = {
    "what a charging point said": (
        CHARGING_POINT,
        """fields @timestamp, level, event, @message
| filter charging_point = "CP0001"
| sort @timestamp desc
| limit 1000""",
    ),
    "refused handshakes by cause": (
        CHARGING_POINT,
        """filter event = "handshake refused"
| stats count(*) as refused, count_distinct(charging_point) as charging_points by cause, bin(5m)
| sort refused desc""",
    ),
    "slow commands": (
        CHARGING_POINT,
        """fields @timestamp, charging_point, kind, outcome, milliseconds
| filter event = "command answered" and milliseconds > 2000
| sort milliseconds desc
| limit 200""",
    ),
    "parked hub deliveries": (
        THIRD_PARTY,
        """fields @timestamp, queue, key, records, reason, hub_process
| filter event = "parked"
| sort @timestamp desc
| limit 200""",
    ),
}
"""Name → log group and question, in the language of Logs Insights."""


def _add_queries(template: Template) -> None:
    for name, (service, question) in QUERIES.items():
        template.add_resource(
            logs.QueryDefinition(
                camel(name.replace(" ", "-")) + "Query",
                # A slash makes a folder in the console.
                Name=Sub(f"vni-cpo-${{Environment}}/{name}"),
                LogGroupNames=[log_group_name(service)],
                QueryString=question,
            )
        )


def _add_dashboard(template: Template) -> None:
    add_zones(template)
    add_nat_conditions(template)
    board = Board()
    board.alarms(
        [
            resource.properties["AlarmName"].data["Fn::Sub"].removeprefix("vni-cpo-${Environment}-")
            for resource in template.resources.values()
            if isinstance(resource, cloudwatch.Alarm)
        ]
    )
    _draw(board)
    template.add_resource(
        cloudwatch.Dashboard(
            "Dashboard",
            DashboardName=named(),
            DashboardBody=Sub(
                json.dumps({"widgets": board.widgets}, separators=(",", ":")), **board.values
            ),
        )
    )


def _draw(board: Board) -> None:
    cp, hub = CHARGING_POINT_METRICS, THIRD_PARTY_METRICS
    board.graph("Connections", ("charging points", own(cp, "Connections")))
    board.graph(
        "Messages a minute",
        ("received", own(cp, "MessagesReceived")),
        ("commands answered", own(cp, "CommandsAnswered")),
    )
    board.graph(
        "Errors a minute",
        ("errors answered", own(cp, "CallErrorsSent")),
        ("frames ignored", own(cp, "FramesIgnored")),
        ("handshakes refused", own(cp, "HandshakesRefused")),
        ("database failures", own(cp, "DatabaseFailures")),
    )
    board.graph(
        "Latencies",
        ("message, median", own(cp, "CallLatency", "p50")),
        ("message, 99%", own(cp, "CallLatency", "p99")),
        ("command, 99%", own(cp, "CommandLatency", "p99")),
        ("commit, 99%", own(cp, "CommitLatency", "p99")),
        ("event loop, worst", own(cp, "EventLoopLag", "Maximum")),
    )
    board.graph(
        "Handshakes and goodbyes a minute",
        ("accepted", own(cp, "HandshakesAccepted")),
        ("refused", own(cp, "HandshakesRefused")),
        ("closed", own(cp, "ConnectionsClosed")),
    )
    board.graph(
        "Charging sessions",
        ("in progress", own(cp, "SessionsInProgress", "Maximum")),
        ("started a minute", own(cp, "SessionsStarted")),
        ("ended a minute", own(cp, "SessionsEnded")),
    )
    board.graph("Hub: age of the outbox", ("oldest, seconds", own(hub, "OutboxAge", "Maximum")))
    board.graph(
        "Hub: deliveries",
        ("sent", own(hub, "DeliveriesSent")),
        ("failed", own(hub, "DeliveriesFailed")),
        ("parked", own(hub, "DeliveriesParked", "Maximum")),
    )
    board.graph(
        "Hub: days that our certificate is valid",
        ("days", own(hub, "HubCertificateDays", "Minimum")),
    )
    board.graph(
        "Hub: drivers",
        ("remote starts", own(hub, "RemoteStarts")),
        ("remote stops", own(hub, "RemoteStops")),
        ("cards asked about", own(hub, "AuthorizationsAsked")),
        ("remote start, 99%, ms", own(hub, "RemoteStartLatency", "p99")),
    )
    board.graph(
        "Energy without a bill, a day",
        ("Wh", own(OPERATIONS_METRICS, "EnergyWithoutHome", "Maximum")),
        ("lines to look at", own(OPERATIONS_METRICS, "EnergyAuditAlarms", "Maximum")),
    )
    for service in SERVICES:
        board.graph(
            f"{service}: processors and memory",
            ("CPU, mean", of_service(service, "CPUUtilization")),
            ("CPU, highest", of_service(service, "CPUUtilization", "Maximum")),
            ("memory, highest", of_service(service, "MemoryUtilization", "Maximum")),
            unit="%",
        )
        board.graph(
            f"{service}: load balancer",
            ("requests", of_balancer(service, "RequestCount")),
            ("active connections", of_balancer(service, "ActiveConnectionCount")),
            ("5xx of tasks", of_balancer(service, "HTTPCode_Target_5XX_Count")),
            ("5xx of its own", of_balancer(service, "HTTPCode_ELB_5XX_Count")),
            ("TLS failures", _tls_failures(service)),
            ("capacity units", of_balancer(service, "ConsumedLCUs")),
            *(_of_a_network_load_balancer(service) if service == CHARGING_POINT else ()),
        )
        board.graph(
            f"{service}: tasks",
            ("healthy", of_targets(service, "HealthyHostCount", "Minimum")),
            ("unhealthy", of_targets(service, "UnHealthyHostCount", "Maximum")),
        )
    board.graph(
        "Database: capacity",
        ("in use", of_database("ACUUtilization", "Average")),
        ("CPU", of_database("CPUUtilization", "Average")),
        unit="%",
    )
    board.graph(
        "Database: connections and deadlocks",
        ("connections", of_database("DatabaseConnections")),
        ("deadlocks", of_database("Deadlocks", "Sum")),
    )
    board.graph(
        "Database: latency and storage",
        ("commit, ms", of_database("CommitLatency", "Average")),
        ("bytes stored", of_database("VolumeBytesUsed")),
    )
    for title, name in (
        ("NAT: bytes out", "BytesOutToDestination"),
        ("NAT: connections", "ActiveConnectionCount"),
        ("NAT: ports that ran out", "ErrorPortAllocation"),
    ):
        statistic = "Maximum" if name == "ActiveConnectionCount" else "Sum"
        board.graph(
            title,
            *(
                (f"zone {zone}", Metric("AWS/NATGateway", name, {"NatGatewayId": nat}, statistic))
                for zone, nat in _nat_gateways().items()
            ),
        )


def _nat_gateways() -> dict[str, object]:
    """Return the NAT gateway that serves each zone; a zone without its own has the first one's."""
    first = imported("network", "NatGatewayA")
    return {
        "A": first,
        "B": If("NatInB", imported("network", "NatGatewayB"), first),
        "C": If("NatInC", imported("network", "NatGatewayC"), first),
    }
