"""What ministack's RDS lacks: restores and new names of clusters, with the rows that are in them.

A cluster is a database of the test's PostgreSQL, called after the account and the cluster. A
restore copies it as it is now, whatever time or snapshot is asked for: going back in time is tried
with PostgreSQL's own tools. Source: RDS's API reference.
"""

from __future__ import annotations

import json
import os
from typing import Any

import psycopg
from ministack.core.responses import get_account_id
from ministack.services import rds, secretsmanager
from psycopg import sql

_modify_cluster = rds._ACTION_MAP["ModifyDBCluster"]
_modify_instance = rds._ACTION_MAP["ModifyDBInstance"]
_create_instance = rds._ACTION_MAP["CreateDBInstance"]
_delete_cluster = rds._ACTION_MAP["DeleteDBCluster"]
# What a restored cluster takes over from the one that the backup is of.
_OF_THE_SOURCE = ("Engine", "EngineVersion", "Port", "MasterUsername", "DatabaseName", "KmsKeyId")


def of(cluster: str) -> str:
    """Return what the database of a cluster is called."""
    return f"{get_account_id()}_{cluster}"


def _server(statement: str, *names: str) -> None:
    with psycopg.connect(os.environ["TASK_DATABASE_URL"], autocommit=True) as server:
        for name in names:
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
        server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _restore(params: dict[str, Any], source: str, verb: str) -> Any:
    if source not in rds._clusters:
        return rds._error("DBClusterNotFoundFault", f"DBCluster {source} not found.", 404)
    name = rds._p(params, "DBClusterIdentifier")
    own = rds._clusters[source]
    taken = {key: [str(own[key])] for key in _OF_THE_SOURCE if own.get(key)}
    answer = rds._create_db_cluster({**params, **taken, "StorageEncrypted": ["true"]})
    if answer[0] == 200:
        # All of an account's in a region differ by their name alone.
        for key in ("Endpoint", "ReaderEndpoint"):
            rds._clusters[name][key] = own[key].replace(source, name, 1)
        _server("CREATE DATABASE {1} TEMPLATE {0}", of(source), of(name))
    return (
        answer[0],
        answer[1],
        answer[2].replace(b"CreateDBCluster", verb.encode())
        if isinstance(answer[2], bytes)
        else answer[2].replace("CreateDBCluster", verb),
    )


def restore_to_time(params: dict[str, Any]) -> Any:
    """Answer RestoreDBClusterToPointInTime: a time, or the latest, but not both nor neither."""
    latest = rds._p(params, "UseLatestRestorableTime") == "true"
    if latest == bool(rds._p(params, "RestoreToTime")):
        return rds._error("InvalidParameterCombination", "Give a time or the latest", 400)
    source = rds._p(params, "SourceDBClusterIdentifier")
    return _restore(params, source, "RestoreDBClusterToPointInTime")


def restore_from_snapshot(params: dict[str, Any]) -> Any:
    """Answer RestoreDBClusterFromSnapshot."""
    snapshot = rds._db_cluster_snapshots.get(rds._p(params, "SnapshotIdentifier"))
    if snapshot is None:
        return rds._error("DBClusterSnapshotNotFoundFault", "There is no such snapshot", 404)
    return _restore(params, snapshot["DBClusterIdentifier"], "RestoreDBClusterFromSnapshot")


def modify_cluster(params: dict[str, Any]) -> Any:
    """Answer ModifyDBCluster, with a new name and with AWS's keeping of the owner's password."""
    name, new = (rds._p(params, key) for key in ("DBClusterIdentifier", "NewDBClusterIdentifier"))
    if new:
        if new in rds._clusters:
            return rds._error("DBClusterAlreadyExistsFault", f"{new} already exists.", 400)
        cluster = rds._clusters.pop(name)
        cluster["DBClusterIdentifier"] = new
        for key in ("Endpoint", "ReaderEndpoint", "DBClusterArn"):
            cluster[key] = cluster[key].replace(name, new)
        rds._clusters[new] = cluster
        for instance in rds._instances.values():
            if instance.get("DBClusterIdentifier") == name:
                instance["DBClusterIdentifier"] = new
        _server("ALTER DATABASE {0} RENAME TO {1}", of(name), of(new))
        params = {**params, "DBClusterIdentifier": [new]}
        name = new
    cluster = rds._clusters[name]
    if rds._p(params, "ManageMasterUserPassword") == "true" and not cluster["MasterUserSecret"]:
        secret = secretsmanager.create_secret_in_process(
            f"rds!cluster-{cluster['DbClusterResourceId']}",
            json.dumps({"username": cluster["MasterUsername"], "password": "made-anew"}),
        )
        cluster["MasterUserSecret"] = {"SecretArn": secret, "SecretStatus": "active"}
    return _modify_cluster(params)


def create_instance(params: dict[str, Any]) -> Any:
    """Answer CreateDBInstance: its cluster keeps its address, where ministack gives its own."""
    cluster = rds._clusters.get(rds._p(params, "DBClusterIdentifier"))
    address = cluster and cluster["Endpoint"]
    answer = _create_instance(params)
    if cluster:
        cluster["Endpoint"] = address
    return answer


def modify_instance(params: dict[str, Any]) -> Any:
    """Answer ModifyDBInstance, with a new name."""
    name, new = (rds._p(params, k) for k in ("DBInstanceIdentifier", "NewDBInstanceIdentifier"))
    if new:
        instance = rds._instances.pop(name)
        instance["DBInstanceIdentifier"] = new
        rds._instances[new] = instance
        for member in rds._clusters[instance["DBClusterIdentifier"]]["DBClusterMembers"]:
            if member["DBInstanceIdentifier"] == name:
                member["DBInstanceIdentifier"] = new
        params = {**params, "DBInstanceIdentifier": [new]}
    return _modify_instance(params)


def delete_cluster(params: dict[str, Any]) -> Any:
    """Answer DeleteDBCluster, rows and all."""
    answer = _delete_cluster(params)
    if answer[0] == 200:
        _server("DROP DATABASE IF EXISTS {0}", of(rds._p(params, "DBClusterIdentifier")))
    return answer


def install() -> None:
    """Let ministack answer with these."""
    rds._ACTION_MAP |= {
        "RestoreDBClusterToPointInTime": restore_to_time,
        "RestoreDBClusterFromSnapshot": restore_from_snapshot,
        "ModifyDBCluster": modify_cluster,
        "CreateDBInstance": create_instance,
        "ModifyDBInstance": modify_instance,
        "DeleteDBCluster": delete_cluster,
    }
