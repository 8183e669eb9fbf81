"""Ports for programs: two runs on one machine are never given the same one."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from scripts import programs

# Asks for ports from a small range that no program uses, and holds them until its input ends.
CLAIM_FOUR = """
import sys
from scripts import programs
programs._PORTS = range(14_000, 14_040)
programs._PORT_TRIES = 40
print(*(programs.free_port() for _ in range(4)), flush=True)
sys.stdin.read()
"""


def test_two_processes_that_ask_at_once_share_no_port():
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM_FOUR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    with ThreadPoolExecutor() as readers:
        answers = list(readers.map(lambda program: program.stdout.readline(), asking))
    for program in asking:
        program.communicate()
    ports = [int(word) for answer in answers for word in answer.split()]
    assert len(ports) == 8
    assert len(set(ports)) == 8


def test_a_port_is_handed_out_once_in_a_process():
    ports = [programs.free_port() for _ in range(100)]
    assert len(set(ports)) == 100
