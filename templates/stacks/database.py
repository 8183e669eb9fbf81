"""The database: Aurora PostgreSQL Serverless v2, private, encrypted, its password AWS's own.

The master user owns the schema and migrates it. The services have a user of their own, with a
secret of its own that does not rotate under their feet; see
docs/decisions/0007-two-database-users.md.
"""

from __future__ import annotations

from troposphere import GetAtt, Ref, Template, rds, secretsmanager

from templates.exports import imported, offer, subnets
from templates.naming import DATABASE_PORT, named, tags
from templates.parameters import add_zones, new_template, number, switch, yes_or_no
from templates.parts.containers import DATABASE_NAME

STACK = "database"
MASTER_USER = "vni_owner"
APPLICATION_USER = "vni_application"
OPERATIONS_USER = "vni_operations"
CONSOLE_USER = "vni_console"
ENGINE = "aurora-postgresql"
ENGINE_VERSION = "17.7"
_FAMILY = "aurora-postgresql17"
_SLOW_STATEMENT_MS = "1000"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI database: Aurora PostgreSQL Serverless v2.")
    add_zones(template)
    least = number(template, "DatabaseMinAcu", 0.5, "Smallest capacity", 0.5)
    most = number(template, "DatabaseMaxAcu", 4, "Largest capacity", 1)
    backup_days = number(template, "BackupDays", 7, "Days that backups are kept", 1)
    protected = yes_or_no(template, "Protected", False, "Refuse to be deleted")
    reader = switch(template, "DatabaseReader", False, "A second instance to take over")
    group = template.add_resource(
        rds.DBSubnetGroup(
            "SubnetGroup",
            DBSubnetGroupDescription="VNI: private subnets",
            SubnetIds=subnets("Private"),
            Tags=tags(),
        )
    )
    parameters = template.add_resource(
        rds.DBClusterParameterGroup(
            "ClusterParameters",
            Description="VNI: TLS only, slow statements in the log",
            Family=_FAMILY,
            Parameters={
                "rds.force_ssl": "1",
                "log_min_duration_statement": _SLOW_STATEMENT_MS,
                # A lost client must not hold locks for the two hours of TCP's own patience.
                "tcp_keepalives_idle": "60",
            },
            Tags=tags(),
        )
    )
    cluster = template.add_resource(
        rds.DBCluster(
            "Cluster",
            DBClusterIdentifier=named(),
            Engine=ENGINE,
            EngineVersion=ENGINE_VERSION,
            DatabaseName=DATABASE_NAME,
            Port=DATABASE_PORT,
            MasterUsername=MASTER_USER,
            ManageMasterUserPassword=True,
            DBSubnetGroupName=Ref(group),
            DBClusterParameterGroupName=Ref(parameters),
            VpcSecurityGroupIds=[imported("firewall", "Database")],
            ServerlessV2ScalingConfiguration=rds.ServerlessV2ScalingConfiguration(
                MinCapacity=least, MaxCapacity=most
            ),
            StorageEncrypted=True,
            BackupRetentionPeriod=backup_days,
            CopyTagsToSnapshot=True,
            DeletionProtection=protected,
            EnableCloudwatchLogsExports=["postgresql"],
            # Whoever deletes the stack has a last copy; `make delete-environment` removes it
            # too where an environment is for trying things out.
            DeletionPolicy="Snapshot",
            UpdateReplacePolicy="Snapshot",
            Tags=tags(),
        )
    )
    for name, more in (("Writer", {}), ("Reader", {"Condition": reader, "DependsOn": "Writer"})):
        template.add_resource(
            rds.DBInstance(
                name,
                DBClusterIdentifier=Ref(cluster),
                DBInstanceClass="db.serverless",
                Engine=ENGINE,
                PubliclyAccessible=False,
                # By a commit that changes ENGINE_VERSION: else the template asks for an older one
                # at the next change, and an outage comes at an hour of AWS's choosing.
                AutoMinorVersionUpgrade=False,
                EnablePerformanceInsights=True,
                PromotionTier=1,
                Tags=tags(name.lower()),
                **more,
            )
        )
    application = _add_user(
        template, "ApplicationSecret", "database-application", APPLICATION_USER, "The services'"
    )
    operations = _add_user(
        template, "OperationsSecret", "database-operations", OPERATIONS_USER, "The operations'"
    )
    console = _add_user(
        template, "ConsoleSecret", "database-console", CONSOLE_USER, "The console's"
    )
    offer(template, STACK, "Endpoint", GetAtt(cluster, "Endpoint.Address"), "Host of the writer")
    # For the stacks of the version before, which import it; those of now are told which it is.
    offer(
        template,
        STACK,
        "MasterSecret",
        GetAtt(cluster, "MasterUserSecret.SecretArn"),
        "Secret of the user that owns the schema",
    )
    offer(
        template,
        STACK,
        "ApplicationSecret",
        GetAtt(application, "Id"),
        "Secret of the services' user",
    )
    offer(
        template,
        STACK,
        "OperationsSecret",
        GetAtt(operations, "Id"),
        "Secret of the operations' user",
    )
    offer(template, STACK, "ConsoleSecret", GetAtt(console, "Id"), "Secret of the console's user")
    offer(template, STACK, "ClusterIdentifier", Ref(cluster), "Name of the database cluster")
    return template


def _add_user(
    template: Template, title: str, name: str, user: str, whose: str
) -> secretsmanager.Secret:
    """Add the secret of a user of the database; the migration's task makes the user."""
    return template.add_resource(
        secretsmanager.Secret(
            title,
            Name=named(name),
            Description=f"{whose} user of the database",
            GenerateSecretString=secretsmanager.GenerateSecretString(
                SecretStringTemplate=f'{{"username": "{user}"}}',
                GenerateStringKey="password",
                PasswordLength=40,
                ExcludePunctuation=True,
            ),
            Tags=tags(),
        )
    )
