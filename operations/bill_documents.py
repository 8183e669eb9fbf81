"""A bill as a table for programs, and as a page to print or send."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from html import escape
from typing import Any

from charging.identity import redact
from charging.standard_codes import minor_digits
from charging.tariff import What, amount
from operations.bills import Bill, Entry

COLUMNS = (
    "bill",
    "month",
    "entry",
    "kind",
    "session",
    "charging_point",
    "evse",
    "began",
    "ended",
    "card",
    "energy_wh",
    "currency",
    "net",
    "tax_percent",
    "tax",
    "gross",
    "reason",
)

_STYLE = (
    "body{font:11pt/1.4 sans-serif;margin:2cm auto;max-width:19cm;color:#111}"
    "table{border-collapse:collapse;width:100%;margin:1em 0}"
    "th,td{text-align:left;padding:.25em .5em;border-bottom:1px solid #bbb;vertical-align:top}"
    ".n{text-align:right;white-space:nowrap}.s{font-size:9pt;color:#444}"
    "tr{break-inside:avoid}thead{display:table-header-group}tfoot td{font-weight:bold}"
    "@page{margin:1.5cm}@media print{body{margin:0;max-width:none}}"
)


def as_csv(bill: Bill, entries: Sequence[Entry]) -> str:
    """Return the lines of a bill as a table; money in the currency, times in those of the place."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    for entry in entries:
        table.writerow(
            {
                "bill": "" if bill.number is None else bill.number,
                "month": f"{entry.month:%Y-%m}",
                "entry": entry.entry,
                "kind": entry.kind,
                "session": entry.session,
                "charging_point": _plain(entry.charging_point),
                "evse": entry.evse,
                "began": entry.began.astimezone(entry.zone).isoformat(timespec="seconds"),
                "ended": entry.ended.astimezone(entry.zone).isoformat(timespec="seconds"),
                "card": _plain(redact(entry.card)),
                "energy_wh": entry.energy_wh,
                "currency": entry.currency,
                "net": _money(entry.net, entry.currency),
                "tax_percent": entry.tax_percent,
                "tax": _money(entry.tax, entry.currency),
                "gross": _money(entry.net + entry.tax, entry.currency),
                "reason": _plain(entry.reason),
            }
        )
    return text.getvalue()


def as_page(bill: Bill, entries: Sequence[Entry], *, seller: str = "") -> str:
    """Return a bill as an HTML document without anything from elsewhere. seller: its lines.

    What has no cost is left out. The steps under a session are those of its whole cost; a
    correction is the difference to what was billed before.
    """
    title = f"Bill {bill.number}" if bill.number is not None else "Draft of a bill"
    shown = [entry for entry in entries if entry.net or entry.tax]
    head = _row("th", ["Session", "Charged", "Net"], numbers=2)
    body = "".join(_lines(entry) for entry in shown)
    totals = _row("td", ["Sum", _kwh(bill.energy_wh), amount(bill.net, bill.currency)], numbers=2)
    for percent, net, tax in _taxes(shown):
        sentence = f"{percent} % tax on {amount(net, bill.currency)}"
        totals += _row("td", [sentence, "", amount(tax, bill.currency)], numbers=2)
    gross = amount(bill.net + bill.tax, bill.currency)
    totals += _row("td", ["To pay", "", gross], numbers=2)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>"
        f"<p>{'<br>'.join(escape(line) for line in seller.splitlines())}</p>"
        f"<h1>{escape(title)}</h1><p>Charging in {bill.month:%B %Y}, card or group"
        f" {escape(redact(bill.holder))}, {len({e.session for e in shown})} sessions</p>"
        f"<table><thead>{head}</thead><tbody>{body}</tbody><tfoot>{totals}</tfoot></table>"
        "</body></html>\n"
    )


def _lines(entry: Entry) -> str:
    began = entry.began.astimezone(entry.zone)
    what = f"{began:%Y-%m-%d %H:%M}, {entry.charging_point}, connector {entry.evse}"
    if entry.kind == "correction":
        what = f"Correction: {what}"
    under = [_step(step, entry.currency) for step in entry.steps]
    if entry.reason:
        under.insert(0, entry.reason)
    cells = [what, _kwh(entry.energy_wh), amount(entry.net, entry.currency)]
    return _row("td", cells, numbers=2, under=under)


def _step(step: dict[str, Any], currency: str) -> str:
    what, price = What(step["what"]), f"at {step['price']} {currency}"
    if what is What.ENERGY:
        quantity = f"{_kwh(step['quantity'])} {price}/kWh"
    elif what is What.SESSION:
        quantity = ""
    else:
        quantity = f"{timedelta(seconds=step['quantity'])} {price}/min"
    net = f"{Decimal(step['net']).normalize():f} {currency}"
    return " ".join(filter(None, [what.value, step["period"], quantity])) + f": {net}"


def _taxes(entries: Iterable[Entry]) -> list[tuple[str, int, int]]:
    """Return net and tax by rate, for each rate there is."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entry in entries:
        sums[entry.tax_percent][0] += entry.net
        sums[entry.tax_percent][1] += entry.tax
    return [(percent, net, tax) for percent, (net, tax) in sorted(sums.items())]


def _row(tag: str, cells: Sequence[str], *, numbers: int, under: Sequence[str] = ()) -> str:
    """Return a row whose last cells are numbers. under: smaller lines in the first."""
    small = "".join(f'<br><span class="s">{escape(line)}</span>' for line in under)
    made = []
    for place, cell in enumerate(cells):
        number = ' class="n"' if place >= len(cells) - numbers else ""
        made.append(f"<{tag}{number}>{escape(cell)}{small if place == 0 else ''}</{tag}>")
    return f"<tr>{''.join(made)}</tr>"


def _money(value: int, currency: str) -> str:
    digits = minor_digits(currency)
    return f"{Decimal(value).scaleb(-digits):.{digits}f}"


def _kwh(wh: int) -> str:
    return f"{Decimal(wh) / 1000:.3f} kWh"


def _plain(cell: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
