"""The forms of samples that are known by a number (see `charging.samples`)."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

import psycopg

from charging.database.connection import AsyncCursor
from charging.samples import cut, form_of, number_of, pieces_of
from cp_backend.committer import Committer, DatabaseAwayError

MAX_FORMS = 10_000
"""Known in all. A fleet has a few for each model; what comes beyond is kept as it came."""
MAX_FORMS_OF_ONE = 32
"""A charging point may teach a node, so that one that never says the same fills no table."""
LEARN_SECONDS = 1.0
_SEEN_BEFORE_LEARNT = 2
_MAX_CANDIDATES = 1_000

log = logging.getLogger(__name__)


class SampleForms:
    """What a node knows of forms, and how it learns more.

    Learning never stands in a reading's way: until a form has its number, readings are kept whole.
    """

    def __init__(self, lookups: Committer) -> None:
        self._lookups = lookups
        self._known: dict[bytes, int] = {}
        self._candidates: Counter[bytes] = Counter()
        self._taught: Counter[str] = Counter()
        self._wanted: dict[bytes, None] = {}
        self._loaded = False
        self._wake = asyncio.Event()

    def pack(self, charging_point_id: str, samples: bytes) -> tuple[int, str, str]:
        """Return a form's number and the values, or 0 and, in the third place, the samples whole.

        samples: as `charging.samples.cut` takes them.
        """
        parts = cut(samples)
        if parts is not None:
            form, values = parts
            form_id = self._known.get(form)
            if form_id:
                return form_id, values.decode(), ""
            if form_id is None:
                self._note(charging_point_id, form)
        return 0, "", samples.decode()

    def _note(self, charging_point_id: str, form: bytes) -> None:
        """Have a form learnt that comes again."""
        if len(self._candidates) >= _MAX_CANDIDATES:
            self._candidates.clear()
        self._candidates[form] += 1
        if (
            self._candidates[form] < _SEEN_BEFORE_LEARNT
            or form in self._wanted
            or len(self._known) >= MAX_FORMS
            or self._taught[charging_point_id] >= MAX_FORMS_OF_ONE
        ):
            return
        self._taught[charging_point_id] += 1
        self._wanted[form] = None
        self._wake.set()

    def forget(self) -> None:
        """Begin anew: the database is another one, or has gone back to a time."""
        self._known.clear()
        self._loaded = False
        self._wake.set()

    async def run(self) -> None:
        """Learn what is known already, then one form after the other, until cancelled."""
        while True:
            self._wake.clear()
            try:
                if not self._loaded:
                    self._loaded = True
                    self._known |= await self._lookups.ask(_load, None)
                while self._wanted:
                    await self._learn(next(iter(self._wanted)))
                    await asyncio.sleep(LEARN_SECONDS)
            except DatabaseAwayError:
                self._loaded = False
                await asyncio.sleep(LEARN_SECONDS)
            else:
                await self._wake.wait()

    async def _learn(self, form: bytes) -> None:
        try:
            self._known[form] = await self._lookups.ask(_learn, form)
        except DatabaseAwayError:
            raise
        except psycopg.Error as error:
            # What PostgreSQL cannot read as JSON it refuses here, and not when it is read.
            log.warning("samples of a form are kept whole", extra={"error": str(error)[:300]})
            self._known[form] = 0
        del self._wanted[form]
        del self._candidates[form]


async def _load(cursor: AsyncCursor, asked: Sequence[None]) -> list[dict[bytes, int]]:
    await cursor.execute("SELECT form_id, pieces FROM sample_forms LIMIT %s", [MAX_FORMS])
    known = {form_of(pieces): form_id async for form_id, pieces in cursor}
    return [known for _ in asked]


async def _learn(cursor: AsyncCursor, forms: Sequence[bytes]) -> list[int]:
    """Keep forms; return their numbers, 0 where another form has the same."""
    numbers = []
    for form in forms:
        number = number_of(form)
        await cursor.execute("SELECT learn_form(%s, %s)", [number, pieces_of(form)])
        row = await cursor.fetchone()
        numbers.append(number if row and row[0] else 0)
    return numbers
