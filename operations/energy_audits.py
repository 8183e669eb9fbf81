"""Audits of the energy: made, kept in a chain of signed reports, and checked."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from charging.database import audited_energy, energy_audits
from charging.database.connection import Connection
from charging.database.energy_audits import Report
from charging.energy_audit import POWER_MARGIN, Audit, Line, audit
from charging.service.telemetry import Metrics
from operations.errors import InvalidError

NAMESPACE = "VNI/Operations"
METRICS = {"EnergyWithoutHome": "None", "EnergyAuditAlarms": "Count", "EnergyAudits": "Count"}
"""Metrics of the daily audit: Wh that are neither billed nor expected to be, lines to look at."""

COLUMNS = (
    "day",
    "charging_point",
    "evse",
    "session",
    "findings",
    "energy_wh",
    "unbilled_wh",
    "worth",
    "alarm",
    "facts",
    "remedy",
)


@dataclass(frozen=True, slots=True)
class Made:
    """An audit that has been made, and its report."""

    audit: Audit
    report: Report


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the chain of reports does not hold."""

    audit_number: int
    what: str


def make(
    connection: Connection,
    day: date,
    *,
    until: date | None = None,
    charging_point: str | None = None,
    signing_key: Path | None = None,
    power_margin: float = POWER_MARGIN,
) -> Made:
    """Audit a day, or the days from it until another (not included), and keep the report.

    Days are UTC. signing_key: a file with an Ed25519 key, PEM. power_margin: times its EVSE's power
    up to which a session's energy is believed. Raises InvalidError.
    """
    sign = None if signing_key is None else _signer(signing_key)
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = since + timedelta(days=1)
    if until is not None:
        end = datetime(until.year, until.month, until.day, tzinfo=UTC)
        if end <= since:
            raise InvalidError("the days end before they begin")
    now = datetime.now(UTC)
    with connection.transaction():
        # All tables as they are at one moment.
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        made = audit(
            audited_energy.evses(connection, since, end, charging_point, power_margin),
            audited_energy.facts(connection, since, end, charging_point),
            now,
        )
    report = energy_audits.append(
        connection,
        day,
        charging_point,
        now,
        _content(made, since, end, charging_point, now),
        alarms=made.alarms + (not made.balances),
        alarming_wh=made.alarming_wh,
        sign=sign,
    )
    return Made(made, report)


def verify(connection: Connection, public_key: str | None = None) -> list[Fault]:
    """Return where the chain of reports does not hold; none: nothing was changed.

    public_key: hexadecimal; with it, each report must have been signed by its owner.
    """
    faults, previous = [], energy_audits.BEGINNING
    for report in energy_audits.read(connection):
        number = report.audit_number
        if report.previous_digest != previous:
            faults.append(Fault(number, "the report before it is another, or is missing"))
        if energy_audits.digest_of(report.previous_digest, report.report) != report.digest:
            faults.append(Fault(number, "it was changed"))
        if not _signature_holds(report, public_key):
            faults.append(Fault(number, "its signature does not hold"))
        previous = report.digest
    return faults


def as_csv(made: Made) -> str:
    """Return an audit's lines as a table, with the digest of its report in the last."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    for line in made.audit.lines:
        row = {**_line(line), "day": made.report.day, "findings": "+".join(line.findings)}
        table.writerow({name: "" if row[name] is None else row[name] for name in COLUMNS})
    table.writerow(
        {"day": made.report.day, "findings": "report", "facts": f"digest {made.report.digest}"}
    )
    return text.getvalue()


def metrics_document(made: Made, environment: str) -> dict[str, Any]:
    """Return the audit's figures in CloudWatch's embedded metric format."""
    metrics = Metrics(NAMESPACE, METRICS)
    metrics.count("EnergyAudits")
    metrics.count("EnergyAuditAlarms", amount=made.report.alarms)
    metrics.count("EnergyWithoutHome", amount=made.report.alarming_wh)
    return metrics.document({"Environment": environment, "Service": "operations"})


def _content(
    made: Audit, since: datetime, until: datetime, charging_point: str | None, now: datetime
) -> dict[str, Any]:
    return {
        "version": 1,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "charging_point": charging_point,
        "made_at": now.isoformat(),
        "sessions": made.sessions,
        "metered_wh": made.metered_wh,
        "billed_wh": made.billed_wh,
        "listed_wh": made.listed_wh,
        "balances": made.balances,
        "alarms": made.alarms,
        "alarming_wh": made.alarming_wh,
        "lines": [_line(line) for line in made.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {**asdict(line), "findings": [finding.value for finding in line.findings]}


def _signer(file: Path) -> Any:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidError(f"{file} is no key to sign with: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidError(f"{file} is no Ed25519 key; `openssl genpkey -algorithm ed25519`")
    public_key = key.public_key().public_bytes_raw().hex()
    return lambda digest: (key.sign(digest).hex(), public_key)


def _signature_holds(report: Report, public_key: str | None) -> bool:
    """Return whether a report has the signature that it should have."""
    if report.signature is None or report.public_key is None:
        return public_key is None
    if public_key is not None and report.public_key != public_key.lower():
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(report.public_key))
        key.verify(bytes.fromhex(report.signature), report.digest.encode())
    except (ValueError, InvalidSignature):
        return False
    return True
