"""The operators' console and API: a service of its own behind a load balancer of its own.

An environment has it by choice (`make deploy-console`). Everything that only it needs is here, so
that an environment without it has none of this. People sign in at a pool of Amazon Cognito by the
load balancer, or in the console with accounts of its own; programs have keys of the API.
"""

from __future__ import annotations

from troposphere import (
    AWS_NO_VALUE,
    Equals,
    GetAtt,
    If,
    Parameter,
    Ref,
    Sub,
    Template,
    certificatemanager,
    cognito,
    ec2,
    logs,
    route53,
)
from troposphere import elasticloadbalancingv2 as elb

from templates.environments import CONSOLE_CPU, CONSOLE_MEMORY
from templates.exports import imported, offer
from templates.iam.roles import role
from templates.iam.services import pull_images, read_secrets, write_logs
from templates.naming import (
    CONSOLE,
    CONSOLE_PORT,
    DATABASE_PORT,
    camel,
    log_group_name,
    named,
    service_name,
    tags,
)
from templates.parameters import (
    add_architecture,
    add_zones,
    log_days,
    new_template,
    number,
    text,
    yes_or_no,
)
from templates.parts.alarms import FIVE_MINUTES, Metric, add_runbook, alarm
from templates.parts.containers import (
    Only,
    arn_of_log_group,
    database_environment,
    secret_key,
)
from templates.parts.rules import (
    HTTPS,
    from_group,
    from_parameter,
    to_anywhere,
    to_database,
    way_out,
)
from templates.parts.service import (
    ALL_ADDRESSES,
    Program,
    Service,
    add_load_balancer,
    add_task_role,
    container_health,
)

STACK = "console"
MAX_ADDRESSES = 10
"""CloudFormation has no loops; so many parameters ConsoleAddress1, ConsoleAddress2, … there are."""
SIGN_IN = ("cognito", "local")
GROUPS = ("administrators", "developers", "observers")
"""Of docs/access.md, by falling rights; the console knows them as roles."""
PROGRAM = Program(CONSOLE, "operations.console", CONSOLE_PORT, "CONSOLE")
# A page's question to the database, and the load balancer's patience with a slow one.
_STATEMENT_SECONDS = "2"
_IDLE_SECONDS = 60
_DRAIN_SECONDS = 20
# As long as the console lets a browser be signed in (`operations.people.LONGEST_HOURS`).
_SESSION_HOURS = 12
_HOST = "console.${Domain}"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI console: pages for operators and the API, by choice.")
    _add_parameters(template)
    balancer_group, task_group = _add_firewall(template)
    balancer = add_load_balancer(
        template,
        PROGRAM.title,
        CONSOLE,
        scheme="internet-facing",
        security_group=Ref(balancer_group),
        idle_seconds=_IDLE_SECONDS,
        protected=Ref("Protected"),
    )
    certificate = _add_name(template, balancer)
    client, before = _add_people(template)
    service = Service(
        PROGRAM,
        PROGRAM.title,
        CONSOLE,
        cpu=str(CONSOLE_CPU),
        memory=str(CONSOLE_MEMORY),
        execution_role=_add_starter(template),
        task_role=add_task_role(template, PROGRAM.title, CONSOLE, {}),
        task_group=Ref(task_group),
        settings=_settings(balancer, client),
        secrets={
            "DATABASE_USER": secret_key(imported("database", "ConsoleSecret"), "username"),
            "DATABASE_PASSWORD": secret_key(imported("database", "ConsoleSecret"), "password"),
        },
        drain_seconds=_DRAIN_SECONDS,
        certificates={"": Ref(certificate)},
        health_check=container_health(CONSOLE_PORT),
        before=(before,),
    )
    group = service.add_targets(template, balancer, HTTPS)
    _let_programs_in(template, group)
    running = service.add_service(
        template,
        service_name(CONSOLE),
        Ref(group),
        {"MinimumHealthyPercent": 100, "MaximumPercent": 200},
        DesiredCount=Ref("ConsoleTasks"),
    )
    _add_alarms(template, balancer, group, certificate)
    offer(template, STACK, "ConsoleServiceName", GetAtt(running, "Name"), "Name of the service")
    offer(template, STACK, "ConsoleAddress", Sub(f"https://{_HOST}/"), "Where it is")
    offer(
        template,
        STACK,
        "ConsolePeople",
        Ref("People"),
        "Pool of the people who may sign in",
        Condition="IsCognito",
    )
    return template


def _add_parameters(template: Template) -> None:
    add_zones(template)
    add_architecture(template)
    add_runbook(template)
    text(template, f"{PROGRAM.title}ImageTag", "Tag of the image that runs")
    number(template, "ConsoleTasks", 1, "Tasks that run", 1)
    yes_or_no(template, "Protected", False, "Refuse to delete the load balancer and the people")
    text(template, "HostedZone", "Id of the hosted zone of its name", AllowedPattern="Z[A-Z0-9]+")
    text(template, "Domain", "What its name ends in", AllowedPattern=r"[a-z0-9.-]+\.[a-z]+")
    template.add_parameter(
        Parameter(
            "ConsoleSignIn",
            Type="String",
            Default=SIGN_IN[0],
            AllowedValues=list(SIGN_IN),
            Description="Where people sign in: at a pool of Cognito, or with its own accounts",
        )
    )
    template.add_condition("IsCognito", Equals(Ref("ConsoleSignIn"), "cognito"))


def _add_firewall(template: Template) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
    """Add who may talk to it, and it to whom; return the load balancer's group and the tasks'."""

    def group(title: str, what: str, ingress: list[object], egress: list[object]) -> object:
        return template.add_resource(
            ec2.SecurityGroup(
                title,
                GroupDescription=f"VNI: {what}",
                VpcId=imported("network", "VpcId"),
                SecurityGroupIngress=ingress,
                SecurityGroupEgress=egress,
                Tags=tags(CONSOLE),
            )
        )

    admitted = [
        from_parameter(
            template,
            f"ConsoleAddress{place}",
            "CIDR from which operators come",
            "operators and their programs",
        )
        for place in range(1, MAX_ADDRESSES + 1)
    ]
    balancer = group(
        "ConsoleLoadBalancerGroup",
        "load balancer of the console",
        admitted,
        # It asks the pool itself who somebody is.
        [to_anywhere(HTTPS)],
    )
    tasks = group(
        "ConsoleTasksGroup",
        "tasks of the console",
        [from_group(balancer, CONSOLE_PORT, "the load balancer")],
        [to_anywhere(HTTPS), to_database()],
    )
    template.add_resource(way_out(balancer, tasks, CONSOLE_PORT))
    template.add_resource(
        ec2.SecurityGroupIngress(
            "ConsoleToDatabase",
            GroupId=imported("firewall", "Database"),
            IpProtocol="tcp",
            FromPort=DATABASE_PORT,
            ToPort=DATABASE_PORT,
            SourceSecurityGroupId=Ref(tasks),
            Description="the console",
        )
    )
    return balancer, tasks


def _add_name(template: Template, balancer: elb.LoadBalancer) -> certificatemanager.Certificate:
    """Add its name in DNS and the certificate of it, which browsers trust and ACM renews."""
    host = Sub(_HOST)
    template.add_resource(
        route53.RecordSetType(
            "ConsoleName",
            HostedZoneId=Ref("HostedZone"),
            Name=host,
            Type="A",
            AliasTarget=route53.AliasTarget(
                DNSName=GetAtt(balancer, "DNSName"),
                HostedZoneId=GetAtt(balancer, "CanonicalHostedZoneID"),
            ),
        )
    )
    return template.add_resource(
        certificatemanager.Certificate(
            "ConsoleCertificate",
            DomainName=host,
            ValidationMethod="DNS",
            DomainValidationOptions=[
                certificatemanager.DomainValidationOption(
                    DomainName=host, HostedZoneId=Ref("HostedZone")
                )
            ],
            Tags=tags(CONSOLE),
        )
    )


def _add_people(template: Template) -> tuple[cognito.UserPoolClient, object]:
    """Add the pool; return the load balancer's client there, and what signs people in."""
    pool = template.add_resource(
        cognito.UserPool(
            "People",
            UserPoolName=named(CONSOLE),
            UsernameAttributes=["email"],
            UsernameConfiguration=cognito.UsernameConfiguration(CaseSensitive=False),
            AutoVerifiedAttributes=["email"],
            # A name is an address that somebody has shown to be his, a new one too.
            UserAttributeUpdateSettings=cognito.UserAttributeUpdateSettings(
                AttributesRequireVerificationBeforeUpdate=["email"]
            ),
            AdminCreateUserConfig=cognito.AdminCreateUserConfig(AllowAdminCreateUserOnly=True),
            AccountRecoverySetting=cognito.AccountRecoverySetting(
                RecoveryMechanisms=[cognito.RecoveryOption(Name="verified_email", Priority=1)]
            ),
            MfaConfiguration="ON",
            EnabledMfas=["SOFTWARE_TOKEN_MFA"],
            Policies=cognito.Policies(
                PasswordPolicy=cognito.PasswordPolicy(
                    MinimumLength=14,
                    RequireLowercase=True,
                    RequireUppercase=True,
                    RequireNumbers=True,
                    RequireSymbols=False,
                    TemporaryPasswordValidityDays=3,
                )
            ),
            DeletionProtection=If("IsProtected", "ACTIVE", "INACTIVE"),
            UserPoolTags={"Name": named(CONSOLE), "Environment": Ref("Environment")},
            Condition="IsCognito",
        )
    )
    template.add_condition("IsProtected", Equals(Ref("Protected"), "true"))
    for precedence, group in enumerate(GROUPS):
        template.add_resource(
            cognito.UserPoolGroup(
                camel(group),
                GroupName=group,
                UserPoolId=Ref(pool),
                Precedence=precedence,
                Condition="IsCognito",
            )
        )
    domain = template.add_resource(
        cognito.UserPoolDomain(
            "PeopleDomain",
            Domain=Sub("vni-cpo-${Environment}-${AWS::AccountId}"),
            UserPoolId=Ref(pool),
            Condition="IsCognito",
        )
    )
    client = template.add_resource(
        cognito.UserPoolClient(
            "PeopleClient",
            ClientName=named(CONSOLE),
            UserPoolId=Ref(pool),
            # The load balancer reads the secret itself; it stands in no template and no output.
            GenerateSecret=True,
            AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthFlows=["code"],
            # Not aws.cognito.signin.user.admin: nobody changes his own address with its tokens.
            AllowedOAuthScopes=["openid", "email"],
            CallbackURLs=[Sub(f"https://{_HOST}/oauth2/idpresponse")],
            LogoutURLs=[Sub(f"https://{_HOST}/")],
            SupportedIdentityProviders=["COGNITO"],
            ExplicitAuthFlows=["ALLOW_REFRESH_TOKEN_AUTH"],
            PreventUserExistenceErrors="ENABLED",
            EnableTokenRevocation=True,
            TokenValidityUnits=cognito.TokenValidityUnits(
                AccessToken="minutes", IdToken="minutes", RefreshToken="hours"
            ),
            # A change of groups counts after so long.
            AccessTokenValidity=15,
            IdTokenValidity=15,
            RefreshTokenValidity=_SESSION_HOURS,
            Condition="IsCognito",
        )
    )
    sign_in = elb.Action(
        Type="authenticate-cognito",
        Order=1,
        AuthenticateCognitoConfig=elb.AuthenticateCognitoConfig(
            UserPoolArn=GetAtt(pool, "Arn"),
            UserPoolClientId=Ref(client),
            UserPoolDomain=Ref(domain),
            OnUnauthenticatedRequest="authenticate",
            Scope="openid email",
            SessionTimeout=_SESSION_HOURS * 3600,
        ),
    )
    return client, If("IsCognito", sign_in, Ref(AWS_NO_VALUE))


def _settings(balancer: elb.LoadBalancer, client: cognito.UserPoolClient) -> dict[str, object]:
    """Return what its tasks are told."""
    out = (
        "https://${PeopleDomain}.auth.${AWS::Region}.amazoncognito.com/logout"
        f"?client_id=${{PeopleClient}}&logout_uri=https://{_HOST}/"
    )
    issuer = "https://cognito-idp.${AWS::Region}.amazonaws.com/${People}"
    return {
        "CONSOLE_HOST": ALL_ADDRESSES,
        "CONSOLE_SECURE": "true",
        "CONSOLE_FORWARDED_HOPS": "1",
        "CONSOLE_STATEMENT_TIMEOUT": _STATEMENT_SECONDS,
        "CONSOLE_OIDC_SIGNER": Only("IsCognito", Ref(balancer)),
        "CONSOLE_OIDC_ISSUER": Only("IsCognito", Sub(issuer)),
        "CONSOLE_OIDC_CLIENT": Only("IsCognito", Ref(client)),
        "CONSOLE_OIDC_SIGN_OUT": Only("IsCognito", Sub(out)),
        **database_environment(),
    }


def _add_starter(template: Template) -> object:
    """Add its log and the role that starts its tasks; return the role's ARN."""
    template.add_resource(
        logs.LogGroup(
            "ConsoleLogs", LogGroupName=log_group_name(CONSOLE), RetentionInDays=log_days(template)
        )
    )
    starter = role(
        template,
        "ConsoleExecutionRole",
        "ecs-tasks",
        {
            "pull-images": pull_images(imported("registry", f"{PROGRAM.title}RepositoryArn")),
            "write-logs": write_logs(arn_of_log_group(CONSOLE)),
            "read-secrets": read_secrets(imported("database", "ConsoleSecret")),
        },
        tag=CONSOLE,
    )
    return GetAtt(starter, "Arn")


def _let_programs_in(template: Template, group: elb.TargetGroup) -> None:
    """Forward the API's calls as they are: programs have keys, and no browser to sign in by."""
    template.add_resource(
        elb.ListenerRule(
            "ConsoleApiRule",
            ListenerArn=Ref("ConsoleListener"),
            Priority=1,
            Conditions=[
                elb.Condition(
                    Field="path-pattern",
                    PathPatternConfig=elb.PathPatternConfig(Values=["/api/*"]),
                )
            ],
            Actions=[elb.ListenerRuleAction(Type="forward", TargetGroupArn=Ref(group))],
        )
    )


def _add_alarms(
    template: Template,
    balancer: elb.LoadBalancer,
    group: elb.TargetGroup,
    certificate: certificatemanager.Certificate,
) -> None:
    full_name = GetAtt(balancer, "LoadBalancerFullName")
    targets = {
        "LoadBalancer": full_name,
        "TargetGroup": GetAtt(group, "TargetGroupFullName"),
    }
    alarm(
        template,
        "console-tasks-missing",
        "No task of the console is healthy: operators see nothing, charging goes on",
        Metric("AWS/ApplicationELB", "HealthyHostCount", targets, "Minimum"),
        1,
        comparison="LessThanThreshold",
        missing="breaching",
    )
    alarm(
        template,
        "console-5xx",
        "The console has answered many requests with errors for ten minutes",
        Metric("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", targets),
        20,
        period=FIVE_MINUTES,
        periods=2,
    )
    alarm(
        template,
        "console-sign-in-failures",
        "The load balancer could not sign people in to the console",
        Metric("AWS/ApplicationELB", "ELBAuthError", {"LoadBalancer": full_name}),
        5,
        period=FIVE_MINUTES,
        periods=2,
    )
    alarm(
        template,
        "console-certificate-expiry",
        "The console's certificate ends within three weeks, and ACM has not renewed it",
        Metric(
            "AWS/CertificateManager",
            "DaysToExpiry",
            {"CertificateArn": Ref(certificate)},
            "Minimum",
        ),
        21,
        comparison="LessThanThreshold",
        period=86_400,
        periods=1,
    )
