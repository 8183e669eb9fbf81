"""Mutual TLS at the charging points' load balancer: OCPP's security profile 3.

Charging points with a certificate come to a port of their own, so that those with a password stay
where they are. Both ports lead to the same tasks, which believe what the load balancer says of a
certificate: whoever writes that header himself, at the port without mutual TLS, is refused there.
See docs/decisions/0056-certificates-at-a-port-of-their-own.md.
"""

from __future__ import annotations

from troposphere import And, Condition, Output, Ref, Template, s3
from troposphere import elasticloadbalancingv2 as elb

from templates.exports import imported
from templates.naming import tags
from templates.parameters import given, switch, text
from templates.parts.buckets import add_bucket, add_bucket_policy
from templates.parts.checks import skips
from templates.parts.containers import Only

MUTUAL_TLS_PORT = 8443
SUBJECT_HEADER = "X-Amzn-Mtls-Clientcert-Subject"
"""Where the load balancer writes whose certificate it has verified, and nodes read it."""
TAG = "client-authorities"
CONDITION = "IsMutualTls"


def add_switch(template: Template) -> str:
    """Give a template the parameter MutualTls and its condition; return the condition's name."""
    return switch(template, "MutualTls", False, "A port for charging points with a certificate")


def add_authorities_bucket(template: Template) -> s3.Bucket:
    """Add the bucket from which trust stores read their authorities, which are no secret."""
    bucket = add_bucket(
        template,
        "Authorities",
        TAG,
        None,
        [],
        Metadata=skips(
            "certificates of authorities under the digest of what is in them; CloudTrail has who"
            " put them there",
            "CKV_AWS_18",
            "CKV_AWS_21",
        ),
    )
    add_bucket_policy(template, bucket)
    return bucket


def add_parameter(template: Template) -> None:
    """Give a template with the condition IsApplication what `add_listener` needs to know."""
    text(
        template,
        "ClientAuthorities",
        "Object with who signs charging points' certificates; empty: no mutual TLS",
        Default="",
    )
    given(template, "ClientAuthorities")
    template.add_condition(
        CONDITION, And(Condition("HasClientAuthorities"), Condition("IsApplication"))
    )


def settings() -> dict[str, object]:
    """Return the settings of a node behind such a listener."""
    return {
        "BALANCER_VERIFIES_CERTIFICATES": Only(CONDITION, "true"),
        "BALANCER_NETWORKS": Only(CONDITION, imported("network", "VpcCidr")),
    }


def add_listener(template: Template, plain: elb.Listener) -> None:
    """Add the listener that asks for certificates, beside the one that does not.

    It has the same load balancer, targets and certificates.
    """
    store = template.add_resource(
        elb.TrustStore(
            "ChargingPointTrustStore",
            CaCertificatesBundleS3Bucket=imported("storage", "Authorities"),
            CaCertificatesBundleS3Key=Ref("ClientAuthorities"),
            Tags=tags(TAG),
            Condition=CONDITION,
        )
    )
    same = ("LoadBalancerArn", "Protocol", "SslPolicy", "Certificates", "DefaultActions")
    listener = template.add_resource(
        elb.Listener(
            "ChargingPointMutualListener",
            Port=MUTUAL_TLS_PORT,
            MutualAuthentication=elb.MutualAuthentication(
                Mode="verify", TrustStoreArn=Ref(store), IgnoreClientCertificateExpiry=False
            ),
            Condition=CONDITION,
            **{name: getattr(plain, name) for name in same},
        )
    )
    template.add_output(
        Output(
            "ChargingPointMutualTlsPort",
            Description="Where charging points with a certificate connect to",
            Value=str(MUTUAL_TLS_PORT),
            Condition=CONDITION,
        )
    )
    for kind in ("Rsa", "Ecdsa"):
        listed = template.resources[f"ChargingPoint{kind}Certificate"]
        template.add_resource(
            elb.ListenerCertificate(
                f"ChargingPointMutual{kind}Certificate",
                ListenerArn=Ref(listener),
                Certificates=listed.Certificates,
                Condition=CONDITION,
            )
        )
    template.add_resource(
        elb.ListenerRule(
            "ChargingPointForgedSubject",
            ListenerArn=Ref(plain),
            Priority=1,
            Conditions=[
                elb.Condition(
                    Field="http-header",
                    HttpHeaderConfig=elb.HttpHeaderConfig(
                        HttpHeaderName=SUBJECT_HEADER, Values=["*"]
                    ),
                )
            ],
            Actions=[
                elb.ListenerRuleAction(
                    Type="fixed-response",
                    FixedResponseConfig=elb.FixedResponseConfig(StatusCode="400"),
                )
            ],
            Condition=CONDITION,
        )
    )
