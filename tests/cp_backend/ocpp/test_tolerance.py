"""Deviating messages repaired field by field: any valid one, of any action, deviated at will."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema_rs
import ocpp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.repair import RepairKind
from cp_backend.ocpp.times import read_time, write_time
from cp_backend.ocpp.tolerance import MAX_REPAIRS, Form

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMAS = Path(ocpp.__file__).parent / "v16" / "schemas"
DOCUMENTS = {
    file.stem: json.loads(file.read_text("utf-8-sig")) for file in sorted(SCHEMAS.glob("*.json"))
}
FORMS = {
    name: Form(name.removesuffix("Response"), document, answer=name.endswith("Response"))
    for name, document in DOCUMENTS.items()
}
OFFICIAL = {name: jsonschema_rs.validator_for(document) for name, document in DOCUMENTS.items()}


def repair(action, payload, **options):
    return FORMS[action].repair(payload, NOW, **options)


def repaired(action, payload):
    """Return the payload, and the path and kind of each repair."""
    result = repair(action, payload)
    return result.payload, {(r.path, r.kind) for r in result.repairs}


STOP = {"transactionId": 41, "meterStop": 26008, "timestamp": "2026-03-01T11:00:00Z"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-03-01T10:00:00Z"}
SAMPLE = {"value": "1200", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
READING = {"timestamp": "2026-03-01T10:00:00Z", "sampledValue": [SAMPLE]}
READINGS = {"connectorId": 1, "transactionId": 41, "meterValue": [READING]}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.mark.parametrize(
    ("action", "base", "change", "expected", "kind"),
    [
        ("StopTransaction", STOP, {"meterStop": 26008.333}, {"meterStop": 26008.333}, "type"),
        ("StopTransaction", STOP, {"meterStop": 26008.5}, {"meterStop": 26008.5}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26008"}, {"meterStop": 26008}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26008,4"}, {"meterStop": 26008.4}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26.008 kWh"}, {"meterStop": 26008}, "type"),
        ("StopTransaction", STOP, {"reason": "StoppedByEV"}, {"reason": "StoppedByEV"}, "word"),
        ("StopTransaction", STOP, {"reason": "evDisconnected"}, {"reason": "EVDisconnected"}, "word"),
        ("StopTransaction", STOP, {"reason": ""}, {}, "null"),
        ("StopTransaction", STOP, {"idTag": None}, {}, "null"),
        ("StopTransaction", STOP, {"idTag": "A" * 21}, {"idTag": "A" * 21}, "length"),
        ("StopTransaction", STOP, {"idTag": "A" * 300}, {"idTag": "A" * 255}, "length"),
        ("StopTransaction", STOP, {"idTag": 4711}, {"idTag": "4711"}, "type"),
        ("StopTransaction", STOP, {"transactionId": None}, {"transactionId": -1}, "filled in"),
        ("StopTransaction", STOP, {"transactionId": "41"}, {"transactionId": 41}, "type"),
        ("StopTransaction", STOP, {"transactionData": READING}, {"transactionData": [READING]}, "type"),
        ("StopTransaction", STOP, {"transactionData": None}, {}, "null"),
        ("StopTransaction", STOP, {"x": 1}, {}, "unknown member"),
        (
            "StopTransaction", STOP, {"timestamp": "2026-03-01 11:00:00"},
            {"timestamp": "2026-03-01T11:00:00.000Z"}, "time",
        ),
        (
            "StopTransaction", STOP, {"timestamp": ""},
            {"timestamp": "1970-01-01T00:00:00.000Z"}, "filled in",
        ),
        ("StopTransaction", STOP, {"timestamp": ["2026-03-01T11:00:00Z"]}, {}, "type"),
        ("StopTransaction", STOP, {"timestamp": {"$date": "2026-03-01T11:00:00Z"}}, {}, "type"),
        ("StopTransaction", STOP, {"transactionId": 41.5}, {"transactionId": -1}, "range"),
        ("StopTransaction", STOP, {"transactionId": [41]}, {}, "type"),
        ("StopTransaction", STOP, {"transactionId": {"id": 41}}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": "2.6008e4"}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26 008"}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26'008 Wh"}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26.008,4"}, {"meterStop": 26008.4}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26,008.4"}, {"meterStop": 26008.4}, "type"),
        ("StopTransaction", STOP, {"meterStop": "1,026,008"}, {"meterStop": 1026008}, "type"),
        ("StopTransaction", STOP, {"meterStop": "1.026.008"}, {"meterStop": 1026008}, "type"),
        # 26 Wh or 26008: no reading is certain, and a wrong one would be a wrong bill.
        ("StopTransaction", STOP, {"meterStop": "26,008"}, {"meterStop": ...}, "filled in"),
        ("StopTransaction", STOP, {"meterStop": "0.026008 MWh"}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": "26008 W·h"}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": {"value": 26008}}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": {"value": "26.008", "unit": "kWh"}}, {}, "type"),
        ("StopTransaction", STOP, {"meterStop": {"value": 1, "unit": "V"}}, {"meterStop": ...}, "type"),
        ("StartTransaction", START, {"timestamp": ...}, {"timestamp": "1970-01-01T00:00:00.000Z"}, None),
        ("StartTransaction", START, {"reservationId": None}, {}, "null"),
        ("StartTransaction", START, {"idTag": None}, {"idTag": ""}, "filled in"),
        ("StartTransaction", START, {"connectorId": -7.5}, {"connectorId": 0}, "range"),
        ("StartTransaction", START, {"connectorId": True}, {"connectorId": 0}, "type"),
        ("StatusNotification", STATUS, {"errorCode": "Error"}, {"errorCode": "Error"}, "word"),
        ("StatusNotification", STATUS, {"status": "Occupied"}, {"status": "Occupied"}, "word"),
        ("StatusNotification", STATUS, {"status": "available"}, {}, "word"),
        ("StatusNotification", STATUS, {"info": "x" * 80}, {"info": "x" * 80}, "length"),
        ("StatusNotification", STATUS, {"timestamp": "nonsense"}, {}, "dropped"),
        ("StatusNotification", STATUS, {"errorCode": None}, {"errorCode": "NoError"}, "filled in"),
        ("BootNotification", BOOT, {"chargePointModel": "M" * 28}, {"chargePointModel": "M" * 28}, "length"),
        ("BootNotification", BOOT, {"chargePointVendor": None}, {"chargePointVendor": ""}, "filled in"),
        ("BootNotification", BOOT, {"iccid": None}, {}, "null"),
        ("BootNotification", BOOT, {"imsi": 262011234567890}, {"imsi": "262011234567890"}, "type"),
        ("MeterValues", READINGS, {"transactionId": None}, {"transactionId": ...}, "null"),
        ("MeterValues", READINGS, {"meterValue": READING}, {}, "type"),
        ("MeterValues", READINGS, {"meterValue": []}, {"meterValue": []}, None),
        ("DataTransfer", {"vendorId": "v"}, {"data": {"a": [1]}}, {"data": '{"a":[1]}'}, "type"),
    ],
)  # fmt: skip
def test_a_deviation_is_mended_and_said(action, base, change, expected, kind):
    changed = {**base, **change}
    payload, repairs = repaired(action, {n: v for n, v in changed.items() if v is not ...})
    wanted = {name: value for name, value in {**base, **expected}.items() if value is not ...}
    assert payload == wanted
    assert kind is None or kind in {found.value for _, found in repairs}


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ({"value": 12.5, "unit": "W"}, {"value": "12.5", "unit": "W"}),
        ({"value": "1", "unit": "kwh"}, {"value": "1", "unit": "kWh"}),
        ({"value": "1", "unit": "%"}, {"value": "1", "unit": "Percent"}),
        ({"value": "1", "unit": "Furlong"}, {"value": "1", "unit": "Furlong"}),
        ({"value": "1", "context": "Sample"}, {"value": "1", "context": "Sample.Periodic"}),
        ({"value": "1", "context": "CurrentMax"}, {"value": "1", "context": "CurrentMax"}),
        ({"value": "1", "measurand": "Vendor.Own"}, {"value": "1", "measurand": "Vendor.Own"}),
        ({"value": "1", "measurand": "soc"}, {"value": "1", "measurand": "SoC"}),
        ({"value": "1", "phase": None, "extra": {"a": 1}}, {"value": "1"}),
        ({"value": None}, None),
        ({"unit": "W"}, None),
        ({"value": [12.5]}, {"value": "12.5"}),
        ({"value": {"value": 12.5}}, {"value": "12.5"}),
        ({"value": "1", "unitOfMeasure": {"unit": "kWh"}}, {"value": "1", "unit": "kWh"}),
        ("12.5", None),
        (None, None),
    ],
)
def test_an_odd_sample_costs_no_other(sample, expected):
    reading = {**READING, "sampledValue": [SAMPLE, sample]}
    payload, _ = repaired("MeterValues", {**READINGS, "meterValue": [reading]})
    samples = payload["meterValue"][0]["sampledValue"]
    assert samples == ([SAMPLE] if expected is None else [SAMPLE, expected])


def test_a_reading_without_samples_is_dropped():
    empty = {**READING, "sampledValue": []}
    payload, repairs = repaired("MeterValues", {**READINGS, "meterValue": [empty, READING]})
    assert payload == READINGS
    assert ("meterValue/*", RepairKind.DROPPED) in repairs
    assert repaired("MeterValues", {**READINGS, "meterValue": [empty]})[0]["meterValue"] == []


def test_members_are_known_by_their_letters_and_by_other_versions_names():
    payload, repairs = repaired(
        "StartTransaction",
        {"ConnectorID": 1, "id_tag": "TAG", "meterstart": 100, "timeStamp": START["timestamp"]},
    )
    assert payload == START
    assert ("meterStart", RepairKind.NAME) in repairs
    payload, _ = repaired("MeterValues", {"connectorId": 1, "values": [READING]})
    assert payload == {"connectorId": 1, "meterValue": [READING]}


def test_a_register_that_did_not_come_is_not_made_up():
    payload, repairs = repaired("StopTransaction", {**STOP, "meterStop": "unknown"})
    assert "meterStop" not in payload
    assert ("meterStop", RepairKind.FILLED) in repairs
    assert "meterStart" not in repaired("StartTransaction", {**START, "meterStart": None})[0]


def test_a_time_without_a_zone_is_the_charging_points():
    result = repair(
        "StopTransaction",
        {**STOP, "timestamp": "2026-03-01T12:00:00"},
        zone=ZoneInfo("Europe/Berlin"),
    )
    assert result.payload["timestamp"] == "2026-03-01T11:00:00.000Z"


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StartTransaction", {}),
        ("StopTransaction", {}),
        ("StopTransaction", {"surplus": 1}),
        ("Authorize", {}),
        ("Authorize", {"idTag": None}),
        ("Authorize", {"idTag": {"deep": [[[]]]}}),
        ("StatusNotification", {}),
        ("StatusNotification", {"connectorId": 1}),
        ("FirmwareStatusNotification", {"status": None}),
        ("RemoteStartTransactionResponse", {}),
        ("RemoteStartTransactionResponse", {"status": None}),
        ("GetLocalListVersionResponse", {"listVersion": "many"}),
    ],
)
def test_what_carries_no_fact_is_refused(action, payload):
    with pytest.raises(CallRefusedError) as error:
        repair(action, payload)
    assert error.value.code.value == "OccurenceConstraintViolation"


def test_nothing_is_filled_in_where_a_message_was_cut_off():
    cut = {"transactionId": 41, "timestamp": "2026-03-01T11:00:00Z"}
    assert repair("StopTransaction", cut).payload["transactionId"] == 41
    with pytest.raises(CallRefusedError):
        repair("StopTransaction", cut, complete=False)


def test_answers_are_read_as_tolerantly_as_calls():
    assert repaired("RemoteStartTransactionResponse", {"status": "Accepted", "connectorId": 1}) == (
        {"status": "Accepted"},
        {("connectorId", RepairKind.UNKNOWN)},
    )
    payload, _ = repaired(
        "GetConfigurationResponse",
        {
            "configurationKey": [
                {"key": "NumberOfConnectors", "readonly": 1, "value": 2},
                {"key": "HeartbeatInterval", "readonly": "false", "value": None},
                {"key": "Own", "value": "x" * 600},
                {"readonly": True},
                "nonsense",
            ],
            "unknownKey": None,
        },
    )
    assert payload == {
        "configurationKey": [
            {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
            {"key": "HeartbeatInterval", "readonly": False},
            {"key": "Own", "readonly": False, "value": "x" * 500},
        ]
    }


def test_samples_of_tokens_are_hashed_and_all_samples_are_short_and_printable():
    result = repair(
        "StopTransaction",
        {**STOP, "idTag": "SECRET-TOKEN-THAT-IS-TOO-LONG", "x\x1b[": "\x1b[31m" * 100},
    )
    text = json.dumps([*map(list, result.repairs)], ensure_ascii=False)
    assert "SECRET" not in text
    assert all(len(r.sample) <= 100 and r.sample.isprintable() for r in result.repairs)


def test_repairs_are_one_for_a_place_and_kind_and_bounded():
    many = {f"own{n}": n for n in range(1000)}
    samples = [{"value": n, **many} for n in range(100)]
    payload = {**READINGS, "meterValue": [{**READING, "sampledValue": samples}]}
    result = repair("MeterValues", payload)
    assert len(result.repairs) == MAX_REPAIRS
    assert len({r[:3] for r in result.repairs}) == MAX_REPAIRS


def test_what_is_nested_deep_costs_its_place_only():
    deep = []
    for _ in range(900):
        deep = [deep]
    assert repaired("StopTransaction", {**STOP, "x": deep, "reason": deep})[0] == STOP
    with pytest.raises(CallRefusedError):
        repair("Authorize", {"idTag": deep})
    with pytest.raises(CallRefusedError) as error:
        repair("DataTransfer", {"vendorId": "v", "data": deep})
    assert error.value.description == "data: nested too deep"


# Any message of any action, deviated.

times = st.integers(1_600_000_000, 1_900_000_000).map(
    lambda seconds: write_time(datetime.fromtimestamp(seconds, UTC))
)


def messages(schema, document):
    """Return a strategy of what fits a schema."""
    if "$ref" in schema:
        target = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return messages(target, document)
    match schema.get("type"):
        case "object":
            members = {
                name: messages(member, document)
                for name, member in schema.get("properties", {}).items()
            }
            required = set(schema.get("required", ()))
            return st.fixed_dictionaries(
                {name: member for name, member in members.items() if name in required},
                optional={n: member for n, member in members.items() if n not in required},
            )
        case "array":
            return st.lists(messages(schema["items"], document), min_size=1, max_size=3)
        case "string" if "enum" in schema:
            return st.sampled_from(schema["enum"])
        case "string" if schema.get("format") == "date-time":
            return times
        case "string" if schema.get("format") == "uri":
            return st.just("https://files.example/1")
        case "string":
            return st.text("abcXYZ019 -", min_size=1, max_size=min(schema.get("maxLength", 20), 20))
        case "integer":
            return st.integers(0, 2**31 - 1)
        case "number":
            return st.integers(0, 10_000).map(lambda n: n / 10)
        case "boolean":
            return st.booleans()
    raise AssertionError(schema)


MESSAGES = {name: messages(document, document) for name, document in DOCUMENTS.items()}


@given(st.data())
def test_a_valid_message_stays_as_it_is(data):
    name = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    payload = data.draw(MESSAGES[name])
    if OFFICIAL[name].is_valid(payload):
        result = repair(name, payload)
        assert result.payload == payload
        assert result.repairs == []


def places(value, path=()):
    """Yield the paths of all members of a message."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield (*path, name)
            yield from places(member, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from places(item, (*path, number))


def holder(payload, path):
    for step in path[:-1]:
        payload = payload[step]
    return payload


def harmless(value, data):
    """Return a spelling of a value that carries the same fact, None where there is no other."""
    if isinstance(value, bool):
        return data.draw(st.sampled_from([str(value), str(value).lower(), int(value)]))
    if isinstance(value, int):
        return data.draw(st.sampled_from([str(value), float(value), f" {value} ", [value]]))
    if isinstance(value, float):
        return str(value)
    if isinstance(value, dict):
        return data.draw(st.sampled_from([{**value, "own": 1}, {**value, "own": None}, [value]]))
    if isinstance(value, list):
        return value[0] if len(value) == 1 else [*value, None]
    if value.endswith("Z") and value[:4].isdigit() and value[10:11] == "T":
        moment = read_time(value, NOW)
        return data.draw(
            st.sampled_from(
                [value.replace("T", " "), value[:-1], value[:-1] + "+0000", value.lower(),
                 round(moment.timestamp() * 1000)]
            )
        )  # fmt: skip
    return None


@given(st.data())
def test_another_spelling_of_the_same_fact_is_read_as_the_fact(data):
    name = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    payload = data.draw(MESSAGES[name])
    where = data.draw(st.sampled_from([(), *places(payload)]))
    deviated = copy.deepcopy(payload)
    if where:
        holding = holder(deviated, where)
        other = harmless(holding[where[-1]], data)
        if other is None:
            return
        holding[where[-1]] = other
    else:
        deviated["own"] = "x"
    result = repair(name, deviated)
    text = bool(where) and isinstance(holder(payload, where)[where[-1]], str)
    assert result.payload == payload or text  # a time may be written in another way
    assert FORMS[name].fits(result.payload)
    assert result.repairs or OFFICIAL[name].is_valid(deviated)


odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=600),
    st.just("x" * 20_000),
    st.just([]),
    st.just({}),
    st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


@given(st.data())
def test_whatever_stands_where_it_is_repaired_or_refused(data):
    name = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    payload = data.draw(MESSAGES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        all_places = list(places(payload))
        if not all_places:
            break
        where = data.draw(st.sampled_from(all_places))
        holding = holder(payload, where)
        if data.draw(st.booleans()):
            holding[where[-1]] = data.draw(odd_values)
        elif isinstance(holding, dict):
            del holding[where[-1]]
    try:
        result = repair(name, payload)
    except CallRefusedError:
        return
    assert FORMS[name].fits(result.payload)
    assert len(result.repairs) <= MAX_REPAIRS
    again = repair(name, result.payload)
    assert again.payload == result.payload
    assert len(json.dumps(result.payload)) <= len(json.dumps(payload)) * 2 + 200


@pytest.mark.parametrize(
    ("action", "base"),
    [
        ("StartTransaction", START),
        ("StopTransaction", STOP),
        ("MeterValues", READINGS),
        ("BootNotification", BOOT),
    ],
)
@given(data=st.data())
def test_no_single_odd_member_costs_a_billing_fact_or_a_boot(action, base, data):
    payload = copy.deepcopy(base)
    name = data.draw(st.sampled_from([*base, "own"]))
    if data.draw(st.booleans()) and name in payload:
        del payload[name]
    else:
        payload[name] = data.draw(odd_values)
    result = repair(action, payload).payload
    assert FORMS[action].fits(result)
    for other in base.keys() - {name}:
        assert result[other] == base[other]
