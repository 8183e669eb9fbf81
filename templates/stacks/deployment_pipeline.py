"""The way of a commit into production: one pipeline a service.

source → build (tests, image, scan) → test (migrate, deploy, charge over WSS) → a person's word →
release (migrate, deploy). See docs/decisions/0017-one-way-into-production.md.
"""

from __future__ import annotations

from troposphere import (
    And,
    Condition,
    Equals,
    GetAtt,
    If,
    Not,
    Output,
    Ref,
    Select,
    Split,
    Sub,
    Template,
    codepipeline,
    events,
)

from templates.exports import imported
from templates.iam.roles import role
from templates.iam.services import (
    arn,
    arn_of_role,
    deploy_tasks,
    publish,
    start_builds,
    start_pipelines,
    use_artifacts,
    use_connection,
)
from templates.naming import name_of_test_service, named, service_name, tags
from templates.parameters import add_promotion, given, new_template, text
from templates.parts.alarms import FIVE_MINUTES, Metric, add_runbook, alarm
from templates.parts.service import PROGRAMS, Program
from templates.stacks import builds
from templates.stacks.builds import (
    MIGRATE_LIVE,
    MIGRATE_TEST,
    REPOSITORY,
    arn_of_service,
    project_name,
)

STACK = "deployment-pipeline"
GITHUB_SECRET = named("github")


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI deployment pipeline: from a commit to production.")
    _add_parameters(template)
    for service in PROGRAMS.values():
        _add_pipeline(template, service)
    _add_failure(template)
    return template


def _add_parameters(template: Template) -> None:
    add_runbook(template)
    text(
        template,
        "Repository",
        "Repository on GitHub, as owner/name",
        AllowedPattern=REPOSITORY,
    )
    text(template, "Branch", "Branch whose commits are delivered", Default="main")
    text(
        template,
        "ConnectionArn",
        "CodeConnections connection to GitHub; empty: a token in Secrets Manager and a webhook",
        Default="",
        AllowedPattern=r"|arn:[^:]+:code(star-)?connections:.+",
    )
    text(
        template,
        "TokenVersion",
        "Version of the secret with the token, so that a new token is noticed; empty: the newest",
        Default="",
    )
    given(template, "ConnectionArn")
    template.add_condition("HasToken", Equals(Ref("ConnectionArn"), ""))
    add_promotion(template)
    # What is promoted waits for the other environment, not for a commit.
    template.add_condition(
        "HasWebhook", And(Condition("HasToken"), Not(Condition("HasPromoteFrom")))
    )


def _add_pipeline(template: Template, service: Program) -> None:
    title = service.title
    building, testing = f"{title}Build", f"{title}Test"
    key = imported(builds.STACK, "KeyArn")
    deployer = role(
        template,
        f"{title}PipelineRole",
        "codepipeline",
        {
            "use-artifacts": use_artifacts(imported(builds.STACK, "ArtifactsArn"), key),
            "start-builds": start_builds(
                *(
                    arn("codebuild", f"project/{project_name(project)}")
                    for project in (building, testing, MIGRATE_TEST, MIGRATE_LIVE)
                )
            ),
            "deploy-tasks": deploy_tasks(
                [arn_of_service(service.name), arn_of_service(service.name, "-test")],
                [
                    imported("cluster", "ExecutionRole"),
                    arn_of_role("test-execution"),
                    arn_of_role(f"{service.name}-task"),
                    arn_of_role(f"{service.name}-test-task"),
                ],
            ),
            "ask": publish(imported("alerts", "Topic"), imported("alerts", "KeyArn")),
        },
        optional={"use-connection": ("HasConnectionArn", use_connection(Ref("ConnectionArn")))},
    )
    pipeline = template.add_resource(
        codepipeline.Pipeline(
            f"{title}Pipeline",
            Name=service_name(service.name),
            RoleArn=GetAtt(deployer, "Arn"),
            PipelineType="V2",
            # A newer commit replaces one that waits; none overtakes within a stage.
            ExecutionMode="SUPERSEDED",
            RestartExecutionOnUpdate=False,
            ArtifactStore=codepipeline.ArtifactStore(
                Type="S3",
                Location=imported(builds.STACK, "Artifacts"),
                EncryptionKey=codepipeline.EncryptionKey(Id=key, Type="KMS"),
            ),
            Stages=[
                _stage("Source", If("HasToken", _source_by_token(), _source_by_connection())),
                _stage("Build", _build_action("Build", building, 1, "Image", _commit())),
                _stage(
                    "Test",
                    _build_action("Migrate", MIGRATE_TEST, 1),
                    _deploy_action(
                        name_of_test_service(service.name), 2, "imagedefinitions-test.json"
                    ),
                    _build_action("Charge", testing, 3),
                ),
                _stage("Approve", _approval(service)),
                _stage(
                    "Release",
                    _build_action("Migrate", MIGRATE_LIVE, 1),
                    _deploy_action(imported("services", f"{title}ServiceName"), 2),
                ),
            ],
            Tags=tags(service.name),
        )
    )
    template.add_resource(
        codepipeline.Webhook(
            f"{title}Webhook",
            Name=service_name(service.name),
            Authentication="GITHUB_HMAC",
            AuthenticationConfiguration=codepipeline.WebhookAuthConfiguration(
                SecretToken=_of_github("webhook")
            ),
            RegisterWithThirdParty=True,
            Filters=[
                codepipeline.WebhookFilterRule(JsonPath="$.ref", MatchEquals="refs/heads/{Branch}")
            ],
            TargetAction="Source",
            TargetPipeline=Ref(pipeline),
            TargetPipelineVersion=GetAtt(pipeline, "Version"),
            Condition="HasWebhook",
        )
    )
    _add_promotion(template, service)
    template.add_output(
        Output(f"{title}Pipeline", Description="Name of the pipeline", Value=Ref(pipeline))
    )


def _add_promotion(template: Template, service: Program) -> None:
    """Start the pipeline when that of the other environment has released its image."""
    its_arn = arn("codepipeline", service_name(service.name).data["Fn::Sub"])
    starter = role(
        template,
        f"{service.title}PromotionRole",
        "events",
        {"start-pipelines": start_pipelines(its_arn)},
        condition="HasPromoteFrom",
    )
    template.add_resource(
        events.Rule(
            f"{service.title}Promotion",
            Name=named(f"{service.name}-promotion"),
            Description=f"The other environment has released {service.name}",
            EventPattern={
                "source": ["aws.codepipeline"],
                "detail-type": ["CodePipeline Pipeline Execution State Change"],
                "detail": {
                    "state": ["SUCCEEDED"],
                    "pipeline": [Sub(f"vni-backend-{service.name}-${{PromoteFrom}}")],
                },
            },
            Targets=[events.Target(Id="pipeline", Arn=its_arn, RoleArn=GetAtt(starter, "Arn"))],
            Condition="HasPromoteFrom",
        )
    )


def _stage(name: str, *actions: object) -> codepipeline.Stages:
    return codepipeline.Stages(Name=name, Actions=list(actions))


def _action(
    name: str, category: str, owner: str, provider: str, **more: object
) -> codepipeline.Actions:
    return codepipeline.Actions(
        Name=name,
        ActionTypeId=codepipeline.ActionTypeId(
            Category=category, Owner=owner, Provider=provider, Version="1"
        ),
        **more,
    )


def _source_by_token() -> codepipeline.Actions:
    return _action(
        "Source",
        "Source",
        "ThirdParty",
        "GitHub",
        Namespace="Source",
        OutputArtifacts=[codepipeline.OutputArtifacts(Name="Sources")],
        Configuration={
            "Owner": Select(0, Split("/", Ref("Repository"))),
            "Repo": Select(1, Split("/", Ref("Repository"))),
            "Branch": Ref("Branch"),
            "OAuthToken": _of_github("token"),
            "PollForSourceChanges": False,
        },
        RunOrder=1,
    )


def _source_by_connection() -> codepipeline.Actions:
    return _action(
        "Source",
        "Source",
        "AWS",
        "CodeStarSourceConnection",
        Namespace="Source",
        OutputArtifacts=[codepipeline.OutputArtifacts(Name="Sources")],
        Configuration={
            "ConnectionArn": Ref("ConnectionArn"),
            "FullRepositoryId": Ref("Repository"),
            "BranchName": Ref("Branch"),
            "DetectChanges": If("HasPromoteFrom", False, True),
        },
        RunOrder=1,
    )


def _of_github(key: str) -> Sub:
    """Return one key of the secret that `make store-github-token` keeps."""
    return Sub(
        f"{{{{resolve:secretsmanager:{GITHUB_SECRET.data['Fn::Sub']}:SecretString:{key}::${{TokenVersion}}}}}}"
    )


def _build_action(
    name: str,
    project: str,
    order: int,
    artifact: str = "",
    variables: str = "",
) -> codepipeline.Actions:
    configuration = {"ProjectName": Sub(project_name(project))}
    if variables:
        configuration["EnvironmentVariables"] = variables
    more: dict[str, object] = {}
    if artifact:
        more["OutputArtifacts"] = [codepipeline.OutputArtifacts(Name=artifact)]
        more["Namespace"] = name
    return _action(
        name,
        "Test" if name == "Charge" else "Build",
        "AWS",
        "CodeBuild",
        InputArtifacts=[codepipeline.InputArtifacts(Name="Sources")],
        Configuration=configuration,
        RunOrder=order,
        **more,
    )


def _commit() -> str:
    return '[{"name":"COMMIT_ID","value":"#{Source.CommitId}","type":"PLAINTEXT"}]'


def _deploy_action(
    service: object, order: int, file: str = "imagedefinitions.json"
) -> codepipeline.Actions:
    return _action(
        "Deploy",
        "Deploy",
        "AWS",
        "ECS",
        InputArtifacts=[codepipeline.InputArtifacts(Name="Image")],
        Configuration={
            "ClusterName": imported("cluster", "Name"),
            "ServiceName": service,
            "FileName": file,
            "DeploymentTimeout": "30",
        },
        RunOrder=order,
    )


def _approval(service: Program) -> codepipeline.Actions:
    return _action(
        "Approve",
        "Approval",
        "AWS",
        "Manual",
        Configuration={
            "NotificationArn": imported("alerts", "Topic"),
            "CustomData": Sub(
                f"{service.name} #{{Build.IMAGE_TAG}} has charged at the test service and waits "
                "for ${Environment}. The link shows what will change."
            ),
            # The build knows what runs and what comes.
            "ExternalEntityLink": "#{Build.CHANGES_URL}",
        },
        RunOrder=1,
    )


def _add_failure(template: Template) -> None:
    """Tell when a pipeline fails: a message that says which, and an alarm that leads to advice."""
    rule = template.add_resource(
        events.Rule(
            "Failure",
            Name=named("pipeline-failed"),
            Description="A pipeline of this environment has failed",
            EventPattern={
                "source": ["aws.codepipeline"],
                "detail-type": ["CodePipeline Pipeline Execution State Change"],
                "detail": {
                    "state": ["FAILED"],
                    "pipeline": [Ref(f"{service.title}Pipeline") for service in PROGRAMS.values()],
                },
            },
            Targets=[
                events.Target(
                    Id="alerts",
                    Arn=imported("alerts", "Topic"),
                    InputTransformer=events.InputTransformer(
                        InputPathsMap={
                            "pipeline": "$.detail.pipeline",
                            "execution": "$.detail.execution-id",
                            "region": "$.region",
                        },
                        InputTemplate=(
                            '"The pipeline <pipeline> has failed: https://<region>.console.aws.'
                            "amazon.com/codesuite/codepipeline/pipelines/<pipeline>/executions/"
                            '<execution>/timeline"'
                        ),
                    ),
                )
            ],
        )
    )
    alarm(
        template,
        "pipeline-failed",
        "A commit did not get through a pipeline",
        Metric("AWS/Events", "TriggeredRules", {"RuleName": Ref(rule)}),
        0,
        period=FIVE_MINUTES,
        periods=1,
    )
