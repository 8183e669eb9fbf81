"""Buckets of S3: private, encrypted with a key of the environment's, answering over TLS only."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Sub, Template, kms, s3

from templates.iam.services import keep_key, only_encrypted_transport
from templates.naming import tags


def add_key(template: Template, description: str, tag: str) -> kms.Key:
    """Add the key that encrypts a stack's buckets."""
    return template.add_resource(
        kms.Key(
            "Key",
            Description=description,
            EnableKeyRotation=True,
            KeyPolicy=keep_key(),
            Tags=tags(tag),
        )
    )


def bucket_name(tag: str) -> Sub:
    """Return a bucket's name: no other account of the world has it."""
    return Sub(f"vni-cpo-${{Environment}}-{tag}-${{AWS::AccountId}}")


def add_bucket(
    template: Template,
    title: str,
    tag: str,
    key: kms.Key | None,
    rules: list[s3.LifecycleRule],
    **more: object,
) -> s3.Bucket:
    """Add the bucket ``vni-cpo-<environment>-<tag>-<account>``. more: Metadata, versioning.

    key: that encrypts it; None: one of S3's own, for what is no secret.
    Its policy is the caller's to add: `add_bucket_policy` has the least.
    """
    return template.add_resource(
        s3.Bucket(
            title,
            BucketName=bucket_name(tag),
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        BucketKeyEnabled=key is not None,
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(
                            SSEAlgorithm="aws:kms", KMSMasterKeyID=GetAtt(key, "Arn")
                        )
                        if key
                        else s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256"),
                    )
                ]
            ),
            PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                BlockPublicAcls=True,
                BlockPublicPolicy=True,
                IgnorePublicAcls=True,
                RestrictPublicBuckets=True,
            ),
            OwnershipControls=s3.OwnershipControls(
                Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
            ),
            LifecycleConfiguration=s3.LifecycleConfiguration(Rules=rules),
            Tags=tags(tag),
            **more,
        )
    )


def add_bucket_policy(template: Template, bucket: s3.Bucket, policy: object = None) -> None:
    """Add a bucket's policy; by default it only insists on TLS."""
    template.add_resource(
        s3.BucketPolicy(
            f"{bucket.title}Policy",
            Bucket=Ref(bucket),
            PolicyDocument=policy or only_encrypted_transport(GetAtt(bucket, "Arn")),
        )
    )


def expiry(name: str, days: int) -> s3.LifecycleRule:
    """Return the rule that deletes objects after some days, and parts of uploads that broke off."""
    return s3.LifecycleRule(
        Id=name,
        Status="Enabled",
        ExpirationInDays=days,
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=1),
    )
