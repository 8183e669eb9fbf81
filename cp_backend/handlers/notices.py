"""A charging point reports something that is kept for an operator."""

from __future__ import annotations

from cp_backend.context import Context
from cp_backend.handlers.reply import Reply, after_commit
from cp_backend.vocabulary import (
    CertificateRequestAnswer,
    CertificateRequested,
    Noted,
    Notice,
    NoticeKind,
)


def on_notice(
    context: Context, charging_point_id: str, message: Notice, reply: Reply[Noted]
) -> None:
    """Keep the report for an operator."""

    def noted(_: None) -> Noted:
        return Noted()

    context.store.notices.received(charging_point_id, message, after_commit(reply, noted))


def on_certificate_requested(
    context: Context,
    charging_point_id: str,
    message: CertificateRequested,
    reply: Reply[CertificateRequestAnswer],
) -> None:
    """Keep the request, and refuse it: there is no authority of ours that would sign it."""

    def refused(_: None) -> CertificateRequestAnswer:
        return CertificateRequestAnswer(accepted=False)

    notice = Notice(NoticeKind.CERTIFICATE_REQUEST, "refused", None, None, {"csr": message.csr})
    context.store.notices.received(charging_point_id, notice, after_commit(reply, refused))
