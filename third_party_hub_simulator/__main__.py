"""`python -m third_party_hub_simulator`: run the hub, or tell a running one what to do."""

from __future__ import annotations

import argparse
import csv
import logging
import ssl
import sys
from pathlib import Path
from typing import Any

from third_party_hub_simulator import control, pushes
from third_party_hub_simulator.books import Books, BooksError, Token
from third_party_hub_simulator.client import Client, ClientError
from third_party_hub_simulator.driver import EVCO_ID, Driver
from third_party_hub_simulator.faults import MEANINGS, Faults, Kind
from third_party_hub_simulator.hub import Hub
from third_party_hub_simulator.messages import CALLS_PER_MINUTE, Operation
from third_party_hub_simulator.rules import Terms
from third_party_hub_simulator.server import ServerError, Servers, tls_context, wait_for_a_signal
from third_party_hub_simulator.show import show_answer, show_list, show_page

PROVIDER = "DE-EMP"
CONTROL = "http://127.0.0.1:9201"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ServerError, BooksError, ClientError, ValueError) as error:
        print(f"third_party_hub_simulator: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped")
        return 130
    return code


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=options.log_level, format="%(asctime)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    tls = None
    if options.certificate or options.key or options.client_ca:
        if not (options.certificate and options.key):
            raise ServerError("--certificate and --key belong together; --client-ca needs both")
        tls = tls_context(options.certificate, options.key, options.client_ca)
    books = Books(options.file)
    for token in _tokens(options):
        books.record("token", token=vars(token))
    hub = Hub(
        books,
        Terms(options.operator_id, options.progress_interval),
        Faults(options.seed),
        {} if options.no_limits else {**CALLS_PER_MINUTE, **dict(options.limit)},
    )
    driver = Driver(hub, options.operator_url, **_client_options(options))
    try:
        with Servers(
            (options.host, options.port, pushes.create_app(hub)),
            ("127.0.0.1", options.control_port, control.create_app(hub, driver)),
            tls,
        ) as servers:
            scheme = "http" if tls is None else "https"
            port, control_port = servers.ports
            print(
                f"hub on {scheme}://{options.host}:{port}, control on "
                f"http://127.0.0.1:{control_port}; Ctrl-C ends it",
                flush=True,
            )
            wait_for_a_signal()
    finally:
        driver.close()
        books.close()
    return 0


def _client_options(options: argparse.Namespace) -> dict[str, Any]:
    if not options.operator_url.startswith("https:"):
        return {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}  # never used
    try:
        context = ssl.create_default_context(cafile=options.operator_ca)
        if options.hub_certificate:
            context.load_cert_chain(options.hub_certificate, options.hub_key)
    except (OSError, ssl.SSLError) as error:
        raise ServerError(f"the operator's CA or the hub's certificate: {error}") from error
    return {"verify": context}


def _tokens(options: argparse.Namespace) -> list[Token]:
    tokens = [Token(uid.upper(), options.provider) for uid in options.token]
    if options.tokens is not None:
        try:
            with options.tokens.open(newline="") as lines:
                for row in csv.reader(lines):
                    if row and not row[0].startswith("#"):
                        uid, provider, *stops = (cell.strip() for cell in row)
                        tokens.append(Token(uid.upper(), provider, [s.upper() for s in stops]))
        except (OSError, ValueError) as error:
            raise ServerError(
                f"{options.tokens}: lines of `uid,provider[,stopping uid …]` are expected ({error})"
            ) from error
    return tokens


def _start(options: argparse.Namespace) -> int:
    return show_answer(
        _client(options).post(
            "/start",
            evse_id=options.evse,
            provider_id=options.provider,
            session_id=options.session,
            evco_id=options.evco_id,
        ),
        as_json=options.json,
    )


def _stop(options: argparse.Namespace) -> int:
    answer = _client(options).post(
        "/stop", session_id=options.session, provider_id=options.provider
    )
    return show_answer(answer, as_json=options.json)


def _reserve(options: argparse.Namespace) -> int:
    return show_answer(
        _client(options).post(
            "/reserve",
            evse_id=options.evse,
            provider_id=options.provider,
            minutes=options.minutes,
            session_id=options.session,
            evco_id=options.evco_id,
        ),
        as_json=options.json,
    )


def _cancel(options: argparse.Namespace) -> int:
    answer = _client(options).post("/cancel", session_id=options.session)
    return show_answer(answer, as_json=options.json)


def _show(options: argparse.Namespace) -> int:
    show_page(_client(options), options.page, as_json=options.json)
    return 0


def _violations(options: argparse.Namespace) -> int:
    violations = _client(options).get("/violations")
    show_list(violations, "violations", as_json=options.json)
    return 1 if violations else 0


def _faults(options: argparse.Namespace) -> int:
    client = _client(options)
    if options.action == "add":
        client.post(
            "/faults",
            kind=options.kind,
            operation=options.operation,
            calls=None if options.always else options.calls,
            share=options.share,
            seconds=options.seconds,
        )
    elif options.action == "clear":
        client.delete("/faults")
    show_list(client.get("/faults"), "faults", as_json=options.json)
    return 0


def _token(options: argparse.Namespace) -> int:
    client = _client(options)
    if options.action == "add":
        client.post(
            "/tokens",
            uid=options.uid.upper(),
            provider_id=options.provider,
            stops=[uid.upper() for uid in options.stop],
        )
    elif options.action == "remove":
        client.delete(f"/tokens/{options.uid.upper()}")
    show_list(client.get("/tokens"), "tokens", as_json=options.json)
    return 0


def _client(options: argparse.Namespace) -> Client:
    return Client(options.control)


def _limit(text: str) -> tuple[Operation, int]:
    name, _, number = text.partition("=")
    return Operation(name), int(number)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise ValueError
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m third_party_hub_simulator",
        description="Play the roaming hub of OICP 2.3: check what an operator pushes, start and "
        "stop remotely, misbehave on demand.",
        epilog="All but `serve` talk to a running simulator, at --control.",
    )
    actions = parser.add_subparsers(dest="command", required=True)
    _add_serve(actions.add_parser("serve", help="run the hub until Ctrl-C"))
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--control", default=CONTROL, help=f"default: {CONTROL}")
    common.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def action(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, parents=[common], help=help_text)
        made.set_defaults(run=run)
        return made

    _add_start(action("start", _start, "start a session at an EVSE, as a driver's app does"))
    reserve = action("reserve", _reserve, "reserve an EVSE")
    _add_start(reserve)
    reserve.add_argument("--minutes", type=int, help="1 to 99; default: the operator's choice")
    stop = action("stop", _stop, "stop a session")
    stop.add_argument("--session", required=True)
    stop.add_argument("--provider", help="who asks; default: the session's own provider")
    action("cancel", _cancel, "cancel a reservation").add_argument("--session", required=True)
    action("show", _show, "show what the hub knows").add_argument(
        "page",
        nargs="?",
        default="sessions",
        choices=("sessions", "evses", "statuses", "calls", "figures"),
    )
    action("violations", _violations, "list broken rules; exit code 1 if there are any")
    _add_faults(action("faults", _faults, "misbehave"))
    tokens = action("tokens", _token, "cards that are authorized")
    tokens.add_argument("action", choices=("add", "list", "remove"))
    tokens.add_argument("uid", nargs="?", default="")
    tokens.add_argument("--provider", default=PROVIDER)
    tokens.add_argument("--stop", action="append", default=[], metavar="UID", help="may end it too")
    return parser


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--evse", required=True, help="such as DE*VNI*E00025*1")
    parser.add_argument("--provider", default=PROVIDER, help="the driver's provider")
    parser.add_argument("--session", help="a session id of your own; default: a new one")
    parser.add_argument("--evco-id", default=EVCO_ID, help="the driver's contract")


def _add_faults(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "kinds:\n" + "\n".join(
        f"  {kind:16} {meaning}" for kind, meaning in MEANINGS.items()
    )
    parser.add_argument("action", choices=("add", "list", "clear"))
    parser.add_argument("--kind", choices=list(Kind), default=Kind.ERROR)
    parser.add_argument("--operation", choices=list(Operation), help="default: all")
    parser.add_argument("--calls", type=int, default=1, help="how many are to go wrong")
    parser.add_argument("--always", action="store_true", help="until `faults clear`")
    parser.add_argument("--share", type=_share, default=1.0, help="of the calls, such as 0.2")
    parser.add_argument("--seconds", type=float, default=5.0, help="that a slow one takes")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    parser.add_argument("--host", default="127.0.0.1", help="address the operator calls")
    parser.add_argument("--port", type=int, default=9200, help="port the operator calls")
    parser.add_argument(
        "--control-port", type=int, default=9201, help="of the control interface, loopback only"
    )
    parser.add_argument(
        "--operator-url",
        default="http://127.0.0.1:9100",
        help="where the operator is called; /api/oicp/… is appended",
    )
    parser.add_argument("--operator-id", default="DE*VNI", help="the operator that it serves")
    parser.add_argument(
        "--file",
        type=Path,
        help="JSON lines to remember by; without it a restart begins with nothing",
    )
    cards = parser.add_argument_group("cards that are authorized")
    cards.add_argument("--token", action="append", default=[], metavar="UID")
    cards.add_argument("--provider", default=PROVIDER, help="whose the cards of --token are")
    cards.add_argument(
        "--tokens", type=Path, metavar="FILE", help="CSV lines of uid,provider[,stopping uid …]"
    )
    parser.add_argument("--log-level", default="WARNING", choices=("INFO", "WARNING", "ERROR"))
    _add_rules(parser.add_argument_group("rules"))
    _add_tls(parser.add_argument_group("TLS"))


def _add_rules(rules: argparse._ArgumentGroup) -> None:
    operations = ", ".join(Operation)
    rules.add_argument(
        "--progress-interval",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="that Progress notifications must be apart",
    )
    rules.add_argument(
        "--limit",
        type=_limit,
        action="append",
        default=[],
        metavar="OPERATION=CALLS",
        help=f"calls a minute, such as cdr=700; operations: {operations}",
    )
    rules.add_argument("--no-limits", action="store_true", help="any number of calls a minute")
    rules.add_argument("--seed", type=int, help="repeat a run's chance of faults")


def _add_tls(security: argparse._ArgumentGroup) -> None:
    security.add_argument("--certificate", type=Path, help="PEM chain; then the hub speaks HTTPS")
    security.add_argument("--key", type=Path, help="PEM private key of --certificate")
    security.add_argument(
        "--client-ca", type=Path, help="PEM; only callers with a certificate it signed are let in"
    )
    security.add_argument("--operator-ca", type=Path, help="PEM, to trust an https:// operator by")
    security.add_argument("--hub-certificate", type=Path, help="shown to an https:// operator")
    security.add_argument("--hub-key", type=Path, help="PEM private key of --hub-certificate")


if __name__ == "__main__":
    sys.exit(main())
