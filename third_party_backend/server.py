"""gunicorn around the application: workers that are processes, requests that are threads."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from third_party_backend.app import create_app
from third_party_backend.services import services
from third_party_backend.settings import Settings
from third_party_backend.worker import ReceivingWorker

# Above the longest answer there is (the charging point's deadline).
_GRACE_SECONDS = 15


class _Logger(Logger):  # type: ignore[misc]
    """gunicorn's log lines, as ours: through the root logger, as JSON."""

    def setup(self, cfg: Any) -> None:
        """Pass every line on to the root logger; gunicorn's own handlers are removed."""
        del cfg
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.INFO)


def _on_worker_exit(server: Any, worker: Any) -> None:
    """End a worker's threads and connections, with a last metric document."""
    del server
    # A worker that failed early has none.
    app = getattr(worker, "wsgi", None)
    if app is not None:
        services(app).close()


class Server(BaseApplication):  # type: ignore[misc]
    """Runs the application in worker processes."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._database_url = database_url
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options; its own files and environment are not read."""
        options: dict[str, Any] = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "workers": self._settings.workers,
            "threads": self._settings.threads,
            "worker_class": ReceivingWorker,
            "graceful_timeout": _GRACE_SECONDS,
            "timeout": 60,
            "keepalive": 75,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - a heartbeat file; disks can stall
            "logger_class": _Logger,
            "proc_name": "third-party-backend",
            # A worker binds threads and sockets to itself: nothing is made before the fork.
            "preload_app": False,
            "worker_exit": _on_worker_exit,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the application, in the worker."""
        return create_app(self._settings, self._database_url)
