"""A firmware update, step by step, with a message a step. Source: OCPP 1.6 section 4.5, and
the security whitepaper's section 5 for signed ones.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from charging_point_simulator.station.certificates import signature_holds
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.transfers import Transfer, file_name, is_real

_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass
class Update:
    """What an operator asked for.

    request, certificate and signature (base64) are those of a signed update, else None.
    """

    location: str
    retrieve_at: datetime
    retries: int = 0
    retry_seconds: float = 1.0
    install_at: datetime | None = None
    request: int | None = None
    certificate: x509.Certificate | None = None
    signature: str = ""


class Firmware:
    """The updates of one charging point; a new one takes the place of one that goes on."""

    def __init__(self, point: ChargingPoint) -> None:
        self.status = "Idle"
        self._point = point
        self._update: Update | None = None

    @property
    def busy(self) -> bool:
        """Whether an update goes on."""
        return self._update is not None

    @property
    def request(self) -> int | None:
        """The request of a signed update that goes on."""
        return None if self._update is None else self._update.request

    def begin(self, update: Update) -> None:
        """Begin an update, at its time."""
        self._update = update
        left = (update.retrieve_at - self._point.timers.clock.utc()).total_seconds()
        if left > 0 and update.request is not None:
            self._tell(update, "DownloadScheduled")
        self._point.timers.after(left, lambda: self._download(update, update.retries))

    def _after(self, update: Update, then: Callable[[], None], seconds: float = -1) -> None:
        """Go on in a while, unless another update has taken this one's place."""
        wait = self._point.settings.job_seconds if seconds < 0 else seconds

        def go_on() -> None:
            if self._update is update:
                then()

        self._point.timers.after(wait, go_on)

    def _tell(self, update: Update, status: str) -> None:
        self.status = status
        self._point.calls.send(self._point.dialect.firmware_status(status, update.request))
        self._point.changed()

    def _download(self, update: Update, retries: int) -> None:
        if self._update is not update:
            return
        self._tell(update, "Downloading")

        def done(content: bytes | None) -> None:
            if self._update is not update:
                return
            if content is None and retries > 0:
                self._after(
                    update, lambda: self._download(update, retries - 1), update.retry_seconds
                )
            elif content is None:
                self._fail(update, "DownloadFailed")
            else:
                self._tell(update, "Downloaded")
                self._after(update, lambda: self._verify(update, content))

        if self._point.options.outcome == "download-failed":
            self._after(update, lambda: done(None))
        elif is_real(update.location, self._point.options.backend):
            self._point.transfers.append(Transfer(update.location, None, done))
            self._point.changed()
        else:
            self._after(update, lambda: done(b""))

    def _verify(self, update: Update, content: bytes) -> None:
        """Hold a signed update against its signature, where there are bytes to be held."""
        if update.certificate is not None:
            try:
                signature = base64.b64decode(update.signature, validate=True)
            except (ValueError, binascii.Error):
                signature = b""
            real = is_real(update.location, self._point.options.backend)
            if not signature or (
                real and not signature_holds(update.certificate, signature, content)
            ):
                self._fail(update, "InvalidSignature")
                event = self._point.dialect.security_event("InvalidFirmwareSignature", "")
                self._point.calls.send(event)
                return
            self._tell(update, "SignatureVerified")
        left = 0.0
        if update.install_at is not None:
            left = (update.install_at - self._point.timers.clock.utc()).total_seconds()
            if left > 0:
                self._tell(update, "InstallScheduled")
        self._after(update, lambda: self._install(update), max(0.0, left))

    def _install(self, update: Update) -> None:
        if self._point.sessions():
            # Nobody's charging is cut short for an update.
            self._after(update, lambda: self._install(update))
            return
        self._tell(update, "Installing")
        if self._point.options.outcome == "installation-failed":
            self._after(update, lambda: self._fail(update, "InstallationFailed"))
        else:
            self._after(update, lambda: self._reboot(update))

    def _reboot(self, update: Update) -> None:
        point = self._point
        if update.request is not None:
            self._tell(update, "InstallRebooting")

        def installed() -> None:
            if not point.online:
                self._after(update, installed, 0.1)
                return
            self._tell(update, "Installed")
            self._update = None
            self.status = "Idle"

        def restart() -> None:
            name = file_name(update.location)
            version = _VERSION.search(name)
            point.firmware_version = (version[0] if version else name or "unknown")[:50]
            point.boot_reason = "FirmwareUpdate"
            point.restart()
            self._after(update, installed, 0.1)

        self._after(update, restart, 0.2)

    def _fail(self, update: Update, status: str) -> None:
        self._tell(update, status)
        self._update = None
        self.status = "Idle"
