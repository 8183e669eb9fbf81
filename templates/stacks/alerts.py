"""Where alarms, approvals and failures go: one encrypted topic, and an address that hears it."""

from __future__ import annotations

from troposphere import Equals, GetAtt, Not, Ref, Sub, Template, budgets, kms, sns

from templates.exports import offer
from templates.iam.services import alerts_key, publish_alerts
from templates.naming import named, tags
from templates.parameters import given, new_template, number, text

STACK = "alerts"
RECEIVERS = ("AlarmEmail", "AlarmUrl")
"""The parameters that say who hears alarms."""


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
    text(
        template,
        "AlarmUrl",
        "Address of a pager or chat that takes SNS's messages and confirms itself. Empty for none",
        Default="",
        AllowedPattern=r"|https://[^\s]+",
        ConstraintDescription="an address that begins with https://, or nothing",
    )
    budget = number(template, "BudgetUsd", 0, "Dollars a month that alarm; 0 for none")
    wanted, wanted_url = given(template, "AlarmEmail"), given(template, "AlarmUrl")
    template.add_condition("HasBudget", Not(Equals(budget, 0)))
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
    template.add_resource(
        sns.SubscriptionResource(
            "Url",
            TopicArn=Ref(topic),
            Protocol="https",
            Endpoint=Ref("AlarmUrl"),
            Condition=wanted_url,
        )
    )
    _add_budget(template, topic, budget)
    offer(template, STACK, "Topic", Ref(topic), "Topic that alarms are published to")
    offer(template, STACK, "KeyArn", GetAtt(key, "Arn"), "Key that encrypts the topic")
    return template


def _add_budget(template: Template, topic: sns.Topic, dollars: Ref) -> None:
    """Add what tells of a month that becomes dearer than meant.

    It counts what carries the environment's tag, which the account's owner must have activated as
    a cost allocation tag: docs/first-day.md.
    """
    template.add_resource(
        budgets.Budget(
            "Budget",
            Budget=budgets.BudgetData(
                BudgetName=named("month"),
                BudgetType="COST",
                TimeUnit="MONTHLY",
                BudgetLimit=budgets.Spend(Amount=dollars, Unit="USD"),
                CostFilters={"TagKeyValue": [Sub("user:Environment$${Environment}")]},
            ),
            NotificationsWithSubscribers=[
                budgets.NotificationWithSubscribers(
                    Notification=budgets.Notification(
                        NotificationType=kind,
                        ComparisonOperator="GREATER_THAN",
                        Threshold=percent,
                        ThresholdType="PERCENTAGE",
                    ),
                    Subscribers=[budgets.Subscriber(SubscriptionType="SNS", Address=Ref(topic))],
                )
                for kind, percent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            Condition="HasBudget",
        )
    )
