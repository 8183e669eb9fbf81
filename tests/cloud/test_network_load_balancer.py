"""An environment whose charging points come in by a network load balancer."""

from __future__ import annotations

import re

import pytest
from cryptography import x509

from scripts.cloud.certificates import Authority, names_in

WHERE = {"ENVIRONMENT": "fixed", "WHITELIST_IP": "203.0.113.7"}
ENVIRONMENTS = "templates/environments.py"


@pytest.fixture(scope="module")
def fixed(account):
    """What was said as an environment was deployed that is listed as one of this kind."""
    file = account.project / ENVIRONMENTS
    text = file.read_text()
    listed = text.replace(
        '    "staging": STAGING,\n',
        '    "staging": STAGING,\n    "fixed": replace(STAGING,'
        ' load_balancer="network", web_application_firewall=True),\n',
    )
    assert listed != text
    file.write_text(listed)
    account.commit("List another environment")
    return account.deploy("fixed")


def attributes(answer):
    return {a["Key"]: a["Value"] for a in answer["Attributes"]}


def test_it_ends_tls_and_says_who_connects(account, fixed):
    elb = account.client("elbv2")
    outputs = account.outputs("vni-cpo-services-fixed")
    arn = outputs["ChargingPointLoadBalancer"]
    (balancer,) = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internet-facing")
    (listener,) = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    assert (listener["Protocol"], listener["Port"]) == ("TLS", 443)
    assert listener["Certificates"]
    listed = account.recorded("AWS::ElasticLoadBalancingV2::ListenerCertificate")
    assert {r["Properties"]["ListenerArn"] for r in listed} == {listener["ListenerArn"]}
    assert len(listed) == 2
    (group,) = elb.describe_target_groups(
        TargetGroupArns=[listener["DefaultActions"][0]["TargetGroupArn"]]
    )["TargetGroups"]
    assert (group["Protocol"], group["HealthCheckProtocol"]) == ("TCP", "HTTP")
    said = attributes(elb.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"]))
    assert said["proxy_protocol_v2.enabled"] == "true"
    assert said["deregistration_delay.connection_termination.enabled"] == "false"
    # The hub's has stayed what it is; of the charging points' other one there is nothing.
    kinds = [b["Type"] for b in elb.describe_load_balancers()["LoadBalancers"]]
    assert sorted(kinds) == ["application", "network"]
    assert len(elb.describe_target_groups()["TargetGroups"]) == 2


def test_a_web_firewall_stands_before_the_hubs_load_balancer(account, fixed):
    """Its answers are AWS's own; that it lets the hub's large records through is a rule's."""
    (acl,) = account.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]
    described = account.client("wafv2").get_web_acl(
        Name=acl["Name"], Scope="REGIONAL", Id=acl["Id"]
    )["WebACL"]
    assert acl["Name"] == "vni-cpo-fixed-third-party"
    rules = {rule["Name"]: rule for rule in described["Rules"]}
    common = rules["AWSManagedRulesCommonRuleSet"]["Statement"]["ManagedRuleGroupStatement"]
    (counted,) = common["RuleActionOverrides"]
    assert (counted["Name"], counted["ActionToUse"]) == ("SizeRestrictions_BODY", {"Count": {}})
    assert rules["too-many-calls"]["Statement"]["RateBasedStatement"]["Limit"] == 20_000
    (association,) = account.recorded("AWS::WAFv2::WebACLAssociation")
    balancer = account.outputs("vni-cpo-services-fixed")["ThirdPartyLoadBalancer"]
    assert association["Properties"] == {"ResourceArn": balancer, "WebACLArn": acl["ARN"]}


def test_the_service_stands_behind_it_and_believes_it(account, fixed):
    ecs = account.client("ecs")
    (service,) = ecs.describe_services(
        cluster="vni-cpo-fixed", services=["vni-backend-charging-point-fixed"]
    )["services"]
    task = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    (container,) = task["containerDefinitions"]
    variables = {v["name"]: v["value"] for v in container["environment"]}
    cidr = account.outputs("vni-cpo-network-fixed")["VpcCidr"]
    assert variables["CP_BACKEND_PROXY_PROTOCOL_FROM"] == cidr
    assert variables["CP_BACKEND_FORWARDED_HOPS"] == "0"
    group = variables["TARGET_GROUP_ARN"]
    assert [b["targetGroupArn"] for b in service["loadBalancers"]] == [group]


def test_charging_points_have_an_address_a_zone_and_no_accelerator(account, fixed):
    addresses = account.outputs("vni-cpo-network-fixed")["ChargingPointAddresses"].split(",")
    assert len(set(addresses)) == 2
    found = account.client("ec2").describe_addresses(PublicIps=addresses)["Addresses"]
    assert all(address["AssociationId"] for address in found)
    assert re.search(
        rf"through firewalls, to +{', '.join(map(re.escape, addresses))}$", fixed, re.M
    )
    assert len(account.recorded("AWS::GlobalAccelerator::Accelerator")) == 1
    for name in ("charging-point", "charging-point-ecdsa"):
        known = account.client("ssm").get_parameter(Name=f"/vni/fixed/{name}-certificate-arn")
        pem = account.client("acm").get_certificate(CertificateArn=known["Parameter"]["Value"])
        certificate = x509.load_pem_x509_certificate(pem["Certificate"].encode())
        assert set(addresses) <= names_in(certificate)


def test_its_alarms_look_at_it(account, fixed):
    found = account.client("cloudwatch").describe_alarms()["MetricAlarms"]
    alarms = {alarm["AlarmName"].removeprefix("vni-cpo-fixed-"): alarm for alarm in found}
    assert alarms["charging-point-tasks-unhealthy"]["Namespace"] == "AWS/NetworkELB"
    assert alarms["charging-point-tasks-missing"]["Namespace"] == "AWS/NetworkELB"
    assert alarms["third-party-tasks-missing"]["Namespace"] == "AWS/ApplicationELB"
    tls = alarms["charging-point-tls-failures"]
    assert (tls["Namespace"], tls["MetricName"]) == (
        "AWS/NetworkELB",
        "ClientTLSNegotiationErrorCount",
    )
    # It knows no HTTP and thus no 5xx.
    assert "charging-point-5xx" not in alarms
    assert "third-party-5xx" in alarms


def test_a_second_run_changes_nothing(account, fixed):
    assert "Nothing changed" in account.deploy("fixed")


def test_it_has_no_mutual_tls(account, fixed):
    authorities = account.project.parent / "authorities.pem"
    authorities.write_bytes(Authority.new("points").pem)
    run = account.make("deploy-backend-services", **WHERE, CLIENT_CA=str(authorities))
    assert run.returncode == 2
    assert "a network load balancer has no mutual TLS" in run.stderr


def test_no_capacity_is_reserved_of_it(account, fixed):
    run = account.make("reserve-capacity", ENVIRONMENT="fixed", UNITS="150")
    assert run.returncode == 2
    assert "a network load balancer grows by itself" in run.stderr


def test_the_kind_of_an_environment_is_not_changed_under_its_charging_points(account, fixed):
    file = account.project / ENVIRONMENTS
    text = file.read_text()
    file.write_text(text.replace('load_balancer="network"', 'load_balancer="application"'))
    run = account.make("deploy-backend-services", **WHERE)
    file.write_text(text)
    assert run.returncode == 2
    assert "has a load balancer of the kind 'network'" in run.stderr


def test_it_goes_as_a_whole(account, fixed):
    run = account.make("delete-environment", ENVIRONMENT="fixed", CONFIRM="fixed")
    assert run.returncode == 0, run.stderr
    assert account.client("ec2").describe_addresses()["Addresses"] == []
    assert account.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
