"""The AWS CLI, imported once for all tests: each call is a fork of the process that has it.

A call of the CLI takes more than half a second of CPU, nearly all of it to import itself and to
read its models of the services, and a deployment makes a hundred. Here the same program runs with
the same words, environment, directory and files in a tenth of that. Its waits are shorter, since
the emulator is done sooner than AWS (the CLI looks every 30 seconds whether a stack is there), and
so that two change sets of a stack in a second do not have one name, theirs are longer.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from functools import cache
from pathlib import Path

import awscli.clidriver
from awscli.customizations.cloudformation.deployer import Deployer
from botocore import loaders  # the CLI's own, which it puts in the place of the package's

_LONGEST_WAIT_SECONDS = 0.2
# What deployments call; the models of the others are read when they are wanted.
_SERVICES = (
    *("acm", "cloudformation", "cloudwatch", "ec2", "ecr", "ecs", "elbv2", "iam", "logs"),
    *("rds", "secretsmanager", "service-quotas", "ssm", "sts"),
)
_FILES = ("service-2", "service-2.sdk-extras", "endpoint-rule-set-1", "paginators-1", "waiters-2")

_CLIENT = '''#!{python} -IS
"""The AWS CLI: let its server run it with what this process was started with."""
import os, signal, socket, sys
signal.signal(signal.SIGINT, lambda *_: os._exit(130))
words = sys.argv[1:]
environment = [name + "=" + value for name, value in os.environ.items()]
call = "\\0".join([str(len(words)), os.getcwd(), *words, *environment])
body = call.encode("utf-8", "surrogateescape")
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [len(body).to_bytes(8, "big")], [0, 1, 2])
server.sendall(body)
os._exit((server.recv(1) or b"\\xff")[0])
'''


def client(address: Path) -> str:
    """Return the text of a program `aws` that has the server of an address do the work."""
    return _CLIENT.format(python=os.path.realpath(sys.executable), address=str(address))


class _CachedFiles(loaders.JSONFileLoader):  # type: ignore[misc]
    """Reads each file once."""

    def load_file(self, file_path: str) -> object:
        return _load(file_path)


@cache
def _load(path: str) -> object:
    return loaders.JSONFileLoader().load_file(path)


def _prepare() -> None:
    """Import and read what every call would for itself."""
    session = awscli.clidriver.create_clidriver().session
    session.create_client("sts", "eu-central-1")
    services = cache(loaders.create_loader(os.environ["AWS_DATA_PATH"]).list_available_services)
    loaders.Loader.list_available_services = lambda _, type_name: services(type_name)
    for kind in ("service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2"):
        services(kind)
    loaders.Loader.FILE_LOADER_CLASS = _CachedFiles
    loader = loaders.create_loader(os.environ["AWS_DATA_PATH"])
    for name in ("cli", "_retry", "endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data(name)
    for service in _SERVICES:
        version = loader.determine_latest_version(service, "service-2")
        for file in _FILES:
            for directory in loader.search_paths:
                _load(f"{directory}/{service}/{version}/{file}")
    # A collection of garbage would have a child write to each page that it shares.
    gc.collect()
    gc.freeze()
    gc.disable()


def _name_change_sets_apart() -> None:
    """Let names of change sets have a process id too; the CLI's end with the second."""
    begin = Deployer.__init__

    def begin_apart(self: Deployer, *words: object, **more: object) -> None:
        begin(self, *words, **more)
        self.changeset_prefix += f"{os.getpid()}-"

    Deployer.__init__ = begin_apart


def _run(connection: socket.socket) -> int:
    """Be the CLI for one caller; return its exit code."""
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    body = b""
    while len(body) < int.from_bytes(head, "big"):
        body += connection.recv(1 << 20)
    count, directory, *rest = body.decode("utf-8", "surrogateescape").split("\0")
    words, environment = rest[: int(count)], rest[int(count) :]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(directory)
    models = os.environ["AWS_DATA_PATH"]  # where its own are, which it says as it is imported
    os.environ.clear()
    os.environ.update(pair.split("=", 1) for pair in environment)
    os.environ["AWS_DATA_PATH"] = models
    # Whoever called may be interrupted.
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    wait = time.sleep
    time.sleep = lambda seconds: wait(min(seconds, _LONGEST_WAIT_SECONDS))
    sys.argv = ["aws", *words]
    try:
        code = awscli.clidriver.main()
    except SystemExit as end:
        code = end.code
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0)


def _end_with(connection: socket.socket) -> None:
    connection.recv(1)
    os._exit(130)


def main() -> None:
    """Serve at the address that is given until SIGTERM."""
    _prepare()
    _name_change_sets_apart()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen(64)
    while True:
        connection, _ = server.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server.close()
        code = 255
        try:
            code = _run(connection)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            connection.send(bytes([code]))
            os._exit(code)


if __name__ == "__main__":
    main()
