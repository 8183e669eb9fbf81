"""A little of `make fuzz`, and all that it ever found."""

import asyncio
from random import Random

import pytest

from tests.fuzzing.run import corpus, run, seams

SEED = 18
NAMES = list(seams(Random(), ""))
COUNT = 200


@pytest.fixture(autouse=True)
def event_loop():
    """A loop that seams turn themselves."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("name", NAMES)
def test_no_input_brings_about_what_none_may(name, request):
    url = request.getfixturevalue("database_url") if name.startswith("database") else None
    random = Random(SEED)
    seam = seams(random, url)[name]()
    try:
        for data in corpus(name):
            seam.try_one(data)
        report = run(seam, random, count=COUNT)
    finally:
        if hasattr(seam, "close"):
            seam.close()
    assert report.defects == []
    assert report.executions >= COUNT


def test_each_seam_would_tell():
    """An input that is refused where it must not be comes out as a defect."""
    random = Random(SEED)
    seam = seams(random, None)["calls 1.6"]()
    try:
        seam._context.store = None  # every commit now fails in Python
        report = run(seam, random, count=50)
    finally:
        seam.close()
    assert report.defects
