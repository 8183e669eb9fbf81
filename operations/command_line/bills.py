"""`operations bills`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from charging.database.connection import Connection
from charging.identity import redact
from charging.tariff import amount
from operations import bills
from operations.bill_documents import as_csv, as_page
from operations.bills import Bill, Entry
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json
from operations.command_line.times import read_time


def _month(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    book_parser = actions.add_parser(
        "book", parents=[common], help="book sessions that ended, and differences to what was"
    )
    book_parser.add_argument("--until", type=read_time, help="of those that ended before; now")
    book_parser.set_defaults(run=book)
    session_parser = actions.add_parser(
        "session", parents=[common], help="what a session costs, and what is booked of it"
    )
    session_parser.add_argument("session", type=int)
    session_parser.set_defaults(run=show_session)
    charge_parser = actions.add_parser(
        "charge", parents=[common], help="book a session although it is not plausible"
    )
    charge_parser.add_argument("session", type=int)
    charge_parser.add_argument("--reason", required=True, help="for whoever asks later")
    charge_parser.set_defaults(run=charge)
    for name, run, what in (
        ("list", list_month, "what a month's bills add up to"),
        ("close", close, "give a month's bills numbers; what comes later is on later ones"),
        ("export", export, "write a month's bills, each as CSV and as a page to print"),
    ):
        parser_ = actions.add_parser(name, parents=[common], help=what)
        parser_.add_argument("month", type=_month, help="such as 2026-01")
        parser_.set_defaults(run=run)
        if name == "export":
            parser_.add_argument("--directory", type=Path, required=True)
            parser_.add_argument("--seller", type=Path, help="a text file: who sends them")
        else:
            parser_.add_argument("--reveal", action="store_true", help="show tokens whole")


def book(connection: Connection, options: argparse.Namespace) -> None:
    """Book what is due."""
    booked = bills.book(connection, until=options.until)
    rows = records(booked.waiting)
    if options.json:
        show_json({"charges": booked.charges, "corrections": booked.corrections, "waiting": rows})
        return
    if rows:
        show(rows, as_json=False, title=f"{len(rows)} sessions wait", empty="")
    print_text(f"{booked.charges} sessions booked, {booked.corrections} corrected")


def show_session(connection: Connection, options: argparse.Namespace) -> None:
    """Show a session's cost by its steps, and its entries."""
    cost = bills.preview(connection, options.session)
    steps = [{**step, "what": step["what"].value} for step in records(cost.steps)]
    entries = [_entry(entry) for entry in bills.of_session(connection, options.session)]
    if options.json:
        total = {"currency": cost.currency, "net": cost.net, "tax": cost.tax}
        show_json({**total, "steps": steps, "entries": entries})
        return
    net, tax = amount(cost.net, cost.currency), amount(cost.tax, cost.currency)
    title = f"Session {options.session}: {net} and {tax} tax"
    show(steps, as_json=False, title=title, empty=title)
    show(entries, as_json=False, title=f"{len(entries)} entries", empty="not booked yet")


def charge(connection: Connection, options: argparse.Namespace) -> None:
    """Book a session that is not plausible."""
    entry = bills.charge(connection, options.session, options.reason, by=BY)
    show([_entry(entry)], as_json=options.json, title="Booked", empty="")


def list_month(connection: Connection, options: argparse.Namespace) -> None:
    """List a month's bills."""
    _show(bills.of_month(connection, options.month), options)


def close(connection: Connection, options: argparse.Namespace) -> None:
    """Close a month."""
    _show(bills.close(connection, options.month, by=BY), options)


def export(connection: Connection, options: argparse.Namespace) -> None:
    """Write each bill of a month into two files, named by its number or as a draft."""
    seller = options.seller.read_text() if options.seller else ""
    options.directory.mkdir(parents=True, exist_ok=True)
    written = []
    for place, bill in enumerate(bills.of_month(connection, options.month), 1):
        entries = bills.entries(connection, bill)
        name = f"draft-{place}" if bill.number is None else f"bill-{bill.number}"
        path = options.directory / f"{options.month:%Y-%m}-{name}"
        path.with_suffix(".csv").write_text(as_csv(bill, entries), newline="")
        path.with_suffix(".html").write_text(as_page(bill, entries, seller=seller))
        written.append({"bill": bill.number, "csv": f"{path}.csv", "page": f"{path}.html"})
    show(written, as_json=options.json, title=f"{len(written)} bills", empty="no bills")


def _show(found: Sequence[Bill], options: argparse.Namespace) -> None:
    rows = [
        {
            **row,
            "holder": row["holder"] if options.reveal else redact(row["holder"]),
            "net": amount(row["net"], row["currency"]),
            "tax": amount(row["tax"], row["currency"]),
            "gross": amount(row["net"] + row["tax"], row["currency"]),
        }
        for row in records(found)
    ]
    show(rows, as_json=options.json, title=f"{options.month:%Y-%m}", empty="nothing booked")


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "entry": entry.entry,
        "month": f"{entry.month:%Y-%m}",
        "kind": entry.kind,
        "energy_wh": entry.energy_wh,
        "net": amount(entry.net, entry.currency),
        "tax": amount(entry.tax, entry.currency),
        "reason": entry.reason,
        "booked_at": entry.booked_at,
    }
