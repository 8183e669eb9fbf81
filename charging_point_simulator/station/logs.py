"""Uploads of what a charging point has logged: the frames of late, as text."""

from __future__ import annotations

from dataclasses import dataclass

from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.transfers import Transfer, is_real, upload_url


@dataclass
class Upload:
    """What an operator asked for. request: of GetLog, None for diagnostics."""

    location: str
    name: str
    retries: int = 0
    retry_seconds: float = 1.0
    request: int | None = None
    security_only: bool = False


class Logs:
    """The uploads of one charging point; a new one takes the place of one that goes on."""

    def __init__(self, point: ChargingPoint) -> None:
        self.status = "Idle"
        self._point = point
        self._upload: Upload | None = None

    @property
    def busy(self) -> bool:
        """Whether an upload goes on."""
        return self._upload is not None

    @property
    def request(self) -> int | None:
        """The request of an upload that goes on."""
        return None if self._upload is None else self._upload.request

    def begin(self, upload: Upload) -> None:
        """Begin to send."""
        self._upload = upload
        self._send(upload, upload.retries)

    def content(self, upload: Upload) -> bytes:
        """Return the log as text, a frame a line."""
        lines = [
            f"{when} {direction} {text}"
            for when, direction, text in self._point.calls.log
            if not upload.security_only or "SecurityEventNotification" in text
        ]
        return ("\n".join([f"log of {self._point.identity}", *lines]) + "\n").encode()

    def _send(self, upload: Upload, retries: int) -> None:
        point = self._point
        self._tell(upload, "Uploading")

        def done(content: bytes | None) -> None:
            if self._upload is not upload:
                return
            if content is None and retries > 0:
                point.timers.after(upload.retry_seconds, lambda: self._again(upload, retries - 1))
                return
            failed = "UploadFailed" if upload.request is None else "UploadFailure"
            self._tell(upload, failed if content is None else "Uploaded")
            self._upload = None
            self.status = "Idle"

        url = upload_url(upload.location, upload.name)
        if is_real(url, point.options.backend):
            point.transfers.append(Transfer(url, self.content(upload), done))
            point.changed()
        else:
            point.timers.after(point.settings.job_seconds, lambda: done(b""))

    def _again(self, upload: Upload, retries: int) -> None:
        if self._upload is upload:
            self._send(upload, retries)

    def _tell(self, upload: Upload, status: str) -> None:
        self.status = status
        self._point.calls.send(self._point.dialect.log_status(status, upload.request))
        self._point.changed()
