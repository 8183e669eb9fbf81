"""What can be set about charging-point-backend, all of it from the environment.

The table in docs/charging-point-backend-settings.md is made from this; a test compares them.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from charging.service.proxies import Network, read_networks
from charging.service.settings import LOG_LEVELS, SettingError, SettingsReader, setting

if TYPE_CHECKING:
    from cp_backend.certificate_authority import CertificateAuthority

PREFIX = "CP_BACKEND_"
PRIVATE_NETWORKS = "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7"
"""Of RFC 1918 and RFC 4193: where a load balancer of ours has its addresses."""
VERSIONS = ("1.6", "2.0.1", "2.1")
"""The versions of OCPP that can be spoken; `ocpp.dialect` has a dialect for each."""
# Files a node needs beside charging points' sockets: database, epoll, logs, listener.
_SPARE_FILES = 100


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of every node. Times in seconds, sizes in bytes."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 in a container")
    port: int = setting(9000, "port of WebSockets and of the health paths; 0 picks a free one")
    processes: int = setting(1, "nodes (processes) behind the port; one a vCPU", 1)
    ocpp_versions: str = setting(
        ",".join(VERSIONS),
        f"versions of OCPP that are spoken, separated by commas; of {', '.join(VERSIONS)}",
    )
    tls_certificate: str = setting(
        "", "PEM certificate chain to speak TLS with; empty where a load balancer does"
    )
    tls_key: str = setting("", "PEM private key of the certificate")
    tls_client_ca: str = setting(
        "", "PEM certificates of whoever signs charging points' own; with tls_certificate"
    )
    signing_certificate: str = setting(
        "", "PEM chain of the authority that signs charging points' requests; empty: none signs"
    )
    signing_key: str = setting("", "PEM private key of that authority")
    signed_days: int = setting(365, "days that the certificates it signs are valid", 1)
    pki_service: str = setting(
        "",
        "address of a PKI service of the Open Plug&Charge Protocol, asked for contracts'"
        " certificates; empty: vehicles get none",
    )
    pki_token_file: str = setting("", "file with the bearer token for it, read at each question")
    pki_timeout: float = setting(8, "seconds that it, or an OCSP responder, has to answer", 0.1)
    ocsp_responders: str = setting(
        "",
        "addresses of OCSP responders that may be asked about contracts' certificates, separated by"
        " commas; the first where none is named; empty: contracts do not charge",
    )
    contract_authorities: str = setting(
        "", "PEM certificates of the authorities whose contracts charge; with ocsp_responders"
    )
    lowest_security_profile: int = setting(
        0, "OCPP's, of every charging point: 0 nothing, 1 password, 2 and TLS, 3 certificate", 0
    )
    certificate_organization: str = setting(
        "", "the O that charging points' certificates must have; empty: any"
    )
    balancer_networks: str = setting(
        "",
        "CIDRs of load balancers whose X-Forwarded-Proto is believed, separated by commas; empty:"
        " private addresses where forwarded_hops is not 0, otherwise nobody's",
    )
    balancer_verifies_certificates: bool = setting(
        False,
        "those of balancer_networks verify client certificates on every listener that leads here,"
        " and name them in X-Amzn-Mtls-Clientcert-Subject",
    )
    forwarded_hops: int = setting(
        0, "proxies in front whose X-Forwarded-For entries are true; 1 behind a load balancer"
    )
    proxy_protocol_from: str = setting(
        "",
        "CIDRs of network load balancers, separated by commas; from there each connection must "
        "begin with a header of the PROXY protocol, version 2, and from elsewhere none may",
    )
    admit_unknown: bool = setting(
        False, "register unknown charging points as they come, without password; for local use"
    )
    admit_unknown_tokens: bool = setting(
        False, "accept tokens that are not registered; for local use"
    )
    roaming_timeout: float = setting(
        8,
        "seconds the roaming hub has to answer about a card that is not registered; 0: never asked",
    )
    roaming_without_hub: bool = setting(
        False, "accept cards that are not registered, unpaid, while the hub cannot be asked"
    )
    heartbeat_interval: int = setting(300, "seconds between heartbeats that a boot hands out", 1)
    boot_retry_interval: int = setting(
        60, "seconds until a charging point that is pending or rejected boots again", 1
    )
    settle_time: float = setting(
        2,
        "seconds after the answer to a boot, and after a connection until its first message, in"
        " which nothing is asked of a charging point",
    )
    boot_wait: float = setting(
        10,
        "seconds until a charging point that has never booted here is asked to, once a day; 0:"
        " never",
    )
    lost_stop_interval: float = setting(
        60, "seconds between looks for sessions without a stop", 0.1
    )
    lost_stop_quiet: float = setting(
        600, "seconds that a charging point that is back has to send what it has queued"
    )
    presumed_end_hold: float = setting(
        3600, "seconds after which a presumed end is final and the hub is told of it"
    )
    files_url: str = setting(
        "",
        "address under which charging points reach this service for files, such as"
        " https://cp.backend.example; empty: that of the node itself, for local use",
    )
    max_files: int = setting(16, "files that a node moves at once; 503 beyond", 1)
    ping_interval: float = setting(60, "seconds of silence before a ping", 1)
    pong_timeout: float = setting(20, "seconds a ping may stay unanswered", 1)
    handshake_timeout: float = setting(20, "seconds from accept to the end of the handshake", 1)
    close_timeout: float = setting(5, "seconds that closing a connection may take", 1)
    max_connections: int = setting(
        0, "connections a node holds; 0: as many as it may open files for", 0
    )
    max_handshakes: int = setting(
        5000, "handshakes a node has in flight; 503 with Retry-After beyond", 1
    )
    retry_after: int = setting(10, "seconds of Retry-After in a 503; each charging point jitters")
    max_waiting_calls: int = setting(
        8, "messages of one charging point that wait before it is no longer read", 1
    )
    max_unsent_bytes: int = setting(
        256 * 1024, "bytes a charging point may leave unread before it is dropped", 1024
    )
    batch_limit: int = setting(250, "messages committed together at most", 1)
    max_lane_depth: int = setting(
        50_000, "messages waiting for the database before more are answered with an error", 1
    )
    drain_time: float = setting(
        100, "seconds over which a stopping node closes its connections; below the stop timeout"
    )
    environment: str = setting("local", "name of the environment, a dimension of the metrics")
    metrics_interval: float = setting(60, "seconds between metric documents in the log", 1)
    log_level: str = setting(
        "INFO", "DEBUG, INFO, WARNING or ERROR; DEBUG logs payloads", choices=LOG_LEVELS
    )

    def spoken_versions(self) -> tuple[str, ...]:
        """Return the versions of OCPP that are spoken."""
        return tuple(each.strip() for each in self.ocpp_versions.split(",") if each.strip())

    def proxy_networks(self) -> tuple[Network, ...]:
        """Return from where connections begin with the PROXY protocol. Raises ValueError."""
        return read_networks(self.proxy_protocol_from)

    def balancers(self) -> tuple[Network, ...]:
        """Return whose X-Forwarded-Proto is believed. Raises ValueError."""
        named = read_networks(self.balancer_networks)
        return named or (read_networks(PRIVATE_NETWORKS) if self.forwarded_hops else ())

    def responders(self) -> tuple[str, ...]:
        """Return the addresses of OCSP responders that may be asked."""
        return tuple(each.strip() for each in self.ocsp_responders.split(",") if each.strip())

    def authority(self) -> CertificateAuthority | None:
        """Return the authority that signs charging points' certificates; None for none.

        Raises OSError, ValueError.
        """
        if not self.signing_certificate:
            return None
        # Only where it is wanted: what it imports takes a tenth of a node's memory.
        from cp_backend.certificate_authority import load

        return load(
            self.signing_certificate,
            self.signing_key,
            self.signed_days,
            self.certificate_organization,
        )

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


_READER = SettingsReader(Settings, PREFIX, "cp_backend")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return _READER.variable(name)


def from_environment(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Read the settings; overrides (from the command line) win where they are not None.

    Raises SettingError.
    """
    settings = _READER.read(environment, overrides)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingError(
            f"{variable('tls_certificate')} and {variable('tls_key')} go together: set both"
        )
    try:
        proxies = settings.proxy_networks()
    except ValueError as error:
        raise SettingError(f"{variable('proxy_protocol_from')}: {error}") from None
    if proxies and settings.tls_certificate:
        raise SettingError(
            f"{variable('proxy_protocol_from')} is for load balancers that end TLS, not for "
            f"{variable('tls_certificate')}"
        )
    if bool(settings.signing_certificate) != bool(settings.signing_key):
        raise SettingError(
            f"{variable('signing_certificate')} and {variable('signing_key')} go together: set both"
        )
    try:
        settings.authority()
    except (OSError, ValueError) as error:
        raise SettingError(f"{variable('signing_certificate')}: {error}") from None
    _check_plug_and_charge(settings)
    if settings.tls_client_ca and not settings.tls_certificate:
        raise SettingError(
            f"{variable('tls_client_ca')} needs {variable('tls_certificate')}: client certificates"
            " are shown over TLS"
        )
    if settings.lowest_security_profile > 3:
        raise SettingError(f"{variable('lowest_security_profile')} is 0, 1, 2 or 3")
    try:
        settings.balancers()
    except ValueError as error:
        raise SettingError(f"{variable('balancer_networks')}: {error}") from None
    if settings.balancer_verifies_certificates and not settings.balancer_networks:
        raise SettingError(
            f"{variable('balancer_verifies_certificates')} needs {variable('balancer_networks')}:"
            " from elsewhere the header with the certificate could be anybody's"
        )
    versions = settings.spoken_versions()
    if not versions or not set(versions) <= set(VERSIONS):
        raise SettingError(
            f"{variable('ocpp_versions')}={settings.ocpp_versions}: must be of "
            f"{', '.join(VERSIONS)}, separated by commas"
        )
    return settings


def _check_plug_and_charge(settings: Settings) -> None:
    named = [
        ("pki_service", settings.pki_service),
        *(("ocsp_responders", r) for r in settings.responders()),
    ]
    for name, address in named:
        parts = urlsplit(address)
        if address and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise SettingError(f"{variable(name)}: {address} is no address over HTTP")
    if bool(settings.ocsp_responders) != bool(settings.contract_authorities):
        raise SettingError(
            f"{variable('ocsp_responders')} and {variable('contract_authorities')} go together:"
            " what a responder says is worth its signer"
        )
    if settings.contract_authorities:
        from cp_backend.contract_certificates import load

        try:
            load(settings.contract_authorities)
        except (OSError, ValueError) as error:
            raise SettingError(f"{variable('contract_authorities')}: {error}") from None


def table() -> list[tuple[str, str, str]]:
    """Return the rows (variable, default, meaning) of the documentation's table."""
    return _READER.table()
