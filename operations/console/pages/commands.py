"""Commands: a form for each kind, made from what it asks; what came of each."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from charging.command import CommandKind
from operations import commands, intent_members, search
from operations.console.access import asker, needs
from operations.console.services import connection
from operations.errors import ConflictError, InvalidError, NotFoundError
from operations.intent_members import Member, MemberKind
from operations.people import Role

blueprint = Blueprint("commands", __name__)

_SHOWN = 100


@blueprint.get("/commands")
def list_newest() -> ResponseReturnValue:
    """List the newest commands, of one charging point or of all."""
    name = request.args.get("id") or None
    return render_template(
        "commands.html",
        commands=commands.list_newest(connection(), name, limit=_SHOWN),
        charging_point=name,
    )


@blueprint.get("/command/new")
@needs(Role.OPERATOR)
def form() -> ResponseReturnValue:
    """Ask for what a kind of command needs. Raises NotFoundError."""
    return _form(_kind(), request.args.get("id", ""), request.args.to_dict(), "")


@blueprint.post("/command/new")
@needs(Role.OPERATOR)
def ask() -> ResponseReturnValue:
    """Queue a command, and lead to what comes of it. Raises NotFoundError."""
    kind, name = _kind(), request.form.get("id", "")
    values = {member.name: typed(member) for member in intent_members.members(kind)}
    try:
        queued = commands.ask(
            connection(),
            name,
            intent_members.read(kind, values),
            by=asker(),
            idempotency_key=f"console {request.form.get('key', '')}",
        )
    except (InvalidError, ConflictError) as error:
        return _form(kind, name, request.form.to_dict(), str(error)), 422
    return redirect(url_for(".show", command_id=queued.command))


@blueprint.get("/command/<int:command_id>")
def show(command_id: int) -> ResponseReturnValue:
    """Show a command and what came of it. Raises NotFoundError."""
    return _show("command.html", command_id)


@blueprint.get("/command/<int:command_id>/state")
def state(command_id: int) -> ResponseReturnValue:
    """Show the same, for the page that is open. Raises NotFoundError."""
    return _show("command_state.html", command_id)


def _show(template: str, command_id: int) -> str:
    command = commands.show(connection(), command_id)
    under_way = command.state in ("queued", "sent") or (
        command.done is None and command.outcome is not None
    )
    return render_template(template, command=command, under_way=under_way)


def _kind() -> CommandKind:
    try:
        return CommandKind(request.values.get("kind", ""))
    except ValueError:
        raise NotFoundError("there is no such command") from None


def typed(member: Member) -> object:
    """Return what this request's form has for a member, as `intent_members.read` wants it."""
    text = request.form.get(f"member_{member.name}", "")
    match member.kind:
        case MemberKind.FLAG:
            return bool(text)
        case MemberKind.TEXTS | MemberKind.TEXTS_BY_NAME:
            return [line.strip() for line in text.splitlines() if line.strip()]
        case MemberKind.TEXT if member.secret:
            return text
        case _:
            return text.strip()


def _form(kind: CommandKind, name: str, typed: dict[str, str], error: str) -> str:
    return render_template(
        "command_form.html",
        kind=kind,
        charging_point=name,
        members=intent_members.members(kind),
        description=intent_members.describe(kind),
        typed=typed,
        error=error,
        online=search.is_connected(connection(), name),
    )
