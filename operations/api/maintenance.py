"""What charging points are kept by: settings and templates, firmware, logs, lists, vendors."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.files import StoredFile
from charging.database.local_lists import LocalList
from charging.database.variables import Template
from charging.intents import LogKind
from operations import files, local_lists, maintenance, settings, vendors
from operations.api.commands import Targets, chosen, job_of
from operations.api.endpoints import Body, Query, endpoint
from operations.jobs import Job
from operations.maintenance import Release
from operations.people import Role
from operations.settings import Drift
from operations.vendors import Vendor


class NewTemplate(Body):
    """A template's settings; vendor, model, firmware: whose it is, with ``*`` for any text."""

    settings: dict[str, str]
    vendor: str = "*"
    model: str = "*"
    firmware: str = "*"


class FirmwareUpdate(Targets):
    """The firmware's file, when it is fetched and installed, and who gets it."""

    file: int = Field(ge=0, le=2**62)
    fetch_at: AwareDatetime | None = None
    install_at: AwareDatetime | None = None
    signature: str | None = None
    signing_certificate: str | None = None


class LogRequest(Targets):
    """Which log, of which time, and of whom."""

    log: LogKind = LogKind.DIAGNOSTICS
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    max_bytes: int = Field(maintenance.MAX_LOG_BYTES, ge=1, le=2**40)


class ListRequest(Targets):
    """Who gets the list of all tokens that may charge; full: whole, also where a part would do."""

    full: bool = False


class FilesQuery(Query):
    """Of which kind, charging point or job; all, where nothing is given."""

    kind: str | None = None
    charging_point: str | None = None
    job: int | None = Field(None, ge=0, le=2**62)
    limit: int = Field(100, ge=1, le=1000)


class NewVendor(Body):
    """A vendor whose data transfers are taken. message: the only kind; empty: any."""

    vendor: str
    message: str = ""
    note: str = ""


class VendorQuery(Query):
    """The only kind of message that is meant; empty: the vendor's any."""

    message: str = ""


@endpoint("POST", "/settings/read", Role.OPERATOR, status=201, idempotent_by_key=True)
def read_settings(connection: Connection, by: Asker, key: str | None, body: Targets) -> Job:
    """Let charging points tell all their settings."""
    names = chosen(connection, body)
    return job_of(connection, settings.read(connection, names, by=by, pace=body.pace(), key=key))


@endpoint("GET", "/settings/templates")
def list_templates(connection: Connection) -> list[Template]:
    """List the templates that settings are held against."""
    return settings.templates(connection)


@endpoint("PUT", "/settings/templates/{template}", Role.ADMINISTRATOR, status=204)
def put_template(connection: Connection, by: Asker, template: str, body: NewTemplate) -> None:
    """Keep a template."""
    settings.put_template(
        connection,
        template,
        body.settings,
        vendor=body.vendor,
        model=body.model,
        firmware=body.firmware,
        by=by,
    )


@endpoint("DELETE", "/settings/templates/{template}", Role.ADMINISTRATOR, status=204)
def delete_template(connection: Connection, by: Asker, template: str) -> None:
    """Forget a template."""
    settings.delete_template(connection, template, by=by)


@endpoint("GET", "/settings/templates/{template}/drift")
def show_drift(connection: Connection, template: str) -> Drift:
    """Show how charging points differ from a template."""
    return settings.drift(connection, template)


@endpoint(
    "POST",
    "/settings/templates/{template}/apply",
    Role.ADMINISTRATOR,
    status=201,
    idempotent_by_key=True,
)
def apply_template(
    connection: Connection, by: Asker, key: str | None, template: str, body: Targets
) -> Job:
    """Write what differs from a template, in waves."""
    names = chosen(connection, body)
    job = settings.apply(connection, template, names, by=by, pace=body.pace(), key=key)
    return job_of(connection, job)


@endpoint("POST", "/firmware-updates", Role.ADMINISTRATOR, status=201, idempotent_by_key=True)
def update_firmware(
    connection: Connection, by: Asker, key: str | None, body: FirmwareUpdate
) -> Job:
    """Let charging points fetch and install firmware."""
    release = Release(
        body.file, body.fetch_at, body.install_at, body.signature, body.signing_certificate
    )
    names = chosen(connection, body)
    job = maintenance.update_firmware(connection, names, release, by=by, pace=body.pace(), key=key)
    return job_of(connection, job)


@endpoint("POST", "/log-requests", Role.OPERATOR, status=201, idempotent_by_key=True)
def fetch_logs(connection: Connection, by: Asker, key: str | None, body: LogRequest) -> Job:
    """Let charging points send a log; `GET /files` lists what has come."""
    job = maintenance.fetch_logs(
        connection,
        chosen(connection, body),
        log=body.log,
        since=body.since,
        until=body.until,
        max_bytes=body.max_bytes,
        by=by,
        pace=body.pace(),
        key=key,
    )
    return job_of(connection, job)


@endpoint("GET", "/files")
def list_files(connection: Connection, query: FilesQuery) -> list[StoredFile]:
    """List firmware and logs, the newest first; `operations files` puts and gets them."""
    return files.list_newest(connection, **query.model_dump())


@endpoint("POST", "/local-lists", Role.OPERATOR, status=201, idempotent_by_key=True)
def send_local_list(connection: Connection, by: Asker, key: str | None, body: ListRequest) -> Job:
    """Let charging points know by themselves all tokens that may charge."""
    job = local_lists.send(
        connection,
        chosen(connection, body),
        local_lists.wanted(connection),
        by=by,
        pace=body.pace(),
        full=body.full,
        key=key,
    )
    return job_of(connection, job)


@endpoint("GET", "/charging-points/{charging_point}/local-list")
def show_local_list(connection: Connection, charging_point: str) -> LocalList | None:
    """Show the list that a charging point has taken last; null where there is none."""
    return local_lists.of(connection, charging_point)


@endpoint("GET", "/vendors")
def list_vendors(connection: Connection) -> list[Vendor]:
    """List the vendors whose data transfers are taken."""
    return vendors.list_all(connection)


@endpoint("POST", "/vendors", Role.ADMINISTRATOR, status=204)
def add_vendor(connection: Connection, by: Asker, body: NewVendor) -> None:
    """Take a vendor's data transfers."""
    vendors.add(connection, body.vendor, body.message, note=body.note, by=by)


@endpoint("DELETE", "/vendors/{vendor}", Role.ADMINISTRATOR, status=204)
def remove_vendor(connection: Connection, by: Asker, vendor: str, query: VendorQuery) -> None:
    """Take a vendor's data transfers no longer."""
    vendors.remove(connection, vendor, query.message, by=by)
