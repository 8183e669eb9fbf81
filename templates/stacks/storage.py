"""Files: what operations take and return, each for who asked; charging points'; archives."""

from __future__ import annotations

from troposphere import GetAtt, Ref, Template

from templates.exports import offer
from templates.iam.services import only_own_folder
from templates.parameters import new_template
from templates.parts.archive import add_archive
from templates.parts.buckets import add_bucket, add_bucket_policy, add_key, expiry
from templates.parts.checks import skips
from templates.parts.mutual_tls import add_authorities_bucket

STACK = "storage"

FILE_DAYS = 400


def build() -> Template:
    """Return the stack's template."""
    template = new_template("VNI storage: files of operations and charging points, and archives.")
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
    files = add_bucket(
        template,
        "Files",
        "files",
        key,
        [expiry("files-are-of-the-year", FILE_DAYS)],
        Metadata=skips(
            "what a file is, and who sent it, stands in the database", "CKV_AWS_18", "CKV_AWS_21"
        ),
    )
    add_bucket_policy(template, files)
    offer(template, STACK, "Files", Ref(files), "Bucket of firmware and logs")
    offer(template, STACK, "FilesArn", GetAtt(files, "Arn"), "The same")
    archive = add_archive(template, key)
    offer(template, STACK, "Archive", Ref(archive), "Bucket of archives")
    offer(template, STACK, "ArchiveArn", GetAtt(archive, "Arn"), "The same")
    offer(template, STACK, "KeyArn", GetAtt(key, "Arn"), "Key that encrypts these buckets")
    authorities = add_authorities_bucket(template)
    offer(template, STACK, "Authorities", Ref(authorities), "Bucket of clients' authorities")
    return template
