"""Charging points that ask to connect, and that boot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from charging.command import CommandKind
from charging.database import following, passwords
from charging.database.connection import AsyncCursor
from charging.database.following import Finished
from cp_backend.committer import Committer, OnResult
from cp_backend.store.terms import Submission
from cp_backend.vocabulary import Booted, Registration


@dataclass(frozen=True, slots=True)
class Admitted:
    """What the database knows of a charging point that asks to connect.

    boot_status: what its last boot was answered, as far as it still holds; None: it never booted.
    ocpp_versions: that it may speak; None: whatever the node speaks. strict: what deviates from
    the standard is refused. time_zone: of times that it sends without one, as IANA names it.
    other_passwords: salts and hashes of those that count too, while one takes another's place.
    lowest_profile: the security profile that it must at least fulfil. certificate_name: the CN or
    serial number of its certificate; None: its identity.
    """

    password_salt: bytes | None
    password_hash: bytes | None
    boot_status: Registration | None
    ocpp_versions: tuple[str, ...] | None
    strict: bool = False
    time_zone: str = "UTC"
    other_passwords: tuple[tuple[bytes, bytes], ...] = ()
    lowest_profile: int = 0
    certificate_name: str | None = None


class Admission:
    """Looks up and boots charging points. admit_unknown: register unknown ones as they come."""

    def __init__(self, lookups: Committer, facts: Committer, *, admit_unknown: bool) -> None:
        self._lookups = lookups
        self._facts = facts
        self._admit_unknown = admit_unknown

    def look_up(self, charging_point_id: str, on_result: OnResult[Admitted | None]) -> None:
        """Look up a charging point; None: it is unknown."""
        self._lookups.submit(self.admit, charging_point_id, on_result, key=charging_point_id)

    def booted(
        self, charging_point_id: str, message: Booted, on_result: OnResult[Registration]
    ) -> None:
        """Note a boot, which is answered with what the operator decided."""
        submission = Submission(charging_point_id, message)
        self._facts.submit(boot, submission, on_result, key=charging_point_id)

    async def admit(
        self, cursor: AsyncCursor, charging_point_ids: Sequence[str]
    ) -> Sequence[Admitted | None]:
        """Look up charging points; register the unknown ones where that is wanted."""
        if self._admit_unknown:
            await cursor.execute(
                "INSERT INTO charging_points (charging_point_id)"
                " SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING",
                [sorted(set(charging_point_ids))],
            )
        await cursor.execute(
            "SELECT charging_point_id, password_salt, password_hash, boot_status, registration,"
            " ocpp_versions, strict, time_zone, lowest_security_profile, certificate_name"
            " FROM charging_points WHERE charging_point_id = ANY(%s)",
            [list(charging_point_ids)],
            binary=True,
        )
        rows = [_Known(*row) async for row in cursor]
        others = await passwords.look_up(cursor, charging_point_ids)
        known = {
            row.charging_point_id: replace(
                row.admitted(), other_passwords=tuple(others.get(row.charging_point_id, ()))
            )
            for row in rows
        }
        return [known.get(charging_point_id) for charging_point_id in charging_point_ids]


class _Known(NamedTuple):
    charging_point_id: str
    password_salt: bytes | None
    password_hash: bytes | None
    boot_status: str | None
    registration: str
    ocpp_versions: list[str] | None
    strict: bool
    time_zone: str
    lowest_profile: int
    certificate_name: str | None

    def admitted(self) -> Admitted:
        boot_status = self.boot_status
        # An operator may have decided otherwise since, or before it ever booted.
        if boot_status == Registration.ACCEPTED or self.registration != Registration.ACCEPTED:
            boot_status = self.registration
        return Admitted(
            self.password_salt,
            self.password_hash,
            Registration(boot_status) if boot_status is not None else None,
            None if self.ocpp_versions is None else tuple(self.ocpp_versions),
            self.strict,
            self.time_zone,
            lowest_profile=self.lowest_profile,
            certificate_name=self.certificate_name,
        )


async def boot(
    cursor: AsyncCursor, submissions: Sequence[Submission[Booted]]
) -> Sequence[Registration]:
    """Note boots; a charging point is answered what the operator decided."""
    # Sorted, so that two nodes that boot the same charging points lock them in one order.
    in_order = sorted(submissions, key=lambda each: each.charging_point_id)
    latest = {each.charging_point_id: each.message for each in in_order}
    await cursor.execute(
        """
        UPDATE charging_points AS c
        SET boot_status = registration, booted_at = now(), last_seen_at = now(),
            vendor = t.vendor, model = t.model, serial_number = t.serial_number,
            firmware_version = t.firmware_version
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
            AS t (charging_point_id, vendor, model, serial_number, firmware_version)
        WHERE c.charging_point_id = t.charging_point_id
        RETURNING c.charging_point_id, c.registration
        """,
        [
            list(latest),
            [booted.vendor for booted in latest.values()],
            [booted.model for booted in latest.values()],
            [booted.serial_number for booted in latest.values()],
            [booted.firmware_version for booted in latest.values()],
        ],
    )
    registrations = {row[0]: Registration(row[1]) async for row in cursor}
    # One boot answers all resets before it.
    await following.finish(
        cursor,
        [Finished(name, CommandKind.RESET, most=1000, stage="booted") for name in registrations],
    )
    # One that was removed while connected is no longer ours.
    return [
        registrations.get(each.charging_point_id, Registration.REJECTED) for each in submissions
    ]
