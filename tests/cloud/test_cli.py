"""The AWS CLI that the deployments' tests start quickly does what the AWS CLI does."""

import subprocess
import sys
from pathlib import Path

CLI = Path(sys.executable).with_name("aws")


def run(account, program, *words):
    done = subprocess.run(
        [program, *words],
        cwd=account.project,
        env=account.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_it_prints_and_ends_as_the_cli_does(account):
    (account.project / "value.txt").write_text("of a file")
    put = ("ssm", "put-parameter", "--type", "String", "--name", "ü", "--value", "file://value.txt")
    for words in (
        ("--version",),
        put,
        put,  # which fails, since it is there
        ("ssm", "get-parameter", "--name", "ü", "--query", "Parameter.Value"),
        ("sts", "no-such-operation"),
    ):
        quick = run(account, account.venv / "bin/aws", *words)
        if words == put and not quick[0]:
            delete = ("ssm", "delete-parameter", "--name", "ü")
            assert run(account, account.venv / "bin/aws", *delete)[0] == 0
        assert quick == run(account, CLI, *words), words
    assert quick[0] != 0
