"""What charging points say in other forms than the standard's, repaired field by field.

A message that violates its schema is walked along that schema once: what is unknown or null is
dropped, number and text are turned into each other, odd times are read, what is missing is
filled in where the rest carries a fact, and words that the standard does not know are kept as
they came, for the reader to fold. The result fits the *relaxed* schema: the official one with
texts of up to 255 characters, words of any kind, and lists that may be empty.

Everything is said by the schemas and the tables below, for all actions and fields alike. It is
bounded: one walk along the schema, never deeper than it, at most MAX_REPAIRS records. No I/O;
nothing but CallRefusedError is raised.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import NamedTuple, cast

import jsonschema_rs
import orjson

from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.ocpp.fillers import filler_of
from cp_backend.ocpp.lenient_json import MAX_DEPTH, is_deeper
from cp_backend.ocpp.relaxed_schemas import FRACTIONS, OPTIONAL, relaxed
from cp_backend.ocpp.repair import Repair, RepairKind, sample_of
from cp_backend.ocpp.spellings import (
    AS_OBJECTS,
    MAX_KEPT_LENGTH,
    NAMES,
    SPELLINGS,
    TRUTH,
    letters,
    read_decimal,
    single,
)
from cp_backend.ocpp.times import read_time, write_time, zone_of
from cp_backend.vocabulary import JsonObject

MAX_REPAIRS = 32
"""Records a message; what a charging point does wrong more often than that is clear by then."""

_MAX_INT32 = 2**31 - 1
_MAX_INT64 = 2**63 - 1

# Numbers that the standard leaves open and nothing of ours can hold beyond these.
_RANGES = {"connectorId": (0, _MAX_INT32)}

# Numbers of which the next one is another thing.
_IDENTITIES = frozenset({"transactionId", "reservationId", "requestId"})

# A boot says something by being one; an empty list of readings is answered and forgotten; a vendor
# without a name is unknown.
_ALWAYS_A_FACT = frozenset({"BootNotification", "DataTransfer", "MeterValues"})

_NOTHING = object()


class Tolerance(NamedTuple):
    """How a charging point is read. strict: refuse what deviates. zone: of times without one."""

    strict: bool = False
    zone: tzinfo = UTC


TOLERANT = Tolerance()


@cache
def tolerance_of(strict: bool, zone: str) -> Tolerance:
    """Return how a charging point is read: one object for all that are read alike.

    zone: a name of the IANA database; UTC for an unknown one.
    """
    return Tolerance(strict, zone_of(zone))


class Repaired(NamedTuple):
    """payload: fits the relaxed schema. repairs: at least one, one for a place and kind."""

    payload: JsonObject
    repairs: list[Repair]


class Form:
    """One message of a version: how it is repaired, and what it must fit afterwards.

    document: its official JSON schema. answer: whether it answers one of our calls.
    """

    __slots__ = ("_action", "_answer", "_relaxed", "_root")

    def __init__(self, action: str, document: JsonObject, *, answer: bool = False) -> None:
        self._action = action
        self._answer = answer
        self._relaxed = jsonschema_rs.validator_for(relaxed(action, document))
        self._root = _object(document, document, "")

    def fits(self, payload: JsonObject) -> bool:
        """Return whether a payload fits the relaxed schema."""
        try:
            return bool(self._relaxed.is_valid(payload))
        except ValueError:  # nested beyond what the validator follows
            return False

    def repair(
        self,
        payload: JsonObject,
        received_at: datetime,
        zone: tzinfo = UTC,
        *,
        complete: bool = True,
    ) -> Repaired:
        """Return a payload that fits.

        received_at: aware; stands for times that are missing. zone: the charging point's, for
        times without one. complete: False for a message that was cut off, in which nothing is
        filled in: it may come again whole.
        Raises CallRefusedError where what is left carries no fact.
        """
        walk = _Walk(self._action, received_at, zone, fill=complete, answer=self._answer)
        mended = self._root.mend(payload, walk)
        if mended is _NOTHING or (
            walk.filled
            and self._action not in _ALWAYS_A_FACT
            and walk.filled >= self._root.required
        ):
            missing = ", ".join(walk.missing) or ", ".join(sorted(walk.filled)) or "payload"
            raise CallRefusedError(
                ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
                f"nothing can be read as {missing}",
            )
        result = cast("JsonObject", mended)  # an object's place mends to an object
        if not self.fits(result):
            raise CallRefusedError(ErrorCode.FORMATION_VIOLATION, "the payload makes no sense")
        return Repaired(result, list(walk.repairs.values()))


class _Walk:
    """What one walk along a schema has found."""

    __slots__ = ("action", "answer", "fill", "filled", "missing", "received_at", "repairs", "zone")

    def __init__(
        self, action: str, received_at: datetime, zone: tzinfo, *, fill: bool, answer: bool
    ) -> None:
        self.action = action
        self.answer = answer
        self.received_at = received_at
        self.zone = zone
        self.fill = fill
        self.filled: set[str] = set()
        self.missing: list[str] = []
        self.repairs: dict[tuple[str, RepairKind], Repair] = {}

    def note(self, path: str, kind: RepairKind, value: object) -> None:
        key = path, kind
        if key not in self.repairs and len(self.repairs) < MAX_REPAIRS:
            sample = sample_of(path.rpartition("/")[2], value)
            self.repairs[key] = Repair(self.action, path[:100], kind, sample)


class _Node:
    """One place of a schema. quick, words, limit: what passes at a glance."""

    __slots__ = ("limit", "path", "quick", "words")

    def __init__(self, path: str) -> None:
        self.path = path
        self.quick: type | None = None
        self.words: dict[str, str] | None = None
        self.limit: int | None = None

    def mend(self, value: object, walk: _Walk) -> object:
        return value


class _Object(_Node):
    """members by name; names: the same by their letters; item: whether it stands in a list."""

    __slots__ = ("item", "lists", "members", "names", "open", "required")

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.members: dict[str, _Node] = {}
        self.names: dict[str, str] = {}
        self.required: frozenset[str] = frozenset()
        self.lists: tuple[str, ...] = ()
        self.open = False
        self.item = path.endswith("*")

    def mend(self, value: object, walk: _Walk) -> object:
        if not isinstance(value, dict):
            found = self._find(value, walk)
            if found is None:
                return _NOTHING
            value = found
        out: JsonObject = {}
        unknown: list[str] = []
        members = self.members
        for name, member in value.items():
            node = members.get(name)
            if node is None:
                unknown.append(name)
                continue
            kind: object = type(member)
            if kind is node.quick:
                words, limit = node.words, node.limit
                if (words is None or member in words) and (limit is None or len(member) <= limit):
                    out[name] = member
                    continue
            self._take(name, node, member, out, walk)
        for name in unknown:
            self._take_unknown(name, value, out, walk)
        if not self.required <= out.keys() and not self._complete(out, walk):
            return _NOTHING
        if self.item:
            for name in self.lists:
                if not out[name]:
                    return _NOTHING
        return out

    def _find(self, value: object, walk: _Walk) -> JsonObject | None:
        walk.note(self.path, RepairKind.TYPE, value)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            return value[0]
        member = AS_OBJECTS.get(self.path.rpartition("/")[2])
        if member in self.members and isinstance(value, (str, int)):
            return {member: value}
        return None

    def _take(self, name: str, node: _Node, member: object, out: JsonObject, walk: _Walk) -> None:
        free_text = node.quick is str and node.words is None  # which may be empty
        if member is None or (member == "" and not free_text):
            walk.note(node.path, RepairKind.NULL, member)
            return
        mended = node.mend(member, walk)
        if mended is _NOTHING:
            walk.note(node.path, RepairKind.DROPPED, member)
        else:
            out[name] = mended

    def _take_unknown(self, name: str, value: JsonObject, out: JsonObject, walk: _Walk) -> None:
        if self.open:
            out[name] = value[name]
            return
        spelled = letters(name)
        right = self.names.get(spelled) or self.names.get(letters(NAMES.get(spelled, "")))
        if right is not None and right not in value and right not in out:
            walk.note(self.members[right].path, RepairKind.NAME, name)
            self._take(right, self.members[right], value[name], out, walk)
            return
        path = f"{self.path}/{name[:50]}" if self.path else name[:50]
        walk.note(path, RepairKind.UNKNOWN, value[name])

    def _complete(self, out: JsonObject, walk: _Walk) -> bool:
        """Fill in what is missing; False where that cannot be."""
        optional = OPTIONAL.get(walk.action, set()) if not self.path else set()
        for name in sorted(self.required - out.keys()):
            node = self.members[name]
            filler = filler_of(walk.action, name, answer=walk.answer)
            filled = filler(out, walk.received_at) if walk.fill and filler else None
            if filled is None and not (name in optional and walk.fill):
                walk.missing.append(node.path)
                return False
            if filled is not None:
                out[name] = filled
            if not self.path:
                walk.filled.add(name)
            walk.note(node.path, RepairKind.FILLED, None)
        return True


class _List(_Node):
    __slots__ = ("item", "most")

    def __init__(self, path: str, item: _Node, most: int | None) -> None:
        super().__init__(path)
        self.item = item
        self.most = most

    def mend(self, value: object, walk: _Walk) -> object:
        if not isinstance(value, list):
            walk.note(self.path, RepairKind.TYPE, value)
            value = [value]
        item = self.item
        out = []
        for element in value:
            mended = _NOTHING if element is None else item.mend(element, walk)
            if mended is _NOTHING:
                walk.note(item.path, RepairKind.DROPPED, element)
            else:
                out.append(mended)
        if self.most is not None and len(out) > self.most:
            walk.note(self.path, RepairKind.LENGTH, value)
            del out[self.most :]
        return out


class _Text(_Node):
    """spelled: the standard's words by their letters, None where any text may stand.

    unwraps: an object in its place holds the text; else it is kept as JSON.
    """

    __slots__ = ("kept", "spelled", "unwraps")

    def __init__(self, path: str, longest: int | None, words: list[str] | None) -> None:
        super().__init__(path)
        self.quick = str
        self.limit = longest
        self.kept = None if longest is None else max(longest, MAX_KEPT_LENGTH)
        self.unwraps = longest is not None or words is not None or path.endswith("/value")
        self.spelled: dict[str, str] | None = None
        if words is not None:
            self.words = {word: word for word in words}
            self.kept = MAX_KEPT_LENGTH
            self.spelled = {letters(word): word for word in words}
            for spelling, word in SPELLINGS.items():
                if word in self.words:
                    self.spelled.setdefault(spelling, word)

    def mend(self, value: object, walk: _Walk) -> object:
        if not isinstance(value, str):
            walk.note(self.path, RepairKind.TYPE, value)
            written = self._text(value)
            if written is None:
                return _NOTHING
            value = written
        if self.words is not None and value not in self.words:
            assert self.spelled is not None
            walk.note(self.path, RepairKind.WORD, value)
            value = self.spelled.get(letters(value), value)
            if not value.strip():
                return _NOTHING
        if self.limit is not None and len(value) > self.limit:
            walk.note(self.path, RepairKind.LENGTH, value)
        return value if self.kept is None else value[: self.kept]

    def _text(self, value: object) -> str | None:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return str(value)
        inner = single(value)
        if isinstance(inner, (str, int, float)) and (isinstance(value, list) or self.unwraps):
            return inner if isinstance(inner, str) else self._text(inner)
        if not self.unwraps:  # free text of any length: what was meant is whole in it
            if is_deeper(value, MAX_DEPTH):
                raise CallRefusedError(
                    ErrorCode.FORMATION_VIOLATION, f"{self.path}: nested too deep"
                )
            return orjson.dumps(value).decode()
        return None


class _Time(_Node):
    __slots__ = ()

    def mend(self, value: object, walk: _Walk) -> object:
        alone = single(value)
        if alone is not value:
            walk.note(self.path, RepairKind.TYPE, value)
            value = alone
        if isinstance(value, str) and _RFC_3339.fullmatch(value):
            try:
                datetime.fromisoformat(value)
                return value
            except ValueError:
                pass
        time = read_time(value, walk.received_at, walk.zone)
        if time is None or time.year < 1000:
            return _NOTHING
        walk.note(self.path, RepairKind.TIME, value)
        return write_time(time)


# As datetime reads them too: no small z.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


class _Number(_Node):
    """whole: an integer is wanted. step: of a decimal; range: inclusive bounds.

    register: its fraction is for the reader to round. identity: one with a fraction is none.
    """

    __slots__ = ("identity", "range", "register", "step", "whole")

    def __init__(self, path: str, *, whole: bool, step: float | None) -> None:
        super().__init__(path)
        name = path.rpartition("/")[2]
        self.whole = whole
        self.step = step
        self.register = name in FRACTIONS
        self.identity = name in _IDENTITIES
        self.range = _RANGES.get(name)
        # A list or text has no place here, so the quick look needs no bounds of its own.
        self.quick = int if whole and self.range is None else None

    def mend(self, value: object, walk: _Walk) -> object:
        least, most = self.range or (-_MAX_INT64, _MAX_INT64)
        if type(value) is int and self.whole and least <= value <= most:
            return value
        number = read_decimal(value, register=self.register)
        if number is None:
            walk.note(self.path, RepairKind.TYPE, value)
            return _NOTHING
        if not least <= number <= most or (self.identity and number % 1):
            walk.note(self.path, RepairKind.RANGE, value)
            return _NOTHING
        if self.whole:
            mended: int | float = int(number.to_integral_value(ROUND_HALF_EVEN))
        elif self.step is not None:
            step = Decimal(str(self.step))
            mended = float((number / step).to_integral_value(ROUND_HALF_EVEN) * step)
        else:
            mended = float(number)
        if type(value) is not type(mended) and not (not self.whole and type(value) is int):
            walk.note(self.path, RepairKind.TYPE, value)
        elif value != mended:
            walk.note(self.path, RepairKind.RANGE, value)
        return float(number) if self.register and number != mended else mended


class _Boolean(_Node):
    __slots__ = ()

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.quick = bool

    def mend(self, value: object, walk: _Walk) -> object:
        if value is True or value is False:
            return value
        walk.note(self.path, RepairKind.TYPE, value)
        word = str(value).strip().lower() if isinstance(value, (str, int, float)) else ""
        return TRUTH.get(word, _NOTHING)


def _node(schema: JsonObject, document: JsonObject, path: str) -> _Node:
    """Return the place that a schema describes."""
    if (reference := schema.get("$ref")) is not None:
        target = document
        for part in str(reference).removeprefix("#/").split("/"):
            target = target[part]
        return _node(target, document, path)
    match schema.get("type"):
        case "object":
            return _object(schema, document, path)
        case "array":
            items = schema.get("items", {})
            items = items[0] if isinstance(items, list) else items
            return _List(path, _node(items, document, f"{path}/*"), schema.get("maxItems"))
        case "string" if schema.get("format") == "date-time":
            return _Time(path)
        case "string":
            return _Text(path, schema.get("maxLength"), schema.get("enum"))
        case "integer" | "number" as kind:
            return _Number(path, whole=kind == "integer", step=schema.get("multipleOf"))
        case "boolean":
            return _Boolean(path)
        case _:
            return _Node(path)


def _object(schema: JsonObject, document: JsonObject, path: str) -> _Object:
    place = _Object(path)
    for name, member in schema.get("properties", {}).items():
        place.members[name] = _node(member, document, f"{path}/{name}" if path else name)
        place.names[letters(name)] = name
    place.required = frozenset(schema.get("required", ()))
    place.lists = tuple(
        name for name in sorted(place.required) if isinstance(place.members.get(name), _List)
    )
    place.open = schema.get("additionalProperties") is not False
    return place
