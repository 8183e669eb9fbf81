"""Files: what `make operations` takes and returns, each only for who asked, and authorities."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Template

from templates.exports import offer
from templates.iam.services import only_own_folder
from templates.parameters import new_template
from templates.parts.buckets import add_bucket, add_bucket_policy, add_key, expiry
from templates.parts.checks import skips
from templates.parts.mutual_tls import add_authorities_bucket

STACK = "storage"


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI storage: files that operations take and return.")
    key = add_key(template, "Encrypts what operations take and return", STACK)
    operations = add_bucket(
        template,
        "Operations",
        "operations",
        key,
        # They are fetched and deleted at once; this is for what an interruption left.
        [expiry("outputs-are-of-the-day", 1)],
        Metadata=skips(
            "objects live for seconds, and CloudTrail has who asked for what",
            "CKV_AWS_18",
            "CKV_AWS_21",
        ),
    )
    add_bucket_policy(template, operations, only_own_folder(GetAtt(operations, "Arn")))
    offer(template, STACK, "Operations", Ref(operations), "Bucket of operations' files")
    authorities = add_authorities_bucket(template)
    offer(template, STACK, "Authorities", Ref(authorities), "Bucket of clients' authorities")
    return template
