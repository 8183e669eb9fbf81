"""The archive of old readings and states, and what queries it: a bucket, Glue tables, Athena."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Sub, Template, athena, glue, kms, s3

from templates.naming import tags
from templates.parts.buckets import add_bucket, add_bucket_policy, bucket_name
from templates.parts.checks import skips

# As `operations maintain` writes them; what PostgreSQL's types are in Parquet.
COLUMNS = {
    "meter_values": {
        "charging_point_id": "string",
        "evse_number": "int",
        "session_id": "int",
        "sampled_at": "timestamp",
        "energy_wh": "bigint",
        "sampled_values": "string",
        "digest": "bigint",
        "received_at": "timestamp",
        "reported_at": "timestamp",
    },
    "state_history": {
        "history_id": "bigint",
        "charging_point_id": "string",
        "evse_number": "int",
        "state": "string",
        "status": "string",
        "error_code": "string",
        "changed_at": "timestamp",
        "received_at": "timestamp",
    },
}
"""Table → column → type."""

BUCKET = bucket_name("archive")
COLD_AFTER_DAYS = 90
_RESULT_DAYS = 7
_QUERY_BYTES = 1024**4
"""What one query may read: 1 TB, some $5."""


def add_archive(template: Template, key: kms.Key) -> s3.Bucket:
    """Add the bucket, a table for each archived one, and the workgroup that asks them."""
    bucket = add_bucket(
        template,
        "Archive",
        "archive",
        key,
        [
            s3.LifecycleRule(
                Id="old-months-are-read-rarely",
                Status="Enabled",
                Prefix="archive/",
                Transitions=[
                    s3.LifecycleRuleTransition(
                        StorageClass="GLACIER_IR", TransitionInDays=COLD_AFTER_DAYS
                    )
                ],
                AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(
                    DaysAfterInitiation=1
                ),
            ),
            s3.LifecycleRule(
                Id="results-are-of-the-week",
                Status="Enabled",
                Prefix="results/",
                ExpirationInDays=_RESULT_DAYS,
            ),
        ],
        # The only place where old readings are: it outlives its stack.
        DeletionPolicy="Retain",
        UpdateReplacePolicy="Retain",
        VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
        Metadata=skips("CloudTrail has who asked for what", "CKV_AWS_18"),
    )
    add_bucket_policy(template, bucket)
    database = template.add_resource(
        glue.Database(
            "ArchiveDatabase",
            CatalogId=Ref("AWS::AccountId"),
            DatabaseInput=glue.DatabaseInput(
                Name=Sub("vni_cpo_${Environment}"), Description="Readings and states of before"
            ),
        )
    )
    for table in COLUMNS:
        template.add_resource(_table(table, database))
    template.add_resource(
        athena.WorkGroup(
            "ArchiveWorkGroup",
            Name=Sub("vni-cpo-${Environment}"),
            Description="Asks the archive",
            RecursiveDeleteOption=True,
            WorkGroupConfiguration=athena.WorkGroupConfiguration(
                EnforceWorkGroupConfiguration=True,
                BytesScannedCutoffPerQuery=_QUERY_BYTES,
                PublishCloudWatchMetricsEnabled=True,
                ResultConfiguration=athena.ResultConfiguration(
                    OutputLocation=Sub("s3://${Archive}/results/"),
                    EncryptionConfiguration=athena.EncryptionConfiguration(
                        EncryptionOption="SSE_KMS", KmsKey=GetAtt(key, "Arn")
                    ),
                ),
            ),
            Tags=tags("archive"),
        )
    )
    return bucket


def _table(name: str, database: glue.Database) -> glue.Table:
    """Return a table over a folder a month; Athena computes which there are."""
    folder = f"s3://${{Archive}}/archive/{name}/"
    return glue.Table(
        f"Archive{''.join(word.capitalize() for word in name.split('_'))}",
        CatalogId=Ref("AWS::AccountId"),
        DatabaseName=Ref(database),
        TableInput=glue.TableInput(
            Name=name,
            TableType="EXTERNAL_TABLE",
            PartitionKeys=[glue.Column(Name="date", Type="string")],
            Parameters={
                "classification": "parquet",
                "projection.enabled": "true",
                "projection.date.type": "date",
                "projection.date.format": "yyyy-MM-dd",
                "projection.date.range": "1970-01-01,NOW",
                "projection.date.interval": "1",
                "projection.date.interval.unit": "MONTHS",
                # Glue's own ${…}, which CloudFormation must leave alone.
                "storage.location.template": Sub(folder + "date=${!date}/"),
            },
            StorageDescriptor=glue.StorageDescriptor(
                Columns=[glue.Column(Name=n, Type=kind) for n, kind in COLUMNS[name].items()],
                Location=Sub(folder),
                InputFormat="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                OutputFormat="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                SerdeInfo=glue.SerdeInfo(
                    SerializationLibrary=(
                        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                    )
                ),
            ),
        ),
    )
