"""Plug & Charge: what a PKI service and responders of OCSP are asked for charging points.

Each question is a thread's, with a deadline; so many at once, and no more. Without a service, or
without a responder, each is refused with the reason. Only addresses that are configured are asked:
those that a charging point names could be anybody's.

Source: OCPP 2.0.1 part 2, C07, M01, M02 and M06; the interface of the service is the Open
Plug&Charge Protocol's (POST v1/ccp/signedContractData).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import orjson

from charging.contract import CertificateStatus, ContractFinding, ContractHash
from cp_backend.settings import Settings
from cp_backend.vocabulary import (
    CertificateStatusAnswer,
    ChainStatusAnswer,
    ContractCertificateAnswer,
    ContractCertificateAsked,
    ContractPresented,
    ContractVerdict,
)

if TYPE_CHECKING:
    from cp_backend.contract_certificates import Authorities

MAX_RUNNING = 64
"""Questions of a node under way; those beyond are refused."""
_THREADS = 8
MAX_ANSWER_BYTES = 256 * 1024
NO_PKI = "no PKI service is configured (CP_BACKEND_PKI_SERVICE)"
NO_RESPONDER = "no OCSP responder is configured (CP_BACKEND_OCSP_RESPONDERS)"
TOO_MANY = "too many questions are under way"
TOO_LATE = "there was no answer in time"
_CONTRACTS_PATH = "/v1/ccp/signedContractData"
_OCSP = "application/ocsp-request"

T = TypeVar("T")
log = logging.getLogger(__name__)


class AskError(Exception):
    """A service gave no answer that can be used; the message says why, for an operator."""


class PlugAndCharge:
    """A node's questions for Plug & Charge; each callback is called once, in the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._service = settings.pki_service.rstrip("/")
        self._token_file = settings.pki_token_file
        self._responders = settings.responders()
        self._authorities_file = settings.contract_authorities
        self._seconds = settings.pki_timeout
        self._executor: ThreadPoolExecutor | None = None
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def check(
        self, message: ContractPresented, on_result: Callable[[ContractVerdict], None]
    ) -> None:
        """Find out whether a contract's certificate is good."""

        def refused(reason: str) -> ContractVerdict:
            return ContractVerdict(ContractFinding.UNCHECKED, reason)

        if not self._responders:
            on_result(refused(NO_RESPONDER))
        else:
            self._ask(lambda: self._check(message), refused, on_result)

    def contract_certificate(
        self,
        message: ContractCertificateAsked,
        on_result: Callable[[ContractCertificateAnswer], None],
    ) -> None:
        """Fetch a contract's certificate for a vehicle."""

        def refused(reason: str) -> ContractCertificateAnswer:
            return ContractCertificateAnswer(None, reason)

        if not self._service:
            on_result(refused(NO_PKI))
        else:
            self._ask(lambda: self._fetch(message), refused, on_result)

    def certificate_status(
        self, wanted: ContractHash, on_result: Callable[[CertificateStatusAnswer], None]
    ) -> None:
        """Fetch a responder's answer for a charging point, which hands it on as it is."""

        def refused(reason: str) -> CertificateStatusAnswer:
            return CertificateStatusAnswer(None, reason)

        def fetch() -> CertificateStatusAnswer:
            answer = self._ask_responder(wanted)
            return CertificateStatusAnswer(base64.b64encode(answer).decode(), "")

        if not self._responders:
            on_result(refused(NO_RESPONDER))
        else:
            self._ask(fetch, refused, on_result)

    def chain_status(
        self, wanted: list[ContractHash], on_result: Callable[[ChainStatusAnswer], None]
    ) -> None:
        """Find out how several certificates stand, each by itself."""

        def refused(reason: str) -> ChainStatusAnswer:
            return ChainStatusAnswer([(each, CertificateStatus.FAILED, None) for each in wanted])

        if not self._responders:
            on_result(refused(NO_RESPONDER))
        else:
            self._ask(
                lambda: ChainStatusAnswer([(each, *self._status(each)) for each in wanted]),
                refused,
                on_result,
            )

    # In the event loop.

    def _ask(
        self,
        work: Callable[[], T],
        refused: Callable[[str], T],
        on_result: Callable[[T], None],
    ) -> None:
        if self._running >= MAX_RUNNING:
            on_result(refused(TOO_MANY))
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(_THREADS, "plug-and-charge")
        loop = asyncio.get_running_loop()
        self._running += 1
        asked = self._executor.submit(work)
        asked.add_done_callback(lambda _: self._thread_ended(loop))
        task = loop.create_task(self._wait(asked, refused, on_result))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _thread_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        def ended() -> None:
            self._running -= 1

        with contextlib.suppress(RuntimeError):  # the node has stopped meanwhile
            loop.call_soon_threadsafe(ended)

    async def _wait(
        self, asked: Future[T], refused: Callable[[str], T], on_result: Callable[[T], None]
    ) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                result = await asyncio.wrap_future(asked)
        except TimeoutError:
            result = refused(TOO_LATE)
        except AskError as error:
            result = refused(str(error))
        except Exception as error:
            log.exception("question of Plug & Charge failed")
            result = refused(f"a defect: {type(error).__name__}")
        try:
            on_result(result)
        except Exception:
            log.exception("answer of Plug & Charge not handed on")

    # In a thread.

    def _authorities(self) -> Authorities:
        from cp_backend.contract_certificates import load

        return load(self._authorities_file)

    def _check(self, message: ContractPresented) -> ContractVerdict:
        from cp_backend.contract_certificates import UntrustedError

        authorities, now = self._authorities(), datetime.now(UTC)
        certificates = []
        wanted = list(message.hashes)
        try:
            if message.chain is not None:
                certificates = authorities.check_chain(message.chain, message.token.value, now)
                wanted = [authorities.hash_of(certificates)]
            if not wanted:
                return ContractVerdict(ContractFinding.UNCHECKED, "it names no certificate")
            for each in wanted:
                authorities.check_answer(each, self._ask_responder(each), now, certificates)
        except UntrustedError as error:
            return ContractVerdict(error.finding, str(error))
        return ContractVerdict(ContractFinding.VALID, "")

    def _status(self, wanted: ContractHash) -> tuple[CertificateStatus, datetime | None]:
        from cp_backend.contract_certificates import UntrustedError

        try:
            answer = self._ask_responder(wanted)
            until = self._authorities().check_answer(wanted, answer, datetime.now(UTC))
        except AskError:
            return CertificateStatus.FAILED, None
        except UntrustedError as error:
            known = {
                ContractFinding.REVOKED: CertificateStatus.REVOKED,
                ContractFinding.UNTRUSTED: CertificateStatus.UNKNOWN,
            }
            return known.get(error.finding, CertificateStatus.FAILED), None
        return CertificateStatus.GOOD, until

    def _ask_responder(self, wanted: ContractHash) -> bytes:
        """Return a responder's answer, DER. Raises AskError."""
        from cp_backend.contract_certificates import is_answer, request

        address = self._responder(wanted.responder)
        try:
            question = request(wanted)
        except (ValueError, OverflowError) as error:
            raise AskError(f"the certificate's hashes cannot be read: {error}") from None
        answer = post(address, question, {"Content-Type": _OCSP}, self._seconds)
        if not is_answer(answer):
            raise AskError("the responder gave no answer on it")
        return answer

    def _responder(self, named: str) -> str:
        """Return the configured address that is asked: the one that is named, if it is one."""
        for each in self._responders:
            if not named or named == each or named.startswith(each.rstrip("/") + "/"):
                return named or each
        raise AskError(f"its responder {named[:100]} is not among CP_BACKEND_OCSP_RESPONDERS")

    def _fetch(self, message: ContractCertificateAsked) -> ContractCertificateAnswer:
        body = {
            "certificateInstallationReq": message.request,
            "xsdMsgDefNamespace": message.schema,
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token_file:
            headers["Authorization"] = f"Bearer {_token(self._token_file)}"
        text = post(self._service + _CONTRACTS_PATH, orjson.dumps(body), headers, self._seconds)
        try:
            contents = orjson.loads(text)["CCPResponse"]["emaidContent"]
            contracts = [each["messageDef"] for each in contents]
            ordered = sorted(contracts, key=lambda each: _rank(each.get("emaid", ""), message))
            response = str(ordered[0]["certificateInstallationRes"]) if ordered else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise AskError(f"the PKI service's answer cannot be read: {error!r}"[:200]) from None
        if response is None:
            return ContractCertificateAnswer(None, "the PKI service has no contract for it")
        return ContractCertificateAnswer(response, "", len(ordered) - 1)


def _rank(contract: str, message: ContractCertificateAsked) -> int:
    wanted = message.prioritized
    return wanted.index(contract) if contract in wanted else len(wanted)


def _token(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise AskError(f"the PKI service's token cannot be read: {error.strerror}") from None


def post(address: str, body: bytes, headers: dict[str, str], seconds: float) -> bytes:
    """Post over HTTP; return the answer of a 200. Redirections are not followed.

    seconds: of each wait for the network. Raises AskError.
    """
    parts = urlsplit(address)
    place = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=seconds, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("POST", place, body, headers)
        response = connection.getresponse()
        answer = response.read(MAX_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise AskError(f"{parts.hostname}: {str(error) or type(error).__name__}"[:200]) from None
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        raise AskError(f"{parts.hostname} knows nothing of it (HTTP 404)")
    if response.status != http.client.OK:
        raise AskError(f"{parts.hostname} answered HTTP {response.status}")
    if len(answer) > MAX_ANSWER_BYTES:
        raise AskError(f"{parts.hostname} answered more than {MAX_ANSWER_BYTES} bytes")
    return answer
