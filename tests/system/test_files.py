"""Firmware and logs as jobs: the command line, a node, its files, and the simulator."""

import json

import pytest

from tests.waiting import eventually


@pytest.fixture
def start(database, run_node, simulate, tmp_path, monkeypatch):
    monkeypatch.setenv("FILE_STORE", str(tmp_path / "files"))
    node = run_node(admit_unknown="true", admit_unknown_tokens="true")

    def run(*words):
        simulate(
            *("--plain", "--port", node.port, "--duration", 3600, "--wait-for-remote", 120),
            *("--boot-time", 0.2, "--step-time", 0.05, *words),
        )
        eventually(lambda: database.execute("SELECT 1 FROM evses").fetchone(), 30)
        (name,) = database.execute("SELECT charging_point_id FROM charging_points").fetchone()
        return name

    return run


def test_firmware_is_fetched_from_here_and_installed(start, operate, database, tmp_path):
    name = start()
    file = tmp_path / "box-7.8.9.bin"
    file.write_bytes(b"\x7fELF" * 50_000)
    number = json.loads(operate("files", "put", file, "--json"))["file"]
    job = json.loads(operate("firmware", "update", number, name, "--json"))
    assert (job["state"], job["accepted"], job["done"]) == ("done", 1, 1)
    (version,) = database.execute("SELECT firmware_version FROM charging_points").fetchone()
    assert version == "7.8.9"
    used = database.execute("SELECT uses FROM file_links").fetchone()
    assert used == (1,)
    operate("files", "delete", number)
    assert operate("files", "list") == "no files yet\n"


def test_a_failed_update_is_tried_again_until_the_last_try(start, operate, database, tmp_path):
    name = start("--firmware", "installation-failed")
    (tmp_path / "fw.bin").write_bytes(b"x")
    operate("files", "put", tmp_path / "fw.bin")
    shown = operate(*("firmware", "update", 1, name, "--tries", 2, "--retry-after", 0.1), code=1)
    assert "1 failed" in shown
    commands = database.execute("SELECT done_outcome FROM commands ORDER BY command_id").fetchall()
    assert commands == [("failed",), ("failed",)]


@pytest.mark.parametrize("log", ["diagnostics", "security"])
def test_a_log_comes_here(start, operate, tmp_path, log):
    name = start()
    folder = tmp_path / "logs"
    operate("logs", "fetch", "--all", "--yes", "--log", log, "--to", folder)
    (file,) = folder.iterdir()
    assert f"log of {name}" in file.read_text()
    (row,) = json.loads(operate("files", "list", "--charging-point", name, "--json"))
    assert (row["kind"], row["command"]) == ("log", 1)
    operate("files", "get", row["file"], tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    assert "cannot be written" in operate("files", "get", row["file"], tmp_path / "again", code=1)
