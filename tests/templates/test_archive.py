"""The archive's tables are those that maintenance writes, and its files stay."""

from charging.database.retention import RULES
from templates.parts.archive import COLUMNS
from templates.stacks import services, storage

TYPES = {
    "text": "string",
    "jsonb": "string",
    "integer": "int",
    "bigint": "bigint",
    "timestamptz": "timestamp",
}


def test_glue_knows_every_archived_table_with_its_columns():
    archived = {
        rule.table: {name: TYPES[kind] for name, kind in rule.columns.items()}
        for rule in RULES
        if rule.columns is not None
    }
    assert archived == COLUMNS


def test_the_archive_outlives_its_stack_and_is_never_expired():
    resources = storage.build().to_dict()["Resources"]
    archive = resources["Archive"]
    assert archive["DeletionPolicy"] == "Retain"
    expiring = [
        rule["Prefix"]
        for rule in archive["Properties"]["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    ]
    assert expiring == ["results/"]
    for name in COLUMNS:
        title = f"Archive{''.join(map(str.capitalize, name.split('_')))}"
        table = resources[title]["Properties"]["TableInput"]
        assert table["Parameters"]["storage.location.template"] == {
            "Fn::Sub": f"s3://${{Archive}}/archive/{name}/date=${{!date}}/"
        }


def test_maintenance_runs_daily_with_a_place_to_write_and_a_role_for_the_buckets():
    resources = services.build().to_dict()["Resources"]
    schedule = resources["MaintainDataSchedule"]["Properties"]
    assert '"maintain"' in schedule["Target"]["Input"]["Fn::Sub"]
    for task in ("BooksTask", "OperationsTask"):
        definition = resources[task]["Properties"]
        (container,) = definition["ContainerDefinitions"]
        (mount,) = container["MountPoints"]
        assert [volume["Name"] for volume in definition["Volumes"]] == [mount["SourceVolume"]]
        variables = {each["Name"]: each["Value"] for each in container["Environment"]}
        assert variables["TMPDIR"] == mount["ContainerPath"] == "/scratch"
        assert {"FILE_STORE", "ARCHIVE_STORE"} <= set(variables)
        role = definition["TaskRoleArn"]["Fn::GetAtt"][0]
        (policy,) = resources[role]["Properties"]["Policies"]
        assert policy["PolicyName"] == "keep-files"
