"""Who signs charging points' own certificates: the trust store of their load balancer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import outputs
from scripts.cloud.steps import NO_CHANGES
from templates.parts.mutual_tls import TAG

NONE = b""
"""What stands for no authority: mutual TLS is taken away."""


def read(variables: Mapping[str, str]) -> bytes | None:
    """Read CLIENT_CA: a file with certificates of authorities, or `none`; None: as before.

    Raises InputError.
    """
    name = variables.get("CLIENT_CA", "").strip()
    if not name or name == "none":
        return NONE if name else None
    try:
        content = Path(name).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"CLIENT_CA is {name!r}, which cannot be read: {error}") from None
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise InputError(f"CLIENT_CA is {name!r}, which has no certificates in PEM") from None
    for certificate in certificates:
        if not _signs(certificate):
            raise InputError(
                f"CLIENT_CA has {certificate.subject.rfc4514_string()!r}, which is no authority's"
            )
    # Whatever stands beside them, a key above all, is not for the trust store.
    return b"".join(c.public_bytes(Encoding.PEM) for c in certificates)


def _signs(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def parameters(authorities: bytes | None) -> dict[str, str]:
    """Return the stacks' parameters; what is None stays as it is."""
    if authorities is None:
        return {}
    key = _key(authorities) if authorities else ""
    return {"ClientAuthorities": key, "MutualTls": str(bool(key)).lower()}


def store(aws: Aws, authorities: bytes | None) -> str:
    """Put authorities where the trust store reads them; return what was done."""
    if not authorities:
        return NO_CHANGES
    where = ("--bucket", outputs(aws, "storage")["Authorities"], "--key", _key(authorities))
    try:
        aws("s3api", "head-object", *where)
    except AwsError as error:
        if "404" not in str(error):
            raise
    else:
        return NO_CHANGES
    with temporary_files(authorities=authorities) as files:
        aws("s3api", "put-object", *where, "--body", str(files["authorities"]))
    return f"{authorities.count(b'BEGIN CERTIFICATE')} in the trust store's bucket"


def _key(authorities: bytes) -> str:
    # By what is in it: another bundle is another object, and the trust store reads it anew.
    return f"{TAG}-{hashlib.sha256(authorities).hexdigest()[:16]}.pem"
