"""`python -m operations`: what an operator does and looks at."""

from __future__ import annotations

import argparse
import os
import sys

import psycopg

from charging.database.address import database
from charging.database.connection import Limits, connect
from charging.database.embedded import EmbeddedServerError
from operations.command_line import (
    api_keys,
    bills,
    charging_points,
    commands,
    deviations,
    energy_audits,
    evses,
    handshakes,
    hub,
    jobs,
    local_lists,
    maintain,
    maintenance,
    nodes,
    people,
    prices,
    sessions,
    settings,
    stored_files,
    tariffs,
    timeline,
    tokens,
    vendors,
)
from operations.command_line.output import print_error
from operations.errors import OperationError

LIMITS = Limits(connect=10, statement=60, lock=10)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser(many=jobs.says_many(words)).parse_args(words)
    # A terminal that cannot show a character shows its escape.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with database() as url, connect(url, "operations", LIMITS) as connection:
            code: int | None = options.run(connection, options)
            sys.stdout.flush()
    except (OperationError, EmbeddedServerError) as error:
        return _failed(str(error))
    except BrokenPipeError:
        # Whoever read our output has ended (`| head`); what is left to flush goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except psycopg.errors.UndefinedTable:
        return _failed("the database has no schema yet; run `make migrate-database`")
    except psycopg.errors.QueryCanceled:
        return _failed(f"the database took longer than {LIMITS.statement:g} seconds")
    except psycopg.errors.LockNotAvailable:
        return _failed(f"another program has held the same rows for {LIMITS.lock:g} seconds")
    except psycopg.OperationalError as error:
        return _failed(f"the database cannot be reached: {error}".strip())
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:
            raise
        return _failed(f"DATABASE_URL is no address of a database: {error}".strip())
    return code or 0


def _failed(sentence: str) -> int:
    print_error(f"operations: {sentence}")
    return 1


def _parser(*, many: bool = False) -> argparse.ArgumentParser:
    """Return the parser. many: of a command line that means many charging points."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser = argparse.ArgumentParser(
        prog="python -m operations",
        description=(
            "Register charging points, EVSEs and tokens; look at sessions and at the roaming hub."
        ),
        epilog="The database is DATABASE_URL, or an embedded server under var/.",
    )
    subjects = parser.add_subparsers(dest="subject", required=True)
    for name, module, help_text in (
        ("charging-points", charging_points, "register them, see presence and state"),
        ("tokens", tokens, "who may charge"),
        ("sessions", sessions, "what was charged"),
        ("nodes", nodes, "the processes that hold connections, live"),
        ("evses", evses, "names of connectors in roaming, and their master data"),
        ("prices", prices, "what drivers of other providers are asked"),
        ("hub", hub, "what the roaming hub has, what waits for it, and what it refused"),
        ("handshakes", handshakes, "who was not let in, why, and what to do about it"),
        ("deviations", deviations, "what they send in other forms than the standard's"),
        ("commands", commands, "ask a charging point, or many, for whatever they can do"),
        ("people", people, "who may use the console, and what they may do"),
        ("api-keys", api_keys, "which programs may use the API, and what they may do"),
        ("tariffs", tariffs, "what cards of our own pay"),
        ("bills", bills, "what cards of our own have to pay, by month"),
        ("audit", energy_audits, "what meters counted, held against what is billed"),
        ("jobs", jobs, "what is asked of many charging points: see, stop and resume it"),
        ("settings", settings, "of charging points: read, compare with templates, put right"),
        ("local-lists", local_lists, "tokens that charging points know by themselves"),
        ("vendors", vendors, "whose own messages (data transfers) are taken"),
        ("files", stored_files, "firmware to hand out, and logs that were sent"),
    ):
        subject = subjects.add_parser(name, help=help_text)
        if module is commands:
            commands.add_arguments(subject, common, many=many)
        else:
            module.add_arguments(subject, common)
    for name, add, help_text in (
        ("firmware", maintenance.add_firmware_arguments, "let charging points update it"),
        ("logs", maintenance.add_logs_arguments, "let charging points send theirs"),
    ):
        add(subjects.add_parser(name, help=help_text), common)
    maintain.add_arguments(
        subjects.add_parser(
            "maintain",
            parents=[common],
            help="archive and drop what need not be kept any longer",
            description=maintain.DESCRIPTION,
        )
    )
    for name, add_arguments, help_text in (
        ("trace", timeline.add_trace_arguments, "what a charging point and a node exchanged"),
        ("explain", timeline.add_explain_arguments, "all that is known of a time, and why"),
    ):
        add_arguments(subjects.add_parser(name, parents=[common], help=help_text))
    return parser
