"""Our tokens in a charging point's own list: whole, differences, and after it has lost its list."""

import json

from tests.rows import add_token
from tests.waiting import eventually


def test_a_list_is_sent_whole_and_then_as_differences(
    run_node, database, simulate, operate, tmp_path
):
    node = run_node(admit_unknown="true")
    simulate("--plain", "--port", node.port, "--wait-for-remote", 60)
    eventually(lambda: database.execute("SELECT 1 FROM evses").fetchone(), 30)
    (name,) = database.execute("SELECT charging_point_id FROM charging_points").fetchone()

    def sent():
        """Of each command: whether the list was meant whole, its entries, and the answers."""
        return database.execute(
            "SELECT arguments->'full', jsonb_array_length(arguments->'entries'),"
            " jsonb_array_length(answer) FROM commands"
            " WHERE requested_by = 'operator' AND kind = 'send_local_list' ORDER BY command_id"
        ).fetchall()

    def listed():
        return [
            e["token"]
            for e in json.loads(operate("local-lists", "show", name, "--reveal", "--json"))
        ]

    for number in range(150):
        add_token(database, f"TAG{number:03}")
    add_token(database, "BAD", blocked=True)
    operate("local-lists", "send", name)
    # 100 entries in a call is what the simulator's configuration says.
    assert sent() == [(True, 150, 3)]
    assert len(listed()) == 150
    assert "have this list already" in operate("local-lists", "send", name, code=1)
    operate("tokens", "block", "TAG000")
    add_token(database, "TAG150")
    operate("local-lists", "send", name)
    assert sent()[1:] == [(False, 2, 3)]
    assert listed() == [f"TAG{number:03}" for number in range(1, 151)]
    # Somebody else empties it: the differences would be taken, and the list be wrong.
    operate("commands", "send-local-list", name, 99)
    database.execute('UPDATE local_lists SET version = 17, entries = \'[{"id_tag": "OLD"}]\'')
    (tmp_path / "tokens").write_text("OLD\nA\nB\nC\n# not me\n")
    database.execute(
        'UPDATE local_lists SET entries = entries || \'[{"id_tag": "A"}]\' || \'[{"id_tag": "B"}]\''
    )
    operate("local-lists", "send", name, "--tokens", tmp_path / "tokens")
    assert sent()[3:] == [(False, 1, 2)]
    last = (
        "SELECT payload FROM messages WHERE action = 'SendLocalList' AND kind = 'call'"
        " ORDER BY at DESC LIMIT 1"
    )
    eventually(lambda: '"Full"' in str(database.execute(last).fetchone()))
    operate("local-lists", "send", name, "--none")
    assert listed() == []
