"""The settings of the console, all of them from the environment.

The table in docs/console-settings.md is made from this; a test compares them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from charging.service.settings import LOG_LEVELS, SettingsReader, setting

PREFIX = "CONSOLE_"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the console. Times in seconds."""

    host: str = setting("127.0.0.1", "address to listen on; 0.0.0.0 in a container")
    port: int = setting(9300, "port to listen on")
    threads: int = setting(16, "threads that serve requests", 1)
    secure: bool = setting(
        False, "whether browsers come over TLS: cookies are sent over TLS alone, and HSTS is said"
    )
    forwarded_hops: int = setting(
        0, "proxies in front whose X-Forwarded-For entries are true; 1 behind a load balancer"
    )
    oidc_signer: str = setting(
        "",
        "ARN of the load balancer that signs people in; empty: they sign in here, with a password",
    )
    oidc_issuer: str = setting("", "with oidc_signer: the OpenID Connect provider's issuer")
    oidc_client: str = setting("", "with oidc_signer: the load balancer's client id there")
    oidc_sign_out: str = setting(
        "", "with oidc_signer: where the provider ends its session, when somebody signs out"
    )
    statement_timeout: float = setting(5.0, "seconds that a page's question may take", 0.1)
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR", choices=LOG_LEVELS)


_READER = SettingsReader(Settings, PREFIX, "operations.console")


def from_environment(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Read the settings; overrides (from the command line) win where they are not None.

    Raises SettingError for a value that is not allowed and for an unknown CONSOLE_ variable.
    """
    return _READER.read(environment, overrides)


def table() -> list[tuple[str, str, str]]:
    """Return the rows (variable, default, meaning) of the documentation's table."""
    return _READER.table()
