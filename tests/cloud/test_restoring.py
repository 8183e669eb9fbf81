"""Backups are put back: beside the database for a drill, and in its place under its address.

That a database goes back in time is Aurora's; the emulator copies it as it is.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.databases import with_database


@pytest.fixture(scope="module")
def staging(account):
    return account.deploy("staging")


@pytest.fixture
def rows(server_url, account, staging):
    """A charging point that is in the environment's database."""
    url = with_database(server_url, f"{account.number}_vni-cpo-staging")
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(
            "INSERT INTO charging_points (charging_point_id) VALUES ('KEPT') ON CONFLICT DO NOTHING"
        )


def clusters(account):
    found = account.client("rds").describe_db_clusters()["DBClusters"]
    return {cluster["DBClusterIdentifier"]: cluster for cluster in found}


def instances(account):
    found = account.client("rds").describe_db_instances()["DBInstances"]
    return {each["DBInstanceIdentifier"]: each["DBClusterIdentifier"] for each in found}


def test_a_drill_audits_a_backup_and_leaves_nothing(account, rows):
    before = instances(account)
    run = account.make("restore-drill", ENVIRONMENT="staging")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "vni-cpo-staging-drill is there" in run.stdout
    assert "the books balance" in run.stdout
    assert set(clusters(account)) == {"vni-cpo-staging"}
    assert instances(account) == before


def test_a_drill_that_fails_says_so_and_leaves_nothing(account, rows):
    run = account.make("restore-drill", ENVIRONMENT="staging", SNAPSHOT="no-such")
    assert run.returncode != 0
    assert "DBClusterSnapshotNotFoundFault" in run.stderr
    # The audit cannot read what it is asked for: the copy is there, and goes all the same.
    run = account.make("restore-drill", ENVIRONMENT="staging", DAY="yesterday")
    assert run.returncode != 0
    assert "the audit failed (exit code 2)" in run.stdout
    assert set(clusters(account)) == {"vni-cpo-staging"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "not confirmed; nothing was changed (CONFIRM=staging confirms)"),
        ({"TIME": "yesterday"}, "TIME is 'yesterday'; give UTC, such as 2026-01-31T17:30:00Z"),
        ({"TIME": "2026-01-31T17:30:00Z", "SNAPSHOT": "x"}, "SNAPSHOT and TIME exclude each other"),
    ],
)
def test_a_restore_wants_to_be_meant(account, rows, more, says):
    run = account.make("restore", ENVIRONMENT="staging", **more)
    assert run.returncode == 2
    assert says in run.stderr


def test_a_restored_database_stands_where_the_other_was(account, rows):
    address = account.outputs("vni-cpo-database-staging")["Endpoint"]
    named = list(instances(account))
    owner = clusters(account)["vni-cpo-staging"]["MasterUserSecret"]["SecretArn"]
    account.client("rds").create_db_cluster_snapshot(
        DBClusterIdentifier="vni-cpo-staging", DBClusterSnapshotIdentifier="of-the-morning"
    )
    run = account.make(
        "restore", ENVIRONMENT="staging", SNAPSHOT="of-the-morning", CONFIRM="staging"
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "staging has the snapshot of-the-morning" in run.stdout
    found = clusters(account)
    (before,) = set(found) - {"vni-cpo-staging"}
    assert before.startswith("vni-cpo-staging-before-")
    assert f"The database of before is {before}" in run.stdout
    # The same address and the same names of instances, as the stack knows them.
    assert found["vni-cpo-staging"]["Endpoint"] == address
    restored = [name for name, of in instances(account).items() if of == "vni-cpo-staging"]
    assert restored == named
    # The owner's password is another, and migrations know it.
    now = found["vni-cpo-staging"]["MasterUserSecret"]["SecretArn"]
    assert now != owner
    task = account.client("ecs").describe_task_definition(
        taskDefinition=account.outputs("vni-cpo-cluster-staging")["MigrationTask"]
    )["taskDefinition"]
    given = {s["name"]: s["valueFrom"] for s in task["containerDefinitions"][0]["secrets"]}
    assert given["DATABASE_PASSWORD"].startswith(now)
    # Operations read it; a deployment changes nothing more.
    listed = account.make("operations", ENVIRONMENT="staging", ARGS="charging-points list --json")
    assert '"KEPT"' in listed.stdout
    assert "Nothing changed" in account.deploy("staging")
