"""What can be set about charging-point-backend, all of it from the environment.

The table in docs/charging-point-backend-settings.md is made from this; a test compares them.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PREFIX = "CP_BACKEND_"
# Files a node needs beside charging points' sockets: database, epoll, logs, listener.
_SPARE_FILES = 100


class SettingError(ValueError):
    """A setting has a value that cannot be; the message names it and says what can."""


def _setting(default: Any, help_text: str, least: float = 0) -> Any:
    return field(default=default, metadata={"help": help_text, "least": least})


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of every node. Times in seconds, sizes in bytes."""

    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 in a container")
    port: int = _setting(9000, "port of WebSockets and of the health paths; 0 picks a free one")
    processes: int = _setting(1, "nodes (processes) behind the port; one a vCPU", 1)
    tls_certificate: str = _setting(
        "", "PEM certificate chain to speak TLS with; empty where a load balancer does"
    )
    tls_key: str = _setting("", "PEM private key of the certificate")
    forwarded_hops: int = _setting(
        0, "proxies in front whose X-Forwarded-For entries are true; 1 behind a load balancer"
    )
    admit_unknown: bool = _setting(
        False, "register unknown charging points as they come, without password; for local use"
    )
    admit_unknown_tokens: bool = _setting(
        False, "let tokens charge that nobody registered; for local use"
    )
    roaming_timeout: float = _setting(
        8,
        "seconds the roaming hub has to answer about a card nobody registered; 0: it is not asked",
    )
    roaming_without_hub: bool = _setting(
        False, "let cards that nobody registered charge, unpaid, while the hub cannot be asked"
    )
    heartbeat_interval: int = _setting(300, "seconds between heartbeats that a boot hands out", 1)
    boot_retry_interval: int = _setting(
        60, "seconds until a charging point that is pending or rejected boots again", 1
    )
    ping_interval: float = _setting(60, "seconds of silence before a ping", 1)
    pong_timeout: float = _setting(20, "seconds a ping may stay unanswered", 1)
    handshake_timeout: float = _setting(20, "seconds from accept to the end of the handshake", 1)
    call_timeout: float = _setting(
        30, "seconds a charging point may take to answer, where a command sets no deadline", 1
    )
    close_timeout: float = _setting(5, "seconds a charging point may take to say goodbye", 1)
    max_connections: int = _setting(
        0, "connections a node holds; 0: as many as it may open files for", 0
    )
    max_handshakes: int = _setting(
        5000, "handshakes a node has in flight; 503 with Retry-After beyond", 1
    )
    retry_after: int = _setting(10, "seconds of Retry-After in a 503; each charging point jitters")
    max_waiting_calls: int = _setting(
        8, "messages of one charging point that wait before it is no longer read", 1
    )
    max_unsent_bytes: int = _setting(
        256 * 1024, "bytes a charging point may leave unread before it is dropped", 1024
    )
    batch_limit: int = _setting(2000, "messages committed together at most", 1)
    max_lane_depth: int = _setting(
        50_000, "messages waiting for the database before InternalError is answered", 1
    )
    drain_time: float = _setting(
        100, "seconds over which a stopping node closes its connections; below the stop timeout"
    )
    environment: str = _setting("local", "name of the environment, a dimension of the metrics")
    metrics_interval: float = _setting(60, "seconds between metric documents in the log", 1)
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR; DEBUG logs payloads")

    def connection_limit(self) -> int:
        """Return how many connections a node may hold: the setting, or what files allow."""
        # TLS in the process passes the plain bytes on through a pair of sockets.
        files_each = 3 if self.tls_certificate else 1
        allowed = max(1, (files_limit() - _SPARE_FILES) // files_each)
        return min(self.max_connections, allowed) if self.max_connections else allowed


def files_limit() -> int:
    """Return how many files a process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_files_limit() -> None:
    """Let this process and its children open as many files as the system allows them to."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def from_environment(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Read the settings; overrides (from the command line) win where they are not None.

    Raises SettingError for a value that cannot be and for a CP_BACKEND_ variable that is none
    of ours, since a misspelt setting would otherwise silently not apply.
    """
    known = {variable(f.name): f for f in fields(Settings)}
    unknown = sorted(n for n in environment if n.startswith(PREFIX) and n not in known)
    if unknown:
        raise SettingError(
            f"{', '.join(unknown)}: no such setting; `python -m cp_backend --help` lists them"
        )
    values: dict[str, Any] = {
        f.name: _read(name, environment[name], str(f.type))
        for name, f in known.items()
        if name in environment
    }
    values |= {name: value for name, value in overrides.items() if value is not None}
    settings = Settings(**values)
    for name, setting in known.items():
        value, least = getattr(settings, setting.name), setting.metadata["least"]
        if isinstance(value, (int, float)) and value < least:
            raise SettingError(f"{name}={value}: must be at least {least}")
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingError(f"{variable('log_level')}={settings.log_level}: must be a log level")
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingError(
            f"{variable('tls_certificate')} and {variable('tls_key')} go together: set both"
        )
    return settings


def table() -> list[tuple[str, str, str]]:
    """Return the rows (variable, default, meaning) of the documentation's table."""
    return [(variable(f.name), _show(f.default), f.metadata["help"]) for f in fields(Settings)]


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(name: str, text: str, kind: str) -> Any:
    if kind == "bool":
        if text.lower() in ("true", "yes", "1", "on"):
            return True
        if text.lower() in ("false", "no", "0", "off", ""):
            return False
        raise SettingError(f"{name}={text}: must be true or false")
    if kind == "str":
        return text
    try:
        return float(text) if kind == "float" else int(text)
    except ValueError:
        number = "a number" if kind == "float" else "a whole number"
        raise SettingError(f"{name}={text}: must be {number}") from None
