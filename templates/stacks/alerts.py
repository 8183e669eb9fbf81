"""Where alarms, approvals and failures go: one encrypted topic, and an address that hears it."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Template, kms, sns

from templates.exports import offer
from templates.iam.services import alerts_key, publish_alerts
from templates.naming import named, tags
from templates.parameters import given, new_template, text

STACK = "alerts"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI alerts: the topic that alarms and failures are published to.")
    text(
        template,
        "AlarmEmail",
        "Address that alarms are sent to; it gets a letter to confirm first. Empty for none",
        Default="",
        AllowedPattern=r"|[^@\s]+@[^@\s]+\.[^@\s]+",
        ConstraintDescription="an e-mail address, or nothing",
    )
    wanted = given(template, "AlarmEmail")
    key = template.add_resource(
        # CloudWatch cannot publish to a topic under AWS's own key.
        kms.Key(
            "Key",
            Description="Encrypts what alarms say on their way",
            EnableKeyRotation=True,
            KeyPolicy=alerts_key(),
            Tags=tags("alerts"),
        )
    )
    topic = template.add_resource(
        sns.Topic("Topic", TopicName=named("alerts"), KmsMasterKeyId=Ref(key), Tags=tags("alerts"))
    )
    template.add_resource(
        sns.TopicPolicy(
            "TopicPolicy", Topics=[Ref(topic)], PolicyDocument=publish_alerts(Ref(topic))
        )
    )
    template.add_resource(
        sns.SubscriptionResource(
            "Email",
            TopicArn=Ref(topic),
            Protocol="email",
            Endpoint=Ref("AlarmEmail"),
            Condition=wanted,
        )
    )
    offer(template, STACK, "Topic", Ref(topic), "Topic that alarms are published to")
    offer(template, STACK, "KeyArn", GetAtt(key, "Arn"), "Key that encrypts the topic")
    return template
