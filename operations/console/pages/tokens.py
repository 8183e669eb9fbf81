"""Cards: who may charge."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from operations import search, tokens
from operations.console.access import asker, needs
from operations.console.services import connection
from operations.errors import InvalidError
from operations.people import Role

blueprint = Blueprint("tokens", __name__)


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
    expires = request.form.get("expires_at", "")
    try:
        expires_at = datetime.fromisoformat(expires).replace(tzinfo=UTC) if expires else None
    except ValueError:
        raise InvalidError(f"{expires!r} is no date such as 2027-12-31") from None
    tokens.add(
        connection(),
        request.form.get("token", ""),
        by=asker(),
        expires_at=expires_at,
        parent=request.form.get("group") or None,
        note=request.form.get("note", "")[:200],
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
