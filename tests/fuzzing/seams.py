"""Where bytes from outside come in, each as a function of one input that raises `Defect`.

A seam makes an input, tries one, and says what came of it in a word or two: inputs with a new
outcome are kept and changed further, so that chance goes where something happens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import traceback
from random import Random
from typing import Any, Protocol

from charging.command import CommandKind
from cp_backend.connection import Connection, Engine
from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.handshake import Handshakes
from cp_backend.keepalive import TimerWheel
from cp_backend.ocpp import frames
from cp_backend.ocpp.dialect import DIALECTS
from cp_backend.ocpp.frames import MAX_FRAME_BYTES, FrameError
from cp_backend.poller import Poller
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store.admission import Admitted
from cp_backend.telemetry import Metrics
from cp_backend.vocabulary import Registration
from scripts.ocpp_pages.examples import EXAMPLES
from tests.fuzzing.fast_store import FastStore, LastWire, context, settled
from tests.fuzzing.mutation import Mutator
from tests.raw_client import frame

HEARTBEAT = b'[2,"after","Heartbeat",{}]'
ADMITTED = Admitted(b"s" * 16, b"h" * 32, None, None)


class Defect(Exception):  # noqa: N818 - what is looked for
    """Something that no input may bring about."""


class Seam(Protocol):
    """One place where bytes come in."""

    name: str

    def make(self) -> bytes:
        """Return a new input."""

    def try_one(self, data: bytes) -> str:
        """Take an input; return its outcome in few words. Raises Defect, or whatever it finds."""


class LoggedDefects(logging.Handler):
    """Notes what our own code logged with a traceback: an exception that was caught at a guard."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.noted: list[str] = []
        logger = logging.getLogger("cp_backend")
        logger.addHandler(self)
        logger.propagate = False  # thousands of lines a second would go to a terminal

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            trace = "".join(traceback.format_tb(record.exc_info[2])[-3:])
            self.noted.append(f"{record.getMessage()}: {record.exc_info[1]!r}\n{trace}")

    def check(self) -> None:
        """Raise Defect for what was noted since the last time."""
        if self.noted:
            noted, self.noted = self.noted, []
            raise Defect("; ".join(noted))

    def close(self) -> None:
        logger = logging.getLogger("cp_backend")
        logger.removeHandler(self)
        logger.propagate = True
        super().close()


class Frames:
    """Texts → frames of OCPP-J."""

    name = "frames"
    _TOKENS = (
        b'[2,"1","Heartbeat",{}]',
        b"\\u0000",
        b"[[[[[",
        b"\xef\xbb\xbf",
        b"[3,",
        b"\xff",
        b"'",
    )

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)

    def make(self) -> bytes:
        kind = self._random.choice((2, 3, 4, 5, 6, "2"))
        value = [kind, "17", "MeterValues", {"connectorId": 1, "x": self._mutator.word()}, {}]
        del value[self._random.choice((3, 4, 4, 4, 5)) :]
        written = self._mutator.text(self._mutator.changed(value))
        return self._mutator.bytes_changed(written, self._TOKENS)[:MAX_FRAME_BYTES]

    def try_one(self, data: bytes) -> str:
        try:
            frame = frames.parse(data)
        except FrameError as error:
            if error.message_id is not None:
                json.loads(frames.call_error(error.message_id, "FormationViolation", str(error)))
            return f"error {error.description[:20]}"
        return type(frame).__name__


class Calls:
    """The calls of a charging point, through the whole conversation of a version."""

    def __init__(self, random: Random, version: str) -> None:
        self.name = f"calls {version}"
        self._random, self._mutator = random, Mutator(random)
        self._dialect = DIALECTS[version]
        self._schemas = self._dialect.schemas()
        self._documents = {
            action: self._schemas._documents.get(action)
            or self._schemas._documents[f"{action}Request"]
            for action in sorted(self._schemas.actions)
        }
        # Those of charging points more often than ours.
        self._actions = sorted(self._dialect.incoming) * 4 + sorted(self._schemas.actions)
        self._wire = LastWire()
        self._context = context(FastStore(random))
        self._logged = LoggedDefects()
        self._conversation = self._begin()

    def _begin(self) -> OcppConversation:
        self._wire.ended = ""
        return OcppConversation(self._wire, self._context, self._dialect, Registration.ACCEPTED)

    def make(self) -> bytes:
        action = self._random.choice(self._actions)
        document = self._documents[action]
        payload = self._mutator.sample(document, document)
        if self._random.random() < 0.9:
            payload = self._mutator.changed(payload)
        kind = 6 if self._random.random() < 0.05 else 2
        return self._mutator.text([kind, "17", action, payload])[:MAX_FRAME_BYTES]

    def try_one(self, data: bytes) -> str:
        wire, conversation = self._wire, self._conversation
        wire.sent.clear()
        conversation.on_text(data)
        outcome = self._outcome(data)
        if self._context.message_log.depth > 8:
            self._context.message_log._of_each.clear()
        self._logged.check()
        if wire.ended:
            if wire.ended != "1007":
                raise Defect(f"the connection ended: {wire.ended}")
            self._conversation = self._begin()
            return "1007"
        wire.sent.clear()
        conversation.on_text(HEARTBEAT)
        if not (wire.sent and wire.sent[-1].startswith(b'[3,"after"')):
            raise Defect("what follows is not answered any more")
        return outcome

    def _outcome(self, data: bytes) -> str:
        """Hold what was sent against the standard; return what it was."""
        said = []
        for text in self._wire.sent:
            answer = json.loads(text)
            if answer[0] == 4:
                said.append(answer[2])
                continue
            action = self._asked(data)
            if action and not self._schemas.accepts_response(action, answer[2]):
                raise Defect(f"an answer to {action} that its schema refuses: {text[:300]!r}")
            said.append(f"{action} {answer[2].get('status', '')}")
        return " ".join(said) or "nothing"

    def _asked(self, data: bytes) -> str:
        """Return the action that a text certainly asks for, '' where that is not certain."""
        try:
            frame = json.loads(data)
        except (ValueError, RecursionError):
            return ""
        if not (isinstance(frame, list) and len(frame) > 2 and isinstance(frame[2], str)):
            return ""
        return frame[2] if frame[2] in self._schemas.actions else ""

    def close(self) -> None:
        self._logged.close()


class Answers(Calls):
    """What a charging point answers to our commands, of a version."""

    def __init__(self, random: Random, version: str) -> None:
        super().__init__(random, version)
        self.name = f"answers {version}"
        self._intents = [each for each in EXAMPLES if each.kind in self._dialect.outgoing]

    def make(self) -> bytes:
        """Return what is answered, with the place of an intent in front."""
        place = self._random.randrange(len(self._intents))
        action = self._ask(place)[0]
        if action is None:
            return b"%d\n" % place
        document = self._schemas._documents[f"{action}Response"]
        payload = self._mutator.sample(document, document)
        if self._random.random() < 0.8:
            payload = self._mutator.changed(payload)
        answer: list[Any] = [3, "ID", payload]
        if self._random.random() < 0.1:
            answer = self._mutator.changed([4, "ID", "NotSupported", "no", {}])
        return b"%d\n" % place + self._mutator.text(answer)

    def _ask(self, place: int) -> tuple[str | None, str, list[Any]]:
        """Ask an intent anew; return the action of its first call, its id, and the results."""
        intent = self._intents[place]
        results: list[Any] = []
        self._conversation = self._begin()
        self._conversation.on_text(HEARTBEAT)
        self._wire.sent.clear()
        arguments = {**intent.arguments(), "command_id": 1}
        self._conversation.command(CommandKind(intent.kind), arguments, 60, results.append)
        if not self._wire.sent:
            return None, "", results
        call = json.loads(self._wire.sent[-1])
        return call[2], call[1], results

    def try_one(self, data: bytes) -> str:
        place, _, text = data.partition(b"\n")
        number = int(place) if place.isdigit() and len(place) < 5 else 0
        action, message_id, results = self._ask(number % len(self._intents))
        if action is None:
            return f"refused {results[0].outcome.value}"
        text = text.replace(b"ID", message_id.encode(), 1)
        self._conversation.on_text(text)
        outcome = " ".join(result.outcome.value for result in results)
        self._conversation.on_closed()
        self._logged.check()
        if len(results) != 1:
            raise Defect(f"a command with {len(results)} results")
        if self._wire.ended not in ("", "1007"):
            raise Defect(f"the connection ended: {self._wire.ended}")
        return f"{action} {outcome}"


class _Sockets:
    """What seams on sockets share."""

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)
        self._loop = asyncio.get_event_loop()
        self._poller = Poller(self._loop)
        self._wheel = TimerWheel()
        self._logged = LoggedDefects()
        self._ended = ""
        self._engine = Engine(
            self._poller, self._wheel, Settings(), MAX_FRAME_BYTES, self._on_closed
        )

    def _on_closed(self, connection: Connection, cause: str) -> None:
        self._ended = cause

    def _turns(self) -> None:
        self._loop.run_until_complete(settled())

    def close(self) -> None:
        self._poller.stop()
        self._logged.close()


class WebSocket(_Sockets):
    """Bytes → frames of RFC 6455 → a conversation of OCPP 2.0.1, with compression."""

    name = "websocket"

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._context = context(FastStore(random))

    def make(self) -> bytes:
        frames_: list[bytes] = []
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 20))):
            payload = self._random.choice(
                (HEARTBEAT, b"", b"x" * 126, b"\xff", b"\x03\xe8", b"y" * 700)
            )
            frames_.append(
                frame(
                    self._random.choice((0, 1, 1, 1, 2, 3, 8, 9, 10, 15)),
                    payload,
                    fin=self._random.random() < 0.8,
                    masked=self._random.random() < 0.95,
                    rsv=self._random.choice((0, 0, 0, 0, 0x40, 0x20, 0x10)),
                )
            )
        data = b"".join(frames_)
        return self._mutator.bytes_changed(data) if self._random.random() < 0.7 else data

    def try_one(self, data: bytes) -> str:
        self._ended = ""
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            fd = ours.detach()
            connection = Connection(self._engine, fd, "FUZZ", deflate=True)
            connection.conversation = OcppConversation(
                connection, self._context, DIALECTS["2.0.1"], Registration.ACCEPTED
            )
            self._poller.register(fd, connection)
            cut = self._random.randint(0, len(data))
            for piece in (data[:cut], data[cut:]):
                if connection._fd >= 0 and piece:
                    connection.receive(piece)
            for _ in range(20):
                if not connection._later:
                    break
                self._turns()
            state = "open" if connection.open else "closing"
            connection.abort("tried")
        self._context.message_log._of_each.clear()
        self._logged.check()
        return f"{state} {self._ended}"


class Openings(_Sockets):
    """Bytes → a request → who may come in."""

    name = "handshakes"
    _REQUEST = (
        b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6, ocpp2.0.1\r\nAuthorization: Basic Q1AxOnBhc3M=\r\n"
        b"X-Forwarded-For: 192.0.2.1\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    _TOKENS = (
        b"Authorization: Basic \xff\r\n", b"%ff", b"%00", b"\r\n ", b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n", b"X-Forwarded-Proto: https\r\n", b"/health/ready",
        b"X-Amzn-Mtls-Clientcert-Subject: CN=CP1,O=\\,=\r\n", b"\r\n\r\n", b"HTTP/1.0", b"POST",
        b"Host: [::1\r\n", b"; client_max_window_bits=99", b"X-Forwarded-For: ,\xe9,\r\n",
        b"/files/",
    )  # fmt: skip

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._handshakes = Handshakes(
            settings=Settings(
                forwarded_hops=1,
                balancer_networks="::1",
                balancer_verifies_certificates=True,
                proxy_protocol_from="192.0.2.7",
            ),
            engine=self._engine,
            store=self,  # type: ignore[arg-type]
            registry=Registry(),
            metrics=Metrics(),
            subprotocols=lambda admitted: ["ocpp1.6", "ocpp2.0.1"],
            make_conversation=lambda accepted: None,
            ready=lambda: True,
            compressed=["ocpp2.0.1"],
        )
        self.admission = self

    def look_up(self, name: str, on_result: Any) -> None:
        """Answer as the database does: known without a password, with one, or unknown."""
        known = (Admitted(None, None, None, None), ADMITTED, None)
        on_result(self._random.choice(known))

    def make(self) -> bytes:
        data = self._mutator.bytes_changed(self._REQUEST, self._TOKENS)
        if self._random.random() < 0.1:
            head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)
            data = b"\0" + self._mutator.bytes_changed(head) + data
        return data[: 20 * 1024]

    def try_one(self, data: bytes) -> str:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(False)
            ours.setblocking(False)
            address = "192.0.2.7" if data.startswith(b"\0") else "::1"
            self._handshakes.begin(ours.detach(), address)
            theirs.send(data.removeprefix(b"\0"))
            self._turns()
            self._wheel.tick()
            try:
                answer = theirs.recv(65536)
            except BlockingIOError:
                answer = b"waits"
            except ConnectionResetError:
                answer = b"reset"
            theirs.close()
            self._turns()
        self._logged.check()
        if self._handshakes.under_way:
            raise Defect("a handshake is still under way whose socket is closed")
        if answer.startswith(b"HTTP/1.1 500"):
            raise Defect("500")
        return answer[:12].decode(errors="replace")
