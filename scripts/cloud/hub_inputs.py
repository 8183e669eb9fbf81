"""The roaming hub as a deployment is given it: its address, our ids there, our certificate."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from scripts.cloud.aws import Aws, AwsError, temporary_files
from scripts.cloud.inputs import InputError
from scripts.cloud.stacks import outputs
from scripts.cloud.steps import NO_CHANGES
from templates.parts.hub import AUTHORITY, CERTIFICATE, KEY

_URL = re.compile(r"https://[^/\s]+")
_OPERATOR_ID = re.compile(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}|\+?[0-9]{1,3}\*[0-9]{3}")
_FILES = {CERTIFICATE: "HUB_CERTIFICATE", KEY: "HUB_KEY", AUTHORITY: "HUB_CA"}


@dataclass(frozen=True)
class Hub:
    """The hub, as far as this deployment changes it; what is not given stays as it is."""

    cidrs: list[str]
    """From which it calls."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Of the stack `services`."""
    secret: dict[str, str] = field(default_factory=dict)
    """PEM texts by what they are; empty: not given."""


def read(variables: Mapping[str, str], cidrs: list[str]) -> Hub:
    """Read HUB_URL, OPERATOR_ID, OPERATOR_NAME and the files HUB_CERTIFICATE, HUB_KEY, HUB_CA.

    Raises InputError.
    """
    given = {name: variables.get(name, "").strip() for name in ("HUB_URL", "OPERATOR_ID")}
    given["OPERATOR_NAME"] = variables.get("OPERATOR_NAME", "").strip()
    if given["HUB_URL"] and not _URL.fullmatch(given["HUB_URL"]):
        raise InputError(f"HUB_URL is {given['HUB_URL']!r}; give https:// and the hub's name")
    if given["OPERATOR_ID"] and not _OPERATOR_ID.fullmatch(given["OPERATOR_ID"]):
        raise InputError(f"OPERATOR_ID is {given['OPERATOR_ID']!r}; give one such as DE*VNI")
    if len(given["OPERATOR_NAME"]) > 100:
        raise InputError("OPERATOR_NAME has more than 100 characters, the most that the hub takes")
    if given["HUB_URL"] and not (given["OPERATOR_ID"] and given["OPERATOR_NAME"]):
        raise InputError("HUB_URL goes with OPERATOR_ID and OPERATOR_NAME; give all three")
    names = {"HUB_URL": "HubUrl", "OPERATOR_ID": "OperatorId", "OPERATOR_NAME": "OperatorName"}
    parameters = {names[name]: value for name, value in given.items() if value}
    return Hub(cidrs, {"HubCidrs": ",".join(cidrs), **parameters}, _secret(variables))


def _secret(variables: Mapping[str, str]) -> dict[str, str]:
    files = {part: variables.get(name, "").strip() for part, name in _FILES.items()}
    if not any(files.values()):
        return {}
    if not files[CERTIFICATE] or not files[KEY]:
        raise InputError("HUB_CERTIFICATE and HUB_KEY go together; give both files")
    texts = {part: _text(_FILES[part], file) for part, file in files.items() if file}
    try:
        certificate = x509.load_pem_x509_certificate(texts[CERTIFICATE].encode())
        if AUTHORITY in texts:
            x509.load_pem_x509_certificates(texts[AUTHORITY].encode())
    except ValueError:
        raise InputError("HUB_CERTIFICATE or HUB_CA is no certificate in PEM") from None
    try:
        key = serialization.load_pem_private_key(texts[KEY].encode(), None)
    except (ValueError, TypeError):
        raise InputError("HUB_KEY is no private key in PEM without a password") from None
    if key.public_key() != certificate.public_key():
        raise InputError("HUB_KEY is not the key of HUB_CERTIFICATE")
    return texts


def _text(name: str, file: str) -> str:
    try:
        return Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is {file!r}, which cannot be read: {error}") from None


def keep(aws: Aws, hub: Hub) -> str:
    """Put our certificate into its secret, if it was given and differs; return what was done.

    A new version goes to the services with `secret_parameters`.
    """
    if not hub.secret or _current(aws) == hub.secret:
        return NO_CHANGES
    with temporary_files(secret=json.dumps(hub.secret).encode()) as files:
        aws(
            *("secretsmanager", "put-secret-value", "--secret-id", _arn(aws)),
            *("--secret-string", f"file://{files['secret']}"),
        )
    return "a new version of the certificate at the hub"


def secret_parameters(aws: Aws, hub: Hub) -> dict[str, str]:
    """Return the parameters of the stack `services` that name the secret's version."""
    if not hub.secret:
        return {}
    answer = aws("secretsmanager", "get-secret-value", "--secret-id", _arn(aws))
    return {
        "HubSecretVersion": answer["VersionId"],
        "HubAuthority": "true" if AUTHORITY in hub.secret else "false",
    }


def _current(aws: Aws) -> dict[str, str] | None:
    try:
        answer = aws("secretsmanager", "get-secret-value", "--secret-id", _arn(aws))
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return None
        raise
    return dict(json.loads(answer["SecretString"] or "{}"))


def _arn(aws: Aws) -> str:
    return outputs(aws, "cluster")["HubSecret"]
