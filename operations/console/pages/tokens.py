"""Cards: who may charge."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import search, tokens
from operations.console import fields
from operations.console.access import asker, may, needs
from operations.console.services import connection
from operations.people import Role

blueprint = Blueprint("tokens", __name__)

_SHOWN = 100


@blueprint.get("/cards")
def list_found() -> ResponseReturnValue:
    """List those that a text lets through, a page of them."""
    text = request.args.get("text", "")
    page = search.tokens(connection(), text=text, after=request.args.get("after", ""))
    return render_template("tokens.html", page=page, text=text)


@blueprint.post("/cards")
@needs(Role.OPERATOR)
def add() -> ResponseReturnValue:
    """Let a card charge. Raises InvalidError, ExistsError."""
    tokens.add(
        connection(),
        fields.text("token"),
        by=asker(),
        **_noted(),
    )
    return redirect(url_for(".list_found", text=request.form.get("token"), notice="added"))


@blueprint.post("/cards/blocked")
@needs(Role.OPERATOR)
def set_blocked() -> ResponseReturnValue:
    """Block a card, or let it charge again. Raises InvalidError, NotFoundError."""
    token, blocked = request.form.get("token", ""), bool(request.form.get("blocked"))
    tokens.set_blocked(connection(), token, by=asker(), blocked=blocked)
    notice = "blocked" if blocked else "unblocked"
    return redirect(url_for(".list_found", text=token, notice=notice))


@blueprint.get("/cards/refused")
def list_refused() -> ResponseReturnValue:
    """List cards that were shown and may not charge, why, and what to do."""
    where = request.args.get("charging_point", "").strip()
    found = tokens.list_refused(
        connection(), charging_point=where or None, limit=_SHOWN, reveal=may("operator")
    )
    return render_template("refused_tokens.html", refused=found, charging_point=where)


@blueprint.post("/cards/refused/<int:refusal>/adopt")
@needs(Role.OPERATOR)
def adopt(refusal: int) -> ResponseReturnValue:
    """Let a refused card charge from now on. Raises InvalidError, NotFoundError, ExistsError."""
    token = tokens.adopt(connection(), refusal, by=asker(), **_noted())
    return redirect(url_for(".list_found", text=token, notice="added"))


class _Noted(TypedDict):
    """What is noted of a card."""

    expires_at: datetime | None
    parent: str | None
    note: str


def _noted() -> _Noted:
    return {
        "expires_at": fields.time("expires_at"),
        "parent": fields.text("group") or None,
        "note": fields.text("note")[:200],
    }
