"""The pipelines' stacks, as CloudFormation will read them: what the emulator does not keep."""

import re
from pathlib import Path

import pytest
import yaml

from templates.__main__ import STACKS
from templates.stacks import builds, deployment_pipeline, test_services

ROOT = Path(__file__).parents[2]
SPECIFICATIONS = sorted(
    path
    for path in ROOT.glob("*/**/buildspec*.yml")
    if not set(path.relative_to(ROOT).parts) & {".venv", "build", "var"}
)
# Source: CodeBuild user guide, "Build specification reference for CodeBuild".
MEMBERS = {"version", "env", "phases", "reports", "artifacts"}
ENVIRONMENT = {"shell", "variables", "exported-variables"}
PHASES = {"install", "pre_build", "build", "post_build"}


def of_type(module, kind):
    return {
        name: resource["Properties"]
        for name, resource in module.build().to_dict()["Resources"].items()
        if resource["Type"] == f"AWS::{kind}"
    }


PROJECTS = of_type(builds, "CodeBuild::Project")


def test_a_project_for_each_step_and_its_specification_exists():
    assert set(PROJECTS) == {
        *("ChargingPointBuildProject", "ChargingPointTestProject"),
        *("ThirdPartyBuildProject", "ThirdPartyTestProject"),
        *("MigrateTestProject", "MigrateLiveProject"),
    }
    used = {ROOT / project["Source"]["BuildSpec"] for project in PROJECTS.values()}
    assert used == set(SPECIFICATIONS)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project(name):
    project = PROJECTS[name]
    builds_images = name.endswith("BuildProject")
    assert project["EncryptionKey"] == {"Fn::GetAtt": ["Key", "Arn"]}
    assert project["Source"]["Type"] == project["Artifacts"]["Type"] == "CODEPIPELINE"
    # Where an engine needs the whole machine, no way leads to the database.
    assert project["Environment"]["PrivilegedMode"] is builds_images
    assert ("VpcConfig" in project) is not builds_images
    for variable in project["Environment"]["EnvironmentVariables"]:
        secret = re.search("USER|PASSWORD", variable["Name"])
        assert variable["Type"] == ("SECRETS_MANAGER" if secret else "PLAINTEXT")


@pytest.mark.parametrize("file", SPECIFICATIONS, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_specification_calls_make_targets_and_nothing_else(file):
    specification = yaml.safe_load(file.read_text())
    assert specification["version"] == 0.2
    assert specification.keys() <= MEMBERS
    assert specification["env"].keys() <= ENVIRONMENT
    assert specification["phases"].keys() <= PHASES
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    (install,) = specification["phases"]["install"]["commands"]
    assert install == "bash scripts/unpacked.sh"
    for command in specification["phases"]["build"]["commands"]:
        # What the build found out is exported into CodeBuild's own shell.
        if command != ". build/pipeline/variables":
            make, target, *_ = command.split()
            assert make == "make"
            assert target in targets
    for report in specification.get("reports", {}).values():
        assert report["file-format"] == "JUNITXML"


def test_what_the_build_exports_is_what_the_approval_names():
    specification = yaml.safe_load((ROOT / "cp_backend/buildspec.yml").read_text())
    exported = set(specification["env"]["exported-variables"])
    for pipeline in of_type(deployment_pipeline, "CodePipeline::Pipeline").values():
        (approval,) = pipeline["Stages"][3]["Actions"]
        text = str(approval["Configuration"])
        assert set(re.findall(r"#\{Build\.(\w+)\}", text)) == exported


def test_artifacts_are_encrypted_with_a_key_of_their_own():
    (bucket,) = of_type(builds, "S3::Bucket").values()
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    by_default = rule["ServerSideEncryptionByDefault"]
    assert by_default["SSEAlgorithm"] == "aws:kms"
    assert by_default["KMSMasterKeyID"] == {"Fn::GetAtt": ["Key", "Arn"]}
    (expiry,) = bucket["LifecycleConfiguration"]["Rules"]
    assert expiry["ExpirationInDays"] == builds.ARTIFACT_DAYS


@pytest.mark.parametrize("title", ["ChargingPoint", "ThirdParty"])
def test_the_source_is_by_token_or_by_connection(title):
    pipeline = of_type(deployment_pipeline, "CodePipeline::Pipeline")[f"{title}Pipeline"]
    (choice,) = pipeline["Stages"][0]["Actions"]
    condition, by_token, by_connection = choice["Fn::If"]
    assert condition == "HasToken"
    # Anybody who may read a template or a pipeline would else read the token.
    reference = by_token["Configuration"]["OAuthToken"]["Fn::Sub"]
    assert reference == (
        "{{resolve:secretsmanager:vni-cpo-${Environment}-github:SecretString:token::${TokenVersion}}}"
    )
    assert by_token["Configuration"]["PollForSourceChanges"] is False
    assert by_connection["ActionTypeId"]["Provider"] == "CodeStarSourceConnection"
    assert by_connection["Configuration"]["ConnectionArn"] == {"Ref": "ConnectionArn"}
    webhook = deployment_pipeline.build().to_dict()["Resources"][f"{title}Webhook"]
    assert webhook["Condition"] == "HasWebhook"


PROVIDERS = {
    # Source: CodePipeline user guide, "Valid action providers".
    ("Source", "ThirdParty", "GitHub"),
    ("Source", "AWS", "CodeStarSourceConnection"),
    ("Build", "AWS", "CodeBuild"),
    ("Test", "AWS", "CodeBuild"),
    ("Deploy", "AWS", "ECS"),
    ("Approval", "AWS", "Manual"),
}


def test_providers_are_spelt_as_aws_spells_them():
    for pipeline in of_type(deployment_pipeline, "CodePipeline::Pipeline").values():
        for stage in pipeline["Stages"]:
            for action in stage["Actions"]:
                for one in action["Fn::If"][1:] if "Fn::If" in action else [action]:
                    kind = one["ActionTypeId"]
                    assert (kind["Category"], kind["Owner"], kind["Provider"]) in PROVIDERS
                    assert kind["Version"] == "1"


def test_the_test_services_are_called_as_people_look_for_them():
    names = {s["ServiceName"]["Fn::Sub"] for s in of_type(test_services, "ECS::Service").values()}
    assert names == {
        "vni-backend-charging-point-${Environment}-test",
        "vni-backend-third-party-${Environment}-test",
    }


def roles():
    """The names of all roles of an environment."""
    return [
        resource["Properties"]["RoleName"]["Fn::Sub"]
        for module in STACKS.values()
        for resource in module.build().to_dict()["Resources"].values()
        if resource["Type"] == "AWS::IAM::Role"
    ]


def test_roles_are_called_by_names_of_their_own():
    names = roles()
    assert len(set(names)) == len(names) > 15


def test_the_roles_that_pipelines_hand_to_tasks_exist():
    handed = set()
    for role in of_type(deployment_pipeline, "IAM::Role").values():
        for policy in role["Policies"]:
            if policy.get("PolicyName") == "deploy-tasks":
                (statement,) = [
                    s
                    for s in policy["PolicyDocument"]["Statement"]
                    if s["Action"] == ["iam:PassRole"]
                ]
                handed |= {
                    resource["Fn::Sub"].split(":role/")[1]
                    for resource in statement["Resource"]
                    if "Fn::Sub" in resource
                }
    assert len(handed) == 5
    assert handed <= set(roles())
