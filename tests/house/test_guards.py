"""What the event loop calls is guarded in one place each: a defect ends no node."""

from __future__ import annotations

import ast

from tests.house.tree import CODE, parsed, relative, room

# Who hands a callback to the loop, and why an exception in it does no harm.
CALLBACKS = {
    "cp_backend/file_transfers.py": "submits to a committer, which guards; ends a socket",
    "cp_backend/listener.py": "watches the listening socket again",
    "cp_backend/node.py": "sets two events",
    "cp_backend/plug_and_charge.py": "counts; discards a task",
    "cp_backend/poller.py": "guards each endpoint and each reader",
    "cp_backend/presence.py": "discards a task",
    "cp_backend/tls.py": "discards a task",
}
HANDS_OVER = {
    "add_done_callback", "add_reader", "add_signal_handler", "add_writer", "call_at", "call_later",
    "call_soon", "call_soon_threadsafe",
}  # fmt: skip
# Where everything is called that may fail by what came from outside.
GUARDS = {
    "cp_backend/poller.py": {"_turn", "_go_on"},
    "cp_backend/keepalive.py": {"tick"},
    "cp_backend/committer.py": {"_hand_on", "_commit_all"},
    "cp_backend/lasting.py": {"_run"},
    "third_party_backend/relay/database.py": {"keep_connected"},
    "cp_backend/conversation/answering.py": {"_answer", "replied", "on_send"},
    "cp_backend/handlers/reply.py": {"on_result", "guarded"},
}


def functions(file):
    return {
        node.name: node
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_only_known_places_hand_callbacks_to_the_loop():
    places = {
        relative(file)
        for file in CODE
        if room(file) == "cp_backend"
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Attribute) and node.attr in HANDS_OVER
    }
    assert places == set(CALLBACKS)


def test_each_guard_takes_whatever_comes():
    for file in CODE:
        for name in GUARDS.get(relative(file), ()):
            caught = {
                ast.unparse(handler.type)
                for handler in ast.walk(functions(file)[name])
                if isinstance(handler, ast.ExceptHandler) and handler.type is not None
            }
            assert "Exception" in caught, f"{relative(file)}:{name}"


def test_results_of_commits_are_handed_on_in_one_place():
    (committer,) = (file for file in CODE if relative(file) == "cp_backend/committer.py")
    callers = {
        name
        for name, function in functions(committer).items()
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("on_result")
    }
    assert callers == {"_hand_on"}


def test_what_runs_as_long_as_a_node_is_begun_again():
    (node,) = (file for file in CODE if relative(file) == "cp_backend/node.py")
    tasks = [
        ast.unparse(call.args[0])
        for call in ast.walk(functions(node)["run"])
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "asyncio.create_task"
    ]
    assert tasks == ["self._stop.wait()"]
