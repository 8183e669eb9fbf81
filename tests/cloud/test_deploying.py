"""Two environments in an account that was empty, by the real Makefile and the real AWS CLI.

The tests are a story and run in order: both are built, looked at, repeated, changed, taken away.
"""

import json
import os
import re
import shutil
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from scripts.cloud.certificates import LIVE, Authority, names_in, own_names
from scripts.cloud.simulator import TEST_CHARGING_POINT
from scripts.programs import Program, free_port
from templates.__main__ import OPTIONAL, STACKS
from templates.parts.mutual_tls import SUBJECT_HEADER
from templates.parts.service import TLS_POLICIES
from tests.databases import with_database
from tests.load_balancer import NGINX, NO_NGINX, LoadBalancer

HUB = ["198.51.100.0/24", "203.0.113.7/32"]
ENVIRONMENTS = ("staging", "production")
SERVICES = ("charging-point", "third-party")


@pytest.fixture(scope="module")
def staging(account):
    return account.deploy("staging", WHITELIST_IP="203.0.113.7, 198.51.100.0/24")


@pytest.fixture(scope="module")
def hub_files(tmp_path_factory):
    """Our certificate at the hub and its key, in files."""
    directory = tmp_path_factory.mktemp("hub")
    pems = Authority.new("hub").issue(["vni.example"])
    files = {}
    for name, pem in zip(("HUB_CERTIFICATE", "HUB_KEY"), pems, strict=True):
        files[name] = str(directory / name)
        (directory / name).write_bytes(pem)
    return files


@pytest.fixture(scope="module")
def production(account, staging, hub_files, tmp_path_factory):
    authorities = tmp_path_factory.mktemp("authorities") / "authorities.pem"
    # A key beside them must go nowhere.
    authorities.write_bytes(Authority.new("points").pem + Path(hub_files["HUB_KEY"]).read_bytes())
    return account.deploy(
        "production",
        WHITELIST_IP="192.0.2.1",
        HUB_URL="https://hub.example",
        OPERATOR_ID="DE*VNI",
        OPERATOR_NAME="Venerable Inertia",
        CLIENT_CA=str(authorities),
        HOSTED_ZONE="Z0123456789ABC",
        DOMAIN="charging.example",
        ALARM_URL="https://pager.example/vni",
        BUDGET_USD="2500",
        OWNER="Charging platform",
        COST_CENTRE="4711",
        **hub_files,
    )


@pytest.fixture
def ec2(account):
    return account.client("ec2")


def of(environment):
    """A filter for what belongs to an environment."""
    return [{"Name": "tag:Environment", "Values": [environment]}]


def groups(ec2, environment):
    """Security groups by the names of their roles."""
    found = ec2.describe_security_groups(Filters=of(environment))["SecurityGroups"]
    prefix = f"vni-cpo-{environment}-"
    return {name_of(group).removeprefix(prefix): group for group in found}


def name_of(resource):
    return next(tag["Value"] for tag in resource["Tags"] if tag["Key"] == "Name")


def rules(permissions):
    """Rules as a set of (port, where from or to)."""
    return {
        (rule["FromPort"], where)
        for rule in permissions
        for where in [
            *(r["CidrIp"] for r in rule["IpRanges"]),
            *(r["CidrIpv6"] for r in rule["Ipv6Ranges"]),
            *(pair["GroupId"] for pair in rule["UserIdGroupPairs"]),
        ]
    }


def services(account, environment):
    """The environment's services by their short names."""
    names = [f"vni-backend-{service}-{environment}" for service in SERVICES]
    answer = account.client("ecs").describe_services(
        cluster=f"vni-cpo-{environment}", services=names
    )
    assert answer["failures"] == []
    return dict(zip(SERVICES, answer["services"], strict=True))


def definition(account, service):
    answer = account.client("ecs").describe_task_definition(
        taskDefinition=service["taskDefinition"]
    )
    return answer["taskDefinition"]


def balancers(account, environment):
    outputs = account.outputs(f"vni-cpo-services-{environment}")
    return {
        service: outputs[f"{title}LoadBalancer"]
        for service, title in (("charging-point", "ChargingPoint"), ("third-party", "ThirdParty"))
    }


# --- what was said ------------------------------------------------------------------------


def test_a_deployment_says_what_it_does_and_how_long_it_takes(account, staging):
    steps = re.findall(r"^ ?(\d+)/(\d+) (.+?)  +(.+) \((\d+\.\d) s\)$", staging, re.MULTILINE)
    names = [name for _, _, name, _, _ in steps]
    assert len(steps) == int(steps[0][1])
    order = ["network", "registry", "image charging-point", "certificates", "database"]
    order += ["migration", "services", "accelerator", "names in certificates"]
    assert [name for name in names if name in order] == order
    assert re.search(r"^staging is deployed in \d+ s\.$", staging, re.MULTILINE)
    assert f"staging in account {account.number}, eu-central-1" in staging


def test_it_prints_the_addresses_that_people_need(account, ec2, staging):
    said = dict(re.findall(r"^ +(\S.+?)  +(\S.*)$", staging, re.MULTILINE))
    (nat,) = ec2.describe_nat_gateways(Filters=of("staging"))["NatGateways"]
    (address,) = ec2.describe_addresses(Filters=of("staging"))["Addresses"]
    assert said["the hub is called from"] == address["PublicIp"]
    assert address["AssociationId"].endswith(nat["NatGatewayId"].removeprefix("nat-"))
    accelerators = {
        record["Properties"]["Name"]: ", ".join(record["Attributes"]["Ipv4Addresses"])
        for record in account.recorded("AWS::GlobalAccelerator::Accelerator")
    }
    assert said["the hub calls"] == accelerators["vni-cpo-staging-third-party"]
    assert said["or, through firewalls, to"] == accelerators["vni-cpo-staging-charging-point"]
    load_balancers = account.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert said["charging points connect to"] in {b["DNSName"] for b in load_balancers}


# --- what exists --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "zones", "nats"), [("staging", 2, 1), ("production", 3, 3)]
)
def test_the_network(ec2, staging, production, environment, zones, nats):
    (vpc,) = ec2.describe_vpcs(Filters=of(environment))["Vpcs"]
    inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
    subnets = {
        name_of(s).removeprefix(f"vni-cpo-{environment}-"): s
        for s in ec2.describe_subnets(Filters=inside)["Subnets"]
    }
    letters = "abc"[:zones]
    assert set(subnets) == {f"{k}-{z}" for k in ("public", "private") for z in letters}
    assert len({s["CidrBlock"] for s in subnets.values()}) == 2 * zones
    for zone in letters:
        places = {subnets[f"{kind}-{zone}"]["AvailabilityZone"] for kind in ("public", "private")}
        assert len(places) == 1
    assert len({s["AvailabilityZone"] for s in subnets.values()}) == zones
    gateways = ec2.describe_nat_gateways(Filters=of(environment))["NatGateways"]
    assert len(gateways) == nats
    assert {g["SubnetId"] for g in gateways} == {
        subnets[f"public-{zone}"]["SubnetId"] for zone in letters[:nats]
    }
    way_out = {}
    for table in ec2.describe_route_tables(Filters=inside)["RouteTables"]:
        default = [r for r in table["Routes"] if r.get("DestinationCidrBlock") == "0.0.0.0/0"]
        for association in table["Associations"]:
            if "SubnetId" in association and default:
                route = default[0]
                way_out[association["SubnetId"]] = route.get("NatGatewayId") or route["GatewayId"]
    nat_in = {g["SubnetId"]: g["NatGatewayId"] for g in gateways}
    for zone in letters:
        assert way_out[subnets[f"public-{zone}"]["SubnetId"]].startswith("igw-")
        own = nat_in.get(subnets[f"public-{zone}"]["SubnetId"])
        assert way_out[subnets[f"private-{zone}"]["SubnetId"]] == (
            own or gateways[0]["NatGatewayId"]
        )
    endpoints = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    (endpoint,) = [e for e in endpoints if e["VpcId"] == vpc["VpcId"]]
    assert endpoint["ServiceName"] == "com.amazonaws.eu-central-1.s3"
    assert len(endpoint["RouteTableIds"]) == zones
    (flow_log,) = [
        f for f in ec2.describe_flow_logs()["FlowLogs"] if f["ResourceId"] == vpc["VpcId"]
    ]
    assert flow_log["LogDestination"] == f"/vni/{environment}/network"


@pytest.mark.parametrize(
    ("environment", "hub"), [("staging", HUB), ("production", ["192.0.2.1/32"])]
)
def test_who_may_talk_to_whom(ec2, staging, production, environment, hub):
    found = groups(ec2, environment)
    ids = {name: group["GroupId"] for name, group in found.items()}
    admitted = {name: rules(group["IpPermissions"]) for name, group in found.items()}
    assert admitted == {
        "chargingpointloadbalancer": {
            (port, "0.0.0.0/0") for port in ([443, 8443] if environment == "production" else [443])
        },
        "thirdpartyloadbalancer": {(443, cidr) for cidr in hub},
        "chargingpointtasks": {(9000, ids["chargingpointloadbalancer"])},
        "thirdpartytasks": {(9100, ids["thirdpartyloadbalancer"])},
        "database": {(5432, ids["chargingpointtasks"]), (5432, ids["thirdpartytasks"])},
    }
    nowhere = (252, "255.255.255.255/32")
    leaving = {name: rules(group["IpPermissionsEgress"]) for name, group in found.items()}
    assert leaving == {
        "chargingpointloadbalancer": {nowhere, (9000, ids["chargingpointtasks"])},
        "thirdpartyloadbalancer": {nowhere, (9100, ids["thirdpartytasks"])},
        "chargingpointtasks": {(443, "0.0.0.0/0"), (5432, "10.40.0.0/16")},
        "thirdpartytasks": {(443, "0.0.0.0/0"), (5432, "10.40.0.0/16")},
        "database": {nowhere},
    }


def test_the_registry(account, staging):
    ecr = account.client("ecr")
    for service in SERVICES:
        name = f"vni-backend-{service}-staging"
        (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        assert repository["imageTagMutability"] == "IMMUTABLE"
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        policy = ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]
        assert json.loads(policy)["rules"][0]["action"] == {"type": "expire"}
        found = ecr.describe_images(repositoryName=name)["imageDetails"]
        # Those without a tag are of the others: an image is a list of one for each processor.
        (image,) = [image for image in found if image.get("imageTags")]
        running = definition(account, services(account, "staging")[service])
        (container, *_) = running["containerDefinitions"]
        assert container["image"] == f"{repository['repositoryUri']}:{image['imageTags'][0]}"


def test_images_are_built_for_the_tasks_processors_and_pushed_once(account, staging, production):
    built = [words for words in account.engine_did() if words[0] == "build"]
    assert len(built) == 4
    for words in built:
        assert words[words.index("--platform") + 1] == "linux/arm64"
    pushed = [words[1] for words in account.engine_did() if words[0] == "push"]
    assert len(set(pushed)) == len(pushed) == 4


@pytest.mark.parametrize(
    ("environment", "protected", "days", "instances"),
    [("staging", False, 7, 1), ("production", True, 35, 2)],
)
def test_the_database(account, staging, production, environment, protected, days, instances):
    rds = account.client("rds")
    (cluster,) = rds.describe_db_clusters(DBClusterIdentifier=f"vni-cpo-{environment}")[
        "DBClusters"
    ]
    assert cluster["Engine"] == "aurora-postgresql"
    assert cluster["StorageEncrypted"] is True
    assert cluster["BackupRetentionPeriod"] == days
    assert cluster["DeletionProtection"] is protected
    assert cluster["MasterUserSecret"]["SecretArn"]
    found = rds.describe_db_instances()["DBInstances"]
    mine = [i for i in found if i["DBClusterIdentifier"] == f"vni-cpo-{environment}"]
    assert len(mine) == instances
    for instance in mine:
        assert instance["DBInstanceClass"] == "db.serverless"
        assert instance["PubliclyAccessible"] is False
    group = groups(account.client("ec2"), environment)["database"]["GroupId"]
    assert [g["VpcSecurityGroupId"] for g in cluster["VpcSecurityGroups"]] == [group]


def test_the_migration_really_migrated(server_url, account, staging):
    """The task's command ran, as the schema's owner, and made the services' user."""
    url = with_database(server_url, f"{account.number}_vni-cpo-staging")
    with psycopg.connect(url) as connection:
        (owner,) = connection.execute(
            "SELECT tableowner FROM pg_tables WHERE tablename = 'sessions'"
        ).fetchone()
        (allowed,) = connection.execute(
            "SELECT has_table_privilege('vni_application', 'sessions', 'INSERT')"
        ).fetchone()
    assert owner == "vni_owner"
    assert allowed
    streams = account.client("logs").describe_log_streams(logGroupName="/vni/staging/migrations")[
        "logStreams"
    ]
    assert all(stream["logStreamName"].startswith("charging-point/") for stream in streams)
    # The schema, and the rights of the operations' user.
    assert len(streams) == 3


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service(account, staging, production, environment, service):
    found = services(account, environment)[service]
    network = found["networkConfiguration"]["awsvpcConfiguration"]
    assert network["assignPublicIp"] == "DISABLED"
    exports = account.outputs(f"vni-cpo-network-{environment}")
    private = {value for name, value in exports.items() if name.startswith("PrivateSubnet")}
    assert set(network["subnets"]) == private
    tasks = groups(account.client("ec2"), environment)[f"{service.replace('-', '')}tasks"]
    assert network["securityGroups"] == [tasks["GroupId"]]
    breaker = found["deploymentConfiguration"]["deploymentCircuitBreaker"]
    assert breaker == {"enable": True, "rollback": True}
    assert found["launchType"] == "FARGATE"
    # Roots are read-only, so that nobody could enter a task: `make operations` is the way.
    assert not found.get("enableExecuteCommand")
    least = 3 if (environment, service) == ("production", "charging-point") else 2
    assert found["desiredCount"] == found["runningCount"] == least


@pytest.mark.parametrize(
    ("service", "cpu", "memory"),
    [("charging-point", "1024", "2048"), ("third-party", "512", "1024")],
)
def test_a_task(account, staging, service, cpu, memory):
    task = definition(account, services(account, "staging")[service])
    assert (task["cpu"], task["memory"], task["networkMode"]) == (cpu, memory, "awsvpc")
    assert task["runtimePlatform"]["cpuArchitecture"] == "ARM64"
    secret = account.outputs("vni-cpo-database-staging")["ApplicationSecret"]
    for container in task["containerDefinitions"]:
        assert container["stopTimeout"] == 120
        assert container["linuxParameters"]["initProcessEnabled"] is True
        assert container["readonlyRootFilesystem"] is True
        assert container["user"] == "10001:10001"
        secrets = {s["name"]: s["valueFrom"] for s in container["secrets"]}
        assert secrets["DATABASE_PASSWORD"] == f"{secret}:password::"
        assert not {"DATABASE_PASSWORD", "DATABASE_URL"} & {
            e["name"] for e in container["environment"]
        }
        log = container["logConfiguration"]["options"]
        assert log["awslogs-group"] == f"/vni/staging/{service}"
    logs = account.client("logs").describe_log_groups(logGroupNamePrefix="/vni/staging/")
    assert {group["retentionInDays"] for group in logs["logGroups"]} == {30}


def test_the_relay_knows_the_hub_by_a_version_of_the_secret(
    account, staging, production, hub_files
):
    tasks = {e: definition(account, services(account, e)["third-party"]) for e in ENVIRONMENTS}
    relays = {e: task["containerDefinitions"][1] for e, task in tasks.items()}
    told = {e: {v["name"]: v["value"] for v in relay["environment"]} for e, relay in relays.items()}
    assert told["staging"]["THIRD_PARTY_HUB_URL"] == ""
    assert told["production"]["THIRD_PARTY_HUB_URL"] == "https://hub.example"
    assert told["production"]["THIRD_PARTY_OPERATOR_NAME"] == "Venerable Inertia"
    secret = account.client("secretsmanager").get_secret_value(SecretId="vni-cpo-production-hub")
    kept = json.loads(secret["SecretString"])
    assert kept["key"].encode() == Path(hub_files["HUB_KEY"]).read_bytes()
    names = {s["name"]: s["valueFrom"] for s in relays["production"]["secrets"]}
    version = f"::{secret['VersionId']}"
    assert names["THIRD_PARTY_HUB_KEY"] == f"{secret['ARN']}:key{version}"
    assert names["THIRD_PARTY_HUB_CERTIFICATE"] == f"{secret['ARN']}:certificate{version}"
    assert "THIRD_PARTY_HUB_CA" not in names
    assert {s["name"] for s in relays["staging"]["secrets"]} == {
        "DATABASE_USER",
        "DATABASE_PASSWORD",
    }
    web = {
        v["name"]: v["value"] for v in tasks["staging"]["containerDefinitions"][0]["environment"]
    }
    assert web["THIRD_PARTY_ALLOWED_CIDRS"] == ",".join(HUB)


def certificate_arn(account, name):
    known = account.client("ssm").get_parameter(Name=f"/vni/staging/{name}-certificate-arn")
    return known["Parameter"]["Value"]


def test_load_balancers(account, staging, production):
    elb = account.client("elbv2")
    exports = account.outputs("vni-cpo-network-staging")
    for service, arn in balancers(account, "staging").items():
        (balancer,) = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
        public = service == "charging-point"
        assert balancer["Scheme"] == ("internet-facing" if public else "internal")
        kind = "Public" if public else "Private"
        assert {z["SubnetId"] for z in balancer["AvailabilityZones"]} == {
            exports[f"{kind}Subnet{zone}"] for zone in "AB"
        }
        (listener,) = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
        assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
        # Where nobody asks for certificates, no header is refused and none believed.
        assert all(r["IsDefault"] for r in rules_of(elb, listener))
        assert listener["SslPolicy"] == TLS_POLICIES[service]
        assert [c["CertificateArn"] for c in listener["Certificates"]] == [
            certificate_arn(account, service)
        ]
        listed = {
            r["Properties"]["Certificates"][0]["CertificateArn"]
            for r in account.recorded("AWS::ElasticLoadBalancingV2::ListenerCertificate")
            if r["Properties"]["ListenerArn"] == listener["ListenerArn"]
        }
        chosen = [service, f"{service}-ecdsa"] if public else []
        assert listed == {certificate_arn(account, name) for name in chosen}
        answer = elb.describe_target_groups(LoadBalancerArn=arn)
        (target,) = answer["TargetGroups"] or pytest.fail("no targets")
        assert target["TargetType"] == "ip"
        assert target["HealthCheckPath"] == "/health/live"
        assert target["Port"] == (9000 if public else 9100)


def rules_of(elb, listener):
    return elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]


def test_charging_points_with_a_certificate_have_a_port_of_their_own(account, ec2, production):
    """What the nodes then believe of a certificate, nobody can write himself at the other port."""
    elb = account.client("elbv2")
    balancer = balancers(account, "production")["charging-point"]
    found = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    listeners = {one["Port"]: one for one in found}
    assert set(listeners) == {443, 8443}
    targets = [one["DefaultActions"][0]["TargetGroupArn"] for one in found]
    assert targets[0] == targets[1]
    (mutual,) = [
        r["Properties"]
        for r in account.recorded("AWS::ElasticLoadBalancingV2::Listener")
        if r["Properties"]["LoadBalancerArn"] == balancer
    ]
    assert mutual["Port"] in (8443, "8443")
    (store,) = account.recorded("AWS::ElasticLoadBalancingV2::TrustStore")
    assert mutual["MutualAuthentication"]["Mode"] == "verify"
    assert mutual["MutualAuthentication"]["TrustStoreArn"] == store["PhysicalId"]
    where = store["Properties"]
    bundle = (
        account.client("s3")
        .get_object(
            Bucket=where["CaCertificatesBundleS3Bucket"], Key=where["CaCertificatesBundleS3Key"]
        )["Body"]
        .read()
    )
    assert len(x509.load_pem_x509_certificates(bundle)) == 1
    assert b"PRIVATE" not in bundle
    (rule,) = [r for r in rules_of(elb, listeners[443]) if not r["IsDefault"]]
    (condition,) = rule["Conditions"]
    assert condition["HttpHeaderConfig"] == {"HttpHeaderName": SUBJECT_HEADER, "Values": ["*"]}
    assert rule["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "400"
    assert all(r["IsDefault"] for r in rules_of(elb, listeners[8443]))
    task = definition(account, services(account, "production")["charging-point"])
    told = {v["name"]: v["value"] for v in task["containerDefinitions"][0]["environment"]}
    assert told["CP_BACKEND_BALANCER_VERIFIES_CERTIFICATES"] == "true"
    network = account.outputs("vni-cpo-network-production")["VpcCidr"]
    assert told["CP_BACKEND_BALANCER_NETWORKS"] == network
    group = groups(ec2, "production")["chargingpointloadbalancer"]
    assert (8443, "0.0.0.0/0") in rules(group["IpPermissions"])
    assert re.search(r"with certificates, at port +8443$", production, re.MULTILINE)


def test_services_have_names_in_the_hosted_zone(account, production):
    records = {
        r["PhysicalId"]: r["Properties"] for r in account.recorded("AWS::Route53::RecordSet")
    }
    accelerators = {
        r["Properties"]["Name"]: r["Attributes"]["DnsName"]
        for r in account.recorded("AWS::GlobalAccelerator::Accelerator")
    }
    for service in SERVICES:
        name = f"{service}.charging.example"
        record = records[name]
        assert (record["HostedZoneId"], record["Type"]) == ("Z0123456789ABC", "A")
        target = record["AliasTarget"]
        assert target["DNSName"] == accelerators[f"vni-cpo-production-{service}"]
        known = account.client("ssm").get_parameter(
            Name=f"/vni/production/{service}-certificate-arn"
        )
        pem = account.client("acm").get_certificate(CertificateArn=known["Parameter"]["Value"])
        assert name in names_in(x509.load_pem_x509_certificate(pem["Certificate"].encode()))
    assert len(records) == 2
    assert "charging points connect to   charging-point.charging.example\n" in production


def test_the_load_balancer_outwaits_a_silent_charging_point(account, staging, production):
    elb = account.client("elbv2")
    arns = balancers(account, "production")
    attributes = {
        a["Key"]: a["Value"]
        for a in elb.describe_load_balancer_attributes(LoadBalancerArn=arns["charging-point"])[
            "Attributes"
        ]
    }
    assert 60 + 20 < int(attributes["idle_timeout.timeout_seconds"]) <= 4000
    assert attributes["deletion_protection.enabled"] == "true"
    (target,) = elb.describe_target_groups(LoadBalancerArn=arns["charging-point"])["TargetGroups"]
    drain = {
        a["Key"]: a["Value"]
        for a in elb.describe_target_group_attributes(TargetGroupArn=target["TargetGroupArn"])[
            "Attributes"
        ]
    }
    assert int(drain["deregistration_delay.timeout_seconds"]) >= 100


def test_autoscaling(account, staging, production):
    scaling = account.client("application-autoscaling")
    targets = {
        t["ResourceId"]: (t["MinCapacity"], t["MaxCapacity"])
        for t in scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    }
    at = "service/vni-cpo-{0}/vni-backend-{1}-{0}".format
    assert targets[at("production", "charging-point")] == (3, 5)
    assert targets[at("staging", "third-party")] == (2, 4)
    policies = {
        (p["ResourceId"], p["PolicyName"]): p["TargetTrackingScalingPolicyConfiguration"]
        for p in scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    }
    assert {name for resource, name in policies if "third-party" in resource} == {"cpu"}
    connections = policies[at("staging", "charging-point"), "connections"]
    assert connections["CustomizedMetricSpecification"]["MetricName"] == "Connections"


def test_the_accelerators_lead_to_the_load_balancers(account, staging, production):
    listeners = {
        r["Attributes"]["ListenerArn"]: r["Properties"]["AcceleratorArn"]
        for r in account.recorded("AWS::GlobalAccelerator::Listener")
    }
    names = {
        r["Attributes"]["AcceleratorArn"]: r["Properties"]["Name"]
        for r in account.recorded("AWS::GlobalAccelerator::Accelerator")
    }
    led = {}
    for group in account.recorded("AWS::GlobalAccelerator::EndpointGroup"):
        properties = group["Properties"]
        (endpoint,) = properties["EndpointConfigurations"]
        assert str(endpoint["ClientIPPreservationEnabled"]).lower() == "true"
        led[names[listeners[properties["ListenerArn"]]]] = endpoint["EndpointId"]
    assert led == {
        f"vni-cpo-{environment}-{service}": arn
        for environment in ENVIRONMENTS
        for service, arn in balancers(account, environment).items()
    }


def test_who_may_read_which_secret(account, staging):
    """Only the migration reads the owner's secret; the programs themselves read none."""
    iam = account.client("iam")
    outputs = account.outputs("vni-cpo-database-staging")
    may = {}
    for role in iam.list_roles()["Roles"]:
        if not role["RoleName"].startswith("vni-cpo-staging-"):
            continue
        for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)
            for statement in policy["PolicyDocument"]["Statement"]:
                if "secretsmanager:GetSecretValue" in statement["Action"]:
                    may[role["RoleName"].removeprefix("vni-cpo-staging-")] = set(
                        statement["Resource"]
                    )
    assert may["migration-execution"] == {
        outputs[f"{name}Secret"] for name in ("Master", "Application", "Operations", "Console")
    }
    assert may["operations-execution"] == {outputs["OperationsSecret"]}
    assert outputs["MasterSecret"] not in may["execution"]
    assert not {name for name in may if "task" in name}


def test_certificates_are_for_every_way_in_and_for_one_service_each(account, staging):
    authority_file = account.project / "var/certificates/staging/ca.pem"
    assert str(authority_file) in staging
    authority = x509.load_pem_x509_certificate(authority_file.read_bytes())
    outputs = account.outputs("vni-cpo-services-staging")
    outputs |= account.outputs("vni-cpo-accelerator-staging")
    ways = {
        title: {outputs[f"{title}Host"], outputs[f"{title}AcceleratorHost"]}
        | set(outputs[f"{title}Addresses"].split(","))
        for title in ("ChargingPoint", "ThirdParty")
    }
    for name, kind in LIVE.items():
        answer = account.client("acm").get_certificate(
            CertificateArn=certificate_arn(account, name)
        )
        certificate = x509.load_pem_x509_certificate(answer["Certificate"].encode())
        certificate.verify_directly_issued_by(authority)
        own = "ThirdParty" if "third-party" in kind.services else "ChargingPoint"
        expected = {f"{kind.services[0]}.staging.vni.internal"} | {n.lower() for n in ways[own]}
        assert names_in(certificate) == expected


def test_the_authoritys_key_is_in_no_file(account, staging):
    stored = account.client("secretsmanager").get_secret_value(
        SecretId="vni-cpo-staging-certificate-authority"
    )
    key = json.loads(stored["SecretString"])["key"]
    serialization.load_pem_private_key(key.encode(), None)
    line = key.splitlines()[1]
    for file in account.project.parent.rglob("*"):
        if file.is_file() and ".git" not in file.parts:
            assert line not in file.read_text(errors="replace"), file


def test_status(account, staging):
    run = account.make("environment-status", ENVIRONMENT="staging")
    assert run.returncode == 0, run.stdout + run.stderr
    for stack in STACKS:
        state = rf"not there \({OPTIONAL[stack]}\)" if stack in OPTIONAL else "CREATE_COMPLETE"
        assert re.search(rf"^  {stack} +{state}", run.stdout, re.MULTILINE), run.stdout
    for service in SERVICES:
        assert f"vni-backend-{service}-staging " in run.stdout
    assert "2 of 2 tasks" in run.stdout
    assert re.search(
        r" RUNNING +vni-backend-third-party-staging +image [0-9a-f]{12}$", run.stdout, re.MULTILINE
    )
    assert "of which 0 ring" in run.stdout
    region = account.variables["AWS_DEFAULT_REGION"]
    home, here = f"https://{region}.console.aws.amazon.com", f"?region={region}"
    group = "$252Fvni$252Fstaging$252Fcharging-point"
    service = "clusters/vni-cpo-staging/services/vni-backend-third-party-staging/health"
    for address in (
        f"{home}/cloudwatch/home{here}#dashboards/dashboard/vni-cpo-staging",
        f"{home}/cloudwatch/home{here}#logsV2:log-groups/log-group/{group}",
        f"{home}/ecs/v2/{service}{here}",
    ):
        assert re.search(rf" {re.escape(address)}$", run.stdout, re.MULTILINE), address


def test_alarms_tell_the_topic_and_lead_to_the_runbook(account, staging):
    topic = account.outputs("vni-cpo-alerts-staging")["Topic"]
    answer = account.client("cloudwatch").describe_alarms(AlarmNamePrefix="vni-cpo-staging-")
    alarms = {a["AlarmName"].removeprefix("vni-cpo-staging-"): a for a in answer["MetricAlarms"]}
    assert {"charging-point-cpu", "database-capacity", "certificate-expiry"} <= set(alarms)
    runbook = (account.project / "docs/runbook.md").read_text()
    for name, alarm in alarms.items():
        assert topic in alarm["AlarmActions"], name
        assert f"\n## {name}\n" in runbook


def test_logs_are_followed_as_they_are_written(account, staging):
    logs = account.client("logs")
    where = {"logGroupName": "/vni/staging/charging-point", "logStreamName": "one"}
    logs.create_log_stream(**where)
    process = account.start("tail-logs", ENVIRONMENT="staging", MINUTES="5")
    # Its silence must not last for ever.
    end = threading.Timer(120, os.killpg, (process.pid, signal.SIGKILL))
    end.start()
    try:
        for word in ("first", "second"):
            now = int(datetime.now(UTC).timestamp() * 1000)
            logs.put_log_events(**where, logEvents=[{"timestamp": now, "message": word}])
            for line in process.stdout:
                if line.rstrip().endswith(word):
                    break
            else:
                pytest.fail(f"{word} was never shown")
    finally:
        end.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


def operations(account, arguments, **more):
    return account.make("operations", ENVIRONMENT="staging", ARGS=arguments, **more)


def test_operations_run_as_a_task_and_leave_no_secret_in_a_log(account, staging, tmp_path):
    run = operations(account, "charging-points register CP00001 --json")
    assert run.returncode == 0, run.stderr
    password = json.loads(run.stdout)["password"]
    listed = operations(account, "charging-points list --json")
    found = {row["charging_point"] for row in json.loads(listed.stdout)}
    assert found == {"CP00001", TEST_CHARGING_POINT}
    assert password not in listed.stdout
    logs = account.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        events = logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        assert not [e for e in events if password in e["message"]], group["logGroupName"]
    bucket = account.outputs("vni-cpo-storage-staging")["Operations"]
    assert account.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_command_that_fails_says_so_and_what_is_wrong_runs_nothing(account, staging):
    run = operations(account, "charging-points register CP00001")
    assert run.returncode == 2
    assert "CP00001" in run.stdout
    for arguments, more, word in (
        ("", {}, "ARGS is not set: give the command"),
        ("evses import FILE", {"FILE": "/no/such"}, "which is no file"),
        ("evses import x.csv", {"FILE": "/no/such"}, "put the word FILE into ARGS"),
    ):
        run = operations(account, arguments, **more)
        assert run.returncode == 2
        assert word in run.stderr


def test_a_command_reads_a_file_that_was_given(account, staging, tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text("no,such,columns\n1,2,3\n")
    run = operations(account, "prices import FILE", FILE=str(file))
    assert run.returncode != 0
    # It was read, in the task, and refused for what is in it.
    assert "columns" in run.stdout or "column" in run.stdout, run.stdout + run.stderr


def test_operations_have_a_user_of_their_own_at_the_database(server_url, account, staging):
    url = with_database(server_url, f"{account.number}_vni-cpo-staging")
    with psycopg.connect(url) as connection:
        rights = connection.execute(
            "SELECT has_table_privilege('vni_operations', 'charging_points', 'INSERT'),"
            " pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'charging_points'"
        ).fetchone()
    assert rights == (True, "vni_owner")
    task = account.client("ecs").describe_task_definition(
        taskDefinition=account.outputs("vni-cpo-services-staging")["OperationsTask"]
    )["taskDefinition"]
    (container,) = task["containerDefinitions"]
    assert all("database-operations" in secret["valueFrom"] for secret in container["secrets"])
    # At AWS it may keep files and archives, and nothing else.
    assert task["taskRoleArn"].endswith(":role/vni-cpo-staging-operations-task")
    kept = {each["name"]: each["value"] for each in container["environment"]}
    assert kept["ARCHIVE_STORE"] == f"s3://vni-cpo-staging-archive-{account.number}"


@pytest.mark.skipif(NGINX is None, reason=NO_NGINX)
def test_the_simulator_runs_against_the_environment_as_it_stands(
    server_url, account, staging, tmp_path
):
    """A node on the environment's database, behind TLS by the environment's authority."""
    secret = account.client("secretsmanager").get_secret_value(
        SecretId="vni-cpo-staging-certificate-authority"
    )
    authority = Authority.from_json(secret["SecretString"])
    for file, content in zip(
        ("chain.pem", "key.pem"), authority.issue(own_names("staging")), strict=True
    ):
        (tmp_path / file).write_bytes(content)
    url = with_database(server_url, f"{account.number}_vni-cpo-staging")
    port = free_port()
    words = ["cp_backend", "--host", "127.0.0.1", "--port", str(port)]
    with Program(words, tmp_path / "node.log", {"DATABASE_URL": url}) as node:
        node.wait_until_ready(f"http://127.0.0.1:{port}/health/ready")
        balancer = LoadBalancer(
            tmp_path, tmp_path, port, idle_seconds=60, name=own_names("staging")[0]
        )
        try:
            simulated = {"ENVIRONMENT": "staging", "BACKEND_HOSTNAME": "127.0.0.1"}
            arguments = f"hello --port {balancer.port} --count 1"
            run = account.make("run-charging-point-simulator", ARGS=arguments, **simulated)
            assert run.returncode == 0, run.stdout + run.stderr
            assert f"connected to wss://127.0.0.1:{balancer.port}/SIM00001" in run.stdout
            # The password counts, and another machine fetches what the first one has in files.
            run = account.make(
                "run-charging-point-simulator",
                ARGS=arguments,
                CHARGING_POINT_PASSWORD="wrong",
                **simulated,
            )
            assert "401" in run.stderr
            shutil.rmtree(account.project / "var/simulator")
            shutil.rmtree(account.project / "var/certificates/staging")
            run = account.make("run-charging-point-simulator", ARGS=arguments, **simulated)
            assert run.returncode == 0, run.stdout + run.stderr
        finally:
            balancer.stop()


# --- again, and changed -------------------------------------------------------------------


def test_a_second_run_changes_nothing_and_says_so(account, staging, production):
    before = account.client("cloudformation").describe_stacks()["Stacks"]
    built = account.engine_did()
    again = account.make(
        "deploy-backend-services",
        ENVIRONMENT="staging",
        WHITELIST_IP="203.0.113.7,198.51.100.0/24",
        VERBOSE="1",
    )
    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r"^Nothing changed; \d+ s\.$", again.stdout, re.MULTILINE)
    assert account.client("cloudformation").describe_stacks()["Stacks"] == before
    assert account.engine_did() == built
    said = re.findall(r"^ ?\d+/\d+ .+?  +(.+) \(", again.stdout, re.MULTILINE)
    assert {word.split(",")[0] for word in said} == {"no changes"}
    # The emulator would do without; AWS does not.
    deployed = [line for line in again.stderr.splitlines() if "cloudformation deploy" in line]
    assert len(deployed) >= 7
    for call in deployed:
        assert "--capabilities CAPABILITY_NAMED_IAM --no-fail-on-empty-changeset" in call


def test_a_plan_says_what_would_change_and_changes_nothing(account, staging, production):
    cloudformation = account.client("cloudformation")

    def look():
        return cloudformation.describe_stacks()["Stacks"]

    def plan(**variables):
        run = account.make("plan", **{"ENVIRONMENT": "staging", **variables})
        assert run.returncode == 0, run.stderr
        return run.stdout

    def change_sets():
        """Those that nobody executed."""
        return [
            one
            for stack in before
            for one in cloudformation.list_change_sets(StackName=stack["StackName"])["Summaries"]
            if one["ExecutionStatus"] != "EXECUTE_COMPLETE" and one not in there
        ]

    before, there = look(), []
    there = change_sets()
    same = "203.0.113.7,198.51.100.0/24"
    assert "Nothing would change." in plan(WHITELIST_IP=same)
    said = plan(WHITELIST_IP="192.0.2.77", CHARGING_POINTS="40000")
    assert re.search(r"^network +no changes$", said, re.MULTILINE)
    assert re.search(r"^firewall +\d+ changes$", said, re.MULTILINE), said
    # Whether it would be replaced, AWS knows better than this emulator.
    changed = (
        r"^  modify  ThirdPartyLoadBalancer AWS::EC2::SecurityGroup .*\(SecurityGroupIngress\)$"
    )
    assert re.search(changed, said, re.MULTILINE), said
    assert re.search(r"^services +\d+ changes$", said, re.MULTILINE)
    said = plan(ENVIRONMENT="featurex", WHITELIST_IP=same)
    assert re.search(r"^database +new, up to \d+ resources$", said, re.MULTILINE)
    assert re.search(r"^image charging-point +none → [0-9a-f]{12}$", said, re.MULTILINE)
    assert look() == before
    assert change_sets() == []


def test_production_shows_its_plan_and_asks(account, production, hub_files):
    firewall = account.outputs("vni-cpo-firewall-production")
    (group,) = account.client("ec2").describe_security_groups(
        GroupIds=[firewall["ThirdPartyLoadBalancer"]]
    )["SecurityGroups"]
    run = account.make(
        "deploy-backend-services", ENVIRONMENT="production", WHITELIST_IP="192.0.2.77"
    )
    assert run.returncode == 2
    assert "modify  ThirdPartyLoadBalancer AWS::EC2::SecurityGroup" in run.stdout
    assert "not confirmed; nothing was deployed (CONFIRM=production confirms" in run.stderr
    (after,) = account.client("ec2").describe_security_groups(
        GroupIds=[firewall["ThirdPartyLoadBalancer"]]
    )["SecurityGroups"]
    assert after == group
    said = account.deploy("production", WHITELIST_IP="192.0.2.77", CONFIRM="production")
    assert said.index("modify  ThirdPartyLoadBalancer") < said.index("production is deployed in")
    # What changes nothing is not asked about.
    assert "Nothing changed" in account.deploy("production", WHITELIST_IP="192.0.2.77")


def test_an_update_rolls_only_what_changed(account, staging, production):
    before = {e: services(account, e) for e in ENVIRONMENTS}
    settings = account.project / "third_party_backend/__init__.py"
    settings.write_text(settings.read_text() + "\n# changed\n")
    account.commit("Change the hub's service")
    said = account.deploy("staging", target="deploy-third-party-backend")
    assert re.search(r"^third-party runs [0-9a-f]{12} in \d+ s\.$", said, re.MULTILINE)
    after = {e: services(account, e) for e in ENVIRONMENTS}
    assert after["production"] == before["production"]
    assert after["staging"]["charging-point"] == before["staging"]["charging-point"]
    old, new = (
        definition(account, state["staging"]["third-party"])["containerDefinitions"][0]["image"]
        for state in (before, after)
    )
    assert old.rsplit(":", 1)[0] == new.rsplit(":", 1)[0]
    assert old != new


MIGRATION = '''"""Of the tests."""

from alembic import op

revision = "{number}"
down_revision = "{before}"


def upgrade() -> None:
    """Change something."""
    op.execute("{statement}")


def downgrade() -> None:
    """Nothing to do."""
'''
VERSIONS = "charging/database/migrations/versions"


def newest(account):
    """The number of the project's newest migration."""
    return max(f.name[:4] for f in (account.project / VERSIONS).glob("[0-9]*.py"))


def add_migration(account, number, statement):
    text = MIGRATION.format(number=number, before=newest(account), statement=statement)
    file = account.project / VERSIONS / f"{number}_of_the_tests.py"
    file.write_text(text)
    account.commit(f"Add the migration {number}")
    return file


def migrations_run(account):
    streams = account.client("logs").describe_log_streams(logGroupName="/vni/staging/migrations")
    return len(streams["logStreams"])


def image_of(account, service):
    running = definition(account, services(account, "staging")[service])
    return running["containerDefinitions"][0]["image"].rsplit(":", 1)[1]


def test_a_migration_that_fails_leaves_the_services_as_they_are(account, staging, production):
    before = services(account, "staging")
    file = add_migration(account, "9997", "SELECT no_such_function()")
    run = account.make("deploy-third-party-backend", ENVIRONMENT="staging")
    assert run.returncode == 2
    assert "`make deploy-cp-backend` brings it there first" in run.stderr
    run = account.make("deploy-cp-backend", ENVIRONMENT="staging")
    assert run.returncode == 2
    assert "the migration failed" in run.stderr
    assert "no_such_function" in run.stderr
    assert services(account, "staging") == before
    file.unlink()
    account.commit("Take the migration back")


def test_going_back_past_a_migration_works(server_url, account, staging, production):
    account.deploy("staging", target="deploy-cp-backend")
    old = image_of(account, "charging-point")
    add_migration(account, "9998", "CREATE TABLE of_the_tests (id int)")
    account.deploy("staging", target="deploy-cp-backend")
    assert image_of(account, "charging-point") != old
    url = with_database(server_url, f"{account.number}_vni-cpo-staging")
    with psycopg.connect(url) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert revision == "9998"
    ran = migrations_run(account)
    # The older image's migrations know no 9998: run, they would fail, and nothing would go back.
    said = account.deploy("staging", target="deploy-cp-backend", IMAGE_TAG=old)
    assert f"charging-point runs {old}" in said
    assert image_of(account, "charging-point") == old
    assert migrations_run(account) == ran
    # Forward again: the schema is there already.
    account.deploy("staging", target="deploy-cp-backend")
    assert image_of(account, "charging-point") != old
    assert migrations_run(account) == ran


def digest_of(account, environment, service):
    """The digest of the image that a service runs."""
    image = definition(account, services(account, environment)[service])["containerDefinitions"][0]
    repository, tag = image["image"].rsplit("/", 1)[1].rsplit(":", 1)
    (found,) = account.client("ecr").describe_images(
        repositoryName=repository, imageIds=[{"imageTag": tag}]
    )["imageDetails"]
    return found["imageDigest"]


def test_production_gets_the_image_that_staging_runs_by_digest(account, staging, production):
    def promote(**more):
        return account.make("promote", ENVIRONMENT="production", **more)

    pushed = len(account.engine_did())
    wanted = {service: digest_of(account, "staging", service) for service in SERVICES}
    before = {service: digest_of(account, "production", service) for service in SERVICES}
    assert all(before[service] != wanted[service] for service in SERVICES)
    assert "FROM is not set" in promote().stderr
    assert "FROM is 'production', which is where" in promote(FROM="production").stderr
    assert "nowhere runs no charging-point" in promote(FROM="nowhere").stderr
    run = promote(FROM="staging")
    assert run.returncode == 2
    assert "not confirmed; nothing was deployed" in run.stderr
    assert {service: digest_of(account, "production", service) for service in SERVICES} == before
    run = promote(FROM="staging", CONFIRM="production")
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"copied from staging, {wanted['third-party']}" in run.stdout
    assert "schema brought up to date" in run.stdout
    assert {service: digest_of(account, "production", service) for service in SERVICES} == wanted
    # No engine built or pushed anything, and what is there is not copied again.
    assert len(account.engine_did()) == pushed
    run = promote(FROM="staging")
    assert "Nothing changed" in run.stdout, run.stderr


def test_uncommitted_changes_are_not_deployed(account, staging):
    package = account.project / "cp_backend/__init__.py"
    text = package.read_text()
    package.write_text(text + "\n# not committed\n")
    run = account.make("deploy-cp-backend", ENVIRONMENT="staging")
    package.write_text(text)
    assert run.returncode == 2
    assert "cp_backend/__init__.py has changes that are not committed" in run.stderr


# --- and away -----------------------------------------------------------------------------


def test_alarms_reach_a_pager_and_dear_months_alarm(account, production):
    topic = account.outputs("vni-cpo-alerts-production")["Topic"]
    heard = account.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(s["Protocol"], s["Endpoint"]) for s in heard] == [
        ("https", "https://pager.example/vni")
    ]
    (budget,) = (r["Properties"] for r in account.recorded("AWS::Budgets::Budget"))
    assert budget["Budget"]["BudgetLimit"] == {"Amount": "2500", "Unit": "USD"}
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:Environment$production"]}
    told = [
        (n["Notification"]["NotificationType"], n["Subscribers"][0]["Address"])
        for n in budget["NotificationsWithSubscribers"]
    ]
    assert told == [("ACTUAL", topic), ("FORECASTED", topic)]


def test_everything_carries_who_owns_and_who_pays_for_it(account, staging, production):
    """Said once: a later deployment that does not say it keeps it."""
    carried = {"staging": set(), "production": set()}
    for stack in account.client("cloudformation").describe_stacks()["Stacks"]:
        tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
        assert tags["Project"] == "vni-cpo"
        if tags["Environment"] in carried:
            carried[tags["Environment"]].add((tags.get("Owner"), tags.get("CostCentre")))
    assert carried == {"staging": {(None, None)}, "production": {("Charging platform", "4711")}}


def test_deletion_wants_to_be_confirmed(account, staging, production):
    for confirmed, missing in (({}, "CONFIRM="), ({"CONFIRM": "production"}, "CONFIRM_AGAIN=")):
        run = account.make("delete-environment", ENVIRONMENT="production", **confirmed)
        assert run.returncode == 2
        assert "not confirmed; nothing was deleted" in run.stderr
        assert missing in run.stderr
    assert services(account, "production")


def test_delete_leaves_nothing_of_it_and_everything_of_the_other(account, staging, production):
    for environment in ("staging", "production"):
        for body in (b"1", b"2"):
            account.client("s3").put_object(
                Bucket=f"vni-cpo-{environment}-archive-{account.number}", Key="archive/x", Body=body
            )
    before = left(account, "production")
    # As Global Accelerator does on AWS, where it would keep the network from being deleted.
    account.client("ec2").create_security_group(
        GroupName="GlobalAccelerator",
        Description="made by the service",
        VpcId=account.outputs("vni-cpo-network-staging")["VpcId"],
        TagSpecifications=[
            {
                "ResourceType": "security-group",
                "Tags": [{"Key": "Environment", "Value": "staging"}],
            }
        ],
    )
    run = account.make("delete-environment", ENVIRONMENT="staging", CONFIRM="staging")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "staging is gone in" in run.stdout
    assert left(account, "staging") == {}
    assert left(account, "production") == before


def test_production_goes_after_a_second_word_and_leaves_a_snapshot(account, staging, production):
    run = account.make(
        "delete-environment",
        ENVIRONMENT="production",
        CONFIRM="production",
        CONFIRM_AGAIN="delete production and its sessions",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert left(account, "production") == {"DBClusterSnapshots": 1, "Buckets": 1}
    assert "kept the database's vni-cpo-production" in run.stdout
    archive = f"vni-cpo-production-archive-{account.number}"
    assert f"and the archive in {archive}" in run.stdout
    assert account.client("s3").get_object(Bucket=archive, Key="archive/x")["Body"].read() == b"2"


def left(account, environment):
    """What an account still has of an environment, by kind."""
    ec2, ecs, iam = (account.client(name) for name in ("ec2", "ecs", "iam"))
    looks = {
        "Stacks": lambda: account.client("cloudformation").describe_stacks()["Stacks"],
        "Vpcs": lambda: ec2.describe_vpcs(Filters=of(environment))["Vpcs"],
        "Addresses": lambda: ec2.describe_addresses(Filters=of(environment))["Addresses"],
        "NatGateways": lambda: ec2.describe_nat_gateways(Filters=of(environment))["NatGateways"],
        "SecurityGroups": lambda: ec2.describe_security_groups(Filters=of(environment))[
            "SecurityGroups"
        ],
        "FlowLogs": lambda: ec2.describe_flow_logs()["FlowLogs"],
        "Balancers": lambda: account.client("elbv2").describe_load_balancers()["LoadBalancers"],
        "TargetGroups": lambda: account.client("elbv2").describe_target_groups()["TargetGroups"],
        "Buckets": lambda: account.client("s3").list_buckets()["Buckets"],
        "Certificates": lambda: account.client("acm").list_certificates()["CertificateSummaryList"],
        "DBClusters": lambda: account.client("rds").describe_db_clusters()["DBClusters"],
        "DBInstances": lambda: account.client("rds").describe_db_instances()["DBInstances"],
        "DBClusterSnapshots": lambda: account.client("rds").describe_db_cluster_snapshots()[
            "DBClusterSnapshots"
        ],
        "Secrets": lambda: account.client("secretsmanager").list_secrets()["SecretList"],
        "Parameters": lambda: account.client("ssm").describe_parameters()["Parameters"],
        "Repositories": lambda: account.client("ecr").describe_repositories()["repositories"],
        "Clusters": lambda: ecs.list_clusters()["clusterArns"],
        "Tasks": lambda: ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
        "Roles": lambda: iam.list_roles()["Roles"],
        "LogGroups": lambda: account.client("logs").describe_log_groups()["logGroups"],
        "Alarms": lambda: account.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "Recorded": account.recorded,
    }
    found = {}
    for kind, look in looks.items():
        mine = [thing for thing in look() if environment in json.dumps(thing, default=str)]
        if mine:
            found[kind] = len(mine)
    return found
