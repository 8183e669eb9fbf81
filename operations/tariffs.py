"""What our own cards pay: tariffs by name and time, and which card has which."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg.types.json import Jsonb

from charging.database import audit
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.identity import id_tag_key, redact
from charging.tariff import DEFAULT, Tariff
from charging.tariff_table import details, read_tariffs, tariff_of
from operations import imports
from operations.errors import ConflictError, InvalidError, NotFoundError, TableFaultsError, valid


@dataclass(frozen=True, slots=True)
class Version:
    """A tariff from a time on. cards: how many have a tariff of its name."""

    tariff_id: int
    tariff: Tariff
    cards: int


def import_table(connection: Connection, text: str, *, by: Asker) -> int:
    """Add tariffs by a table in CSV or JSON; return how many are new.

    None is ever changed: one that is there must be as it is in the table, and one that is new must
    hold from a time on that has not come yet, or be the first of its name. Raises InvalidError,
    ConflictError, TableFaultsError; then nothing was written.
    """
    rows, faults = imports.read(text, read_tariffs)
    if faults:
        raise TableFaultsError(faults)
    with imports.exclusively(connection), connection.transaction():
        known = _by_name(connection)
        new = [tariff for _, tariff in rows if _is_new(tariff, known.get(tariff.name, []))]
        for tariff in new:
            connection.execute(
                "INSERT INTO tariffs (name, valid_from, details) VALUES (%s, %s, %s)",
                [tariff.name, tariff.valid_from, Jsonb(details(tariff))],
            )
        names = sorted({tariff.name for tariff in new})
        audit.write(connection, by, "import_tariffs", "", {"tariffs": names})
    return len(new)


def list_all(connection: Connection) -> list[Version]:
    """Return all tariffs, by name and time."""
    return [
        Version(tariff_id, tariff_of(name, valid_from.astimezone(UTC), details), cards)
        for tariff_id, name, valid_from, details, cards in connection.execute(
            """
            SELECT tariff_id, name, valid_from, details,
                   (SELECT count(*) FROM tokens AS t WHERE coalesce(t.tariff, %s) = name)
            FROM tariffs ORDER BY name, valid_from
            """,
            [DEFAULT],
        )
    ]


def assign(connection: Connection, token: str, name: str, *, by: Asker) -> str:
    """Let a card pay by a tariff from its next booking on; return its compared form.

    Raises InvalidError, NotFoundError.
    """
    key = valid(id_tag_key, token)
    with connection.transaction():
        if name != DEFAULT and name not in _by_name(connection):
            raise NotFoundError(f"no tariff {name!r}; `tariffs list` shows those there are")
        changed = connection.execute(
            "UPDATE tokens SET tariff = %s WHERE id_tag = %s",
            [None if name == DEFAULT else name, key],
        )
        if changed.rowcount == 0:
            raise NotFoundError(f"no token {redact(key)}; `tokens list` shows those there are")
        audit.write(connection, by, "assign_tariff", redact(key), {"tariff": name})
    return key


def _by_name(connection: Connection) -> dict[str, list[Tariff]]:
    found: dict[str, list[Tariff]] = defaultdict(list)
    for version in list_all(connection):
        found[version.tariff.name].append(version.tariff)
    return found


def _is_new(tariff: Tariff, known: list[Tariff]) -> bool:
    same = [each for each in known if each.valid_from == tariff.valid_from]
    if tariff in same:
        return False
    since = f"{tariff.name} from {tariff.valid_from:%Y-%m-%d %H:%M} UTC on"
    if same:
        raise ConflictError(f"{since} is there already, and is another: sessions may be billed")
    if known and tariff.valid_from < datetime.now(UTC):
        raise InvalidError(f"{since} would change what sessions have cost: let it begin later")
    return True
