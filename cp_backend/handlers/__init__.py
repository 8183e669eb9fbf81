"""A message of a charging point → what we do; one module a subject, one table as routing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cp_backend import vocabulary
from cp_backend.context import Context
from cp_backend.handlers.authorization import on_token_presented
from cp_backend.handlers.boot import on_booted, on_heartbeat
from cp_backend.handlers.data_transfer import on_data_transferred
from cp_backend.handlers.notices import (
    on_certificate_requested,
    on_events_reported,
    on_notice,
)
from cp_backend.handlers.plug_and_charge import (
    on_certificate_status_asked,
    on_chain_status_asked,
    on_contract_certificate_asked,
    on_contract_presented,
    on_data_refused,
)
from cp_backend.handlers.reply import Reply
from cp_backend.handlers.sessions import (
    on_meter_read,
    on_session_ended,
    on_session_reported,
    on_session_started,
)
from cp_backend.handlers.status import on_status_reported

# Any: each handler takes the one type of message under whose name it stands.
HANDLERS: dict[type, Callable[[Context, str, Any, Reply[Any]], None]] = {
    vocabulary.Booted: on_booted,
    vocabulary.CertificateRequested: on_certificate_requested,
    vocabulary.CertificateStatusAsked: on_certificate_status_asked,
    vocabulary.ChainStatusAsked: on_chain_status_asked,
    vocabulary.ContractCertificateAsked: on_contract_certificate_asked,
    vocabulary.ContractPresented: on_contract_presented,
    vocabulary.DataRefused: on_data_refused,
    vocabulary.DataTransferred: on_data_transferred,
    vocabulary.EventsReported: on_events_reported,
    vocabulary.HeartbeatReceived: on_heartbeat,
    vocabulary.MeterRead: on_meter_read,
    vocabulary.Notice: on_notice,
    vocabulary.SessionEnded: on_session_ended,
    vocabulary.SessionReported: on_session_reported,
    vocabulary.SessionStarted: on_session_started,
    vocabulary.StatusReported: on_status_reported,
    vocabulary.TokenPresented: on_token_presented,
}
