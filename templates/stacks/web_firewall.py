"""AWS WAF before the hub's load balancer, by choice: known attacks and floods end there.

The firewall already admits the hub's addresses alone. This is for who must have a web application
firewall, or fears the hub's own network.
"""

from __future__ import annotations

from troposphere import Template, wafv2

from templates.exports import imported
from templates.naming import named, tags
from templates.parameters import new_template, switch

STACK = "web-firewall"

CALLS_IN_FIVE_MINUTES = 20_000
"""Of one address. The hub asks at most some 1,000 times a minute, from few addresses."""
# AWS's managed rules, each with those of its rules that only count here.
RULES = {
    # A hub's record or EVSE data has more than the 8 KB that these allow in a body.
    "AWSManagedRulesCommonRuleSet": ["SizeRestrictions_BODY"],
    "AWSManagedRulesKnownBadInputsRuleSet": [],
}


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI web firewall: AWS WAF before the hub's load balancer.")
    wanted = switch(template, "WebApplicationFirewall", False, "Whether AWS WAF stands before it")
    acl = template.add_resource(
        wafv2.WebACL(
            "WebAcl",
            Name=named("third-party"),
            Scope="REGIONAL",
            DefaultAction=wafv2.DefaultAction(Allow=wafv2.AllowAction()),
            VisibilityConfig=_visible("third-party"),
            Rules=[
                wafv2.WebACLRule(
                    Name="too-many-calls",
                    Priority=0,
                    Action=wafv2.RuleAction(Block=wafv2.BlockAction()),
                    Statement=wafv2.Statement(
                        RateBasedStatement=wafv2.RateBasedStatement(
                            AggregateKeyType="IP", Limit=CALLS_IN_FIVE_MINUTES
                        )
                    ),
                    VisibilityConfig=_visible("too-many-calls"),
                ),
                *(
                    _managed(priority, name, counting)
                    for priority, (name, counting) in enumerate(RULES.items(), 1)
                ),
            ],
            Tags=tags("third-party"),
            Condition=wanted,
        )
    )
    template.add_resource(
        wafv2.WebACLAssociation(
            "Association",
            ResourceArn=imported("services", "ThirdPartyLoadBalancer"),
            WebACLArn=acl.get_att("Arn"),
            Condition=wanted,
        )
    )
    return template


def _managed(priority: int, name: str, counting: list[str]) -> wafv2.WebACLRule:
    return wafv2.WebACLRule(
        Name=name,
        Priority=priority,
        OverrideAction=wafv2.OverrideAction(**{"None": {}}),
        Statement=wafv2.Statement(
            ManagedRuleGroupStatement=wafv2.ManagedRuleGroupStatement(
                VendorName="AWS",
                Name=name,
                RuleActionOverrides=[
                    wafv2.RuleActionOverride(
                        Name=one, ActionToUse=wafv2.RuleAction(Count=wafv2.CountAction())
                    )
                    for one in counting
                ],
            )
        ),
        VisibilityConfig=_visible(name),
    )


def _visible(name: str) -> wafv2.VisibilityConfig:
    return wafv2.VisibilityConfig(
        CloudWatchMetricsEnabled=True, MetricName=name, SampledRequestsEnabled=False
    )
