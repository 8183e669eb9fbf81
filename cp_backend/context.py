"""What every handler and every conversation of a node works with."""

from __future__ import annotations

import itertools
import secrets

from cp_backend.deviations import DeviationCounter
from cp_backend.hub_authorization import HubAuthorization
from cp_backend.log_limit import LogLimit
from cp_backend.message_log import MessageLog
from cp_backend.plug_and_charge import PlugAndCharge
from cp_backend.refused_tokens import RefusedTokens
from cp_backend.settings import Settings
from cp_backend.store.store import Store
from cp_backend.telemetry import Metrics


class Context:
    """A node's store, way to ask the hub, message log, settings, figures, and what it counts."""

    __slots__ = (
        "_message_ids",
        "deviations",
        "hub",
        "log_limit",
        "message_log",
        "metrics",
        "plug_and_charge",
        "refused_tokens",
        "settings",
        "store",
    )

    def __init__(
        self,
        store: Store,
        hub: HubAuthorization,
        message_log: MessageLog,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.store = store
        self.hub = hub
        self.log_limit = LogLimit()
        self.message_log = message_log
        self.settings = settings
        self.metrics = metrics
        self.plug_and_charge = PlugAndCharge(settings)
        self.deviations = DeviationCounter(store.lookups)
        self.refused_tokens = RefusedTokens(store.lookups)
        prefix = secrets.token_hex(8)
        self._message_ids = (f"{prefix}-{n}" for n in itertools.count(1))

    def next_message_id(self) -> str:
        """Return an id that no call of any node has had; at most 36 characters."""
        return next(self._message_ids)
