"""Plug & Charge: contracts that are shown, and certificates that are asked for."""

from __future__ import annotations

from typing import TypeVar

from charging.authorization import Authorization, Decision, Rule
from charging.contract import ContractFinding
from charging.database.messages import Direction
from cp_backend.context import Context
from cp_backend.handlers.decisions import Shown, note_decision
from cp_backend.handlers.reply import Reply, after_commit, or_fail
from cp_backend.vocabulary import (
    CertificateStatusAnswer,
    CertificateStatusAsked,
    ChainStatusAnswer,
    ChainStatusAsked,
    ContractAnswer,
    ContractCertificateAnswer,
    ContractCertificateAsked,
    ContractPresented,
    ContractVerdict,
    DataRefused,
    DataTransferAnswer,
    Notice,
    NoticeKind,
)


def on_contract_presented(
    context: Context,
    charging_point_id: str,
    message: ContractPresented,
    reply: Reply[ContractAnswer],
) -> None:
    """Answer whether its bearer may charge: a good contract's token is decided as any other."""

    def answer(authorization: Authorization) -> ContractAnswer:
        note_decision(context, charging_point_id, message.token, Shown.ASKING, authorization)
        cancelled = authorization.decision in (Decision.BLOCKED, Decision.EXPIRED)
        finding = ContractFinding.CANCELLED if cancelled else ContractFinding.VALID
        return ContractAnswer(authorization, finding)

    def checked(verdict: ContractVerdict | Exception) -> None:
        assert isinstance(verdict, ContractVerdict)
        if verdict.finding is ContractFinding.VALID:
            context.store.authorizations.shown(
                charging_point_id, message.token, after_commit(reply, answer)
            )
            return
        unchecked = verdict.finding is ContractFinding.UNCHECKED
        rule = Rule.CONTRACT_UNCHECKED if unchecked else Rule.CONTRACT_REFUSED
        authorization = Authorization(Decision.REFUSED, rule=rule)
        context.message_log.note(
            charging_point_id,
            Direction.NODE,
            "decision",
            action="contract",
            outcome=f"{verdict.finding.value}: {verdict.reason}",
        )
        note_decision(context, charging_point_id, message.token, Shown.ASKING, authorization)
        reply.answer(ContractAnswer(authorization, verdict.finding))

    context.plug_and_charge.check(message, or_fail(reply, checked))


def on_contract_certificate_asked(
    context: Context,
    charging_point_id: str,
    message: ContractCertificateAsked,
    reply: Reply[ContractCertificateAnswer],
) -> None:
    """Hand on what the PKI service has for the vehicle; without one, refuse."""

    def fetched(answer: ContractCertificateAnswer | Exception) -> None:
        assert isinstance(answer, ContractCertificateAnswer)
        detail = {"answer": "given" if answer.response is not None else answer.reason}
        _keep(context, charging_point_id, message.reported_action, detail, reply, answer)

    context.plug_and_charge.contract_certificate(message, or_fail(reply, fetched))


def on_certificate_status_asked(
    context: Context,
    charging_point_id: str,
    message: CertificateStatusAsked,
    reply: Reply[CertificateStatusAnswer],
) -> None:
    """Hand on the answer of the certificate's OCSP responder; without one, refuse."""

    def fetched(answer: CertificateStatusAnswer | Exception) -> None:
        assert isinstance(answer, CertificateStatusAnswer)
        detail = {
            "serial_number": message.certificate.serial_number,
            "answer": "given" if answer.response is not None else answer.reason,
        }
        _keep(context, charging_point_id, "status", detail, reply, answer)

    context.plug_and_charge.certificate_status(message.certificate, or_fail(reply, fetched))


def on_chain_status_asked(
    context: Context,
    charging_point_id: str,
    message: ChainStatusAsked,
    reply: Reply[ChainStatusAnswer],
) -> None:
    """Ask each certificate's OCSP responder; what cannot be found out has failed."""

    def fetched(answer: ChainStatusAnswer | Exception) -> None:
        assert isinstance(answer, ChainStatusAnswer)
        detail = {each.serial_number: status.value for each, status, _ in answer.statuses}
        _keep(context, charging_point_id, "status", detail, reply, answer)

    context.plug_and_charge.chain_status(message.certificates, or_fail(reply, fetched))


A = TypeVar("A")


def _keep(
    context: Context,
    charging_point_id: str,
    status: str,
    detail: dict[str, str],
    reply: Reply[A],
    answer: A,
) -> None:
    """Keep for an operator what was asked and what was answered, then answer."""
    notice = Notice(NoticeKind.CONTRACT_CERTIFICATE, status, None, None, dict(detail))
    on_result = after_commit(reply, lambda _: answer)
    context.store.notices.received(charging_point_id, notice, on_result)


def on_data_refused(
    context: Context, charging_point_id: str, message: DataRefused, reply: Reply[DataTransferAnswer]
) -> None:
    """Answer that a message of Plug & Charge cannot be read."""
    context.message_log.note(
        charging_point_id, Direction.NODE, "decision", action="data", outcome=message.reason
    )
    reply.answer(message.answer)
