"""The settings of third-party-backend, all of them from the environment.

The table in docs/third-party-backend-settings.md is made from this; a test compares them.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from charging.service.settings import LOG_LEVELS, SettingError, SettingsReader, setting

PREFIX = "THIRD_PARTY_"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the web processes and of the relay. Times in seconds."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 in a container")
    port: int = setting(9100, "port to listen on")
    workers: int = setting(2, "gunicorn worker processes", 1)
    threads: int = setting(32, "threads of a worker; a waiting remote start holds one", 1)
    answer_timeout: float = setting(
        8.0, "seconds a charging point has to answer; the hub waits for 10 in all", 0.1
    )
    presence_timeout: float = setting(
        15.0, "seconds of a node's silence after which its charging points count as offline", 1
    )
    allowed_cidrs: str = setting(
        "", "networks the hub calls from, separated by commas; empty: any, for local use"
    )
    forwarded_hops: int = setting(
        0, "proxies in front whose X-Forwarded-For entries are true; 1 behind a load balancer"
    )
    client_certificate: str = setting(
        "",
        "SHA-256 fingerprint (hex) or subject of the hub's client certificate, as the load"
        " balancer in front passes it on; empty: not asked for",
    )
    reservation_minutes: int = setting(
        30, "minutes of a reservation for which the hub names none", 1
    )
    start_timeout: float = setting(
        600.0,
        "seconds after which an accepted start counts as failed when no vehicle was connected",
        1,
    )
    hub_url: str = setting(
        "", "address of the hub, without /api/oicp; empty: the relay delivers nothing"
    )
    operator_id: str = setting("", "our operator id at the hub, such as DE*VNI")
    operator_name: str = setting("", "our name, shown to drivers; at most 100 characters")
    hub_certificate: str = setting(
        "", "our client certificate at the hub: a PEM file's path, or the PEM text itself"
    )
    hub_key: str = setting("", "private key of hub_certificate: path or PEM text")
    hub_ca: str = setting(
        "", "certificate authorities of the hub: path or PEM text; empty: the usual public ones"
    )
    hub_timeout: float = setting(10.0, "seconds the hub has to answer a push", 0.1)
    hub_pace: float = setting(
        1.0,
        "times the calls a minute that OICP allows; more than 1 only at a hub of one's own",
        0.01,
    )
    hub_max_backoff: float = setting(
        60.0, "seconds at most between two tries while the hub does not answer", 0.1
    )
    offline_grace: float = setting(
        300.0,
        "seconds a charging point may be offline before the hub shows its EVSEs as out of service",
    )
    progress_interval: float = setting(
        300.0,
        "seconds between a session's Progress notifications; the hub refuses less than 300",
        1,
    )
    power_margin: float = setting(
        1.2,
        "times an EVSE's power up to which a session's energy is believed; more is kept for an"
        " operator instead of billed",
        1,
    )
    environment: str = setting("local", "name of the environment, a dimension of the metrics")
    metrics_interval: float = setting(60.0, "seconds between metric documents in the log", 1)
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR", choices=LOG_LEVELS)

    def networks(self) -> list[Network]:
        """Return allowed_cidrs as networks. Raises ValueError."""
        return [
            ipaddress.ip_network(part.strip())
            for part in self.allowed_cidrs.split(",")
            if part.strip()
        ]


_OPERATOR_ID = re.compile(r"([A-Za-z]{2}\*?[A-Za-z0-9]{3})|(\+?[0-9]{1,3}\*[0-9]{3})")


_READER = SettingsReader(Settings, PREFIX, "third_party_backend")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return _READER.variable(name)


def from_environment(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Read the settings; overrides (from the command line) win where they are not None.

    Raises SettingError for a value that is not allowed and for an unknown THIRD_PARTY_ variable.
    """
    settings = _READER.read(environment, overrides)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    def wrong(name: str, what: str) -> SettingError:
        return SettingError(f"{variable(name)}={getattr(settings, name)}: {what}")

    if settings.answer_timeout > 9:
        raise wrong("answer_timeout", "must be at most 9 seconds; the hub cuts off at 10")
    try:
        settings.networks()
    except ValueError as error:
        raise wrong("allowed_cidrs", str(error)) from None
    if settings.client_certificate and settings.forwarded_hops < 1:
        raise wrong(
            "client_certificate",
            f"only a trusted proxy can tell it; {variable('forwarded_hops')} must be at least 1",
        )
    if not settings.hub_url:
        return
    url = urlsplit(settings.hub_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise wrong("hub_url", "must be like https://service.hub.example")
    if not _OPERATOR_ID.fullmatch(settings.operator_id):
        raise wrong("operator_id", "must be an operator id such as DE*VNI")
    if not 0 < len(settings.operator_name) <= 100:
        raise wrong("operator_name", "must be 1 to 100 characters")
    if bool(settings.hub_certificate) != bool(settings.hub_key):
        raise SettingError(
            f"{variable('hub_certificate')} and {variable('hub_key')} go together: set both"
        )


def table() -> list[tuple[str, str, str]]:
    """Return the rows (variable, default, meaning) of the documentation's table."""
    return _READER.table()
