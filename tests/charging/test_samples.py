"""Samples in two parts are every byte of what they were."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.database.connection import connect
from charging.samples import cut, form_of, number_of, pieces_of

WORD = st.sampled_from(["Wh", "L1", 'a"b', "a\\b", "Ä\n", "\x7f", ",", "", '"value":"x"'])
TEXT = st.one_of(WORD, st.decimals(-1e6, 1e6, places=2).map(str), st.text(max_size=5))
NUMBER = st.one_of(st.integers(-(10**16), 10**16), st.floats(allow_nan=False, allow_infinity=False))
SAMPLE = st.dictionaries(st.sampled_from(["unit", "phase", 'x"value']), WORD, max_size=3)


def samples_with(values):
    pairs = st.tuples(SAMPLE, values).map(lambda pair: {**pair[0], "value": pair[1]})
    return st.lists(pairs, min_size=1, max_size=8)


def together(form, values):
    ends = values.decode().split(",")
    pieces = pieces_of(form)
    ends += [""] * (len(pieces) - len(ends))
    return "".join(piece + end for piece, end in zip(pieces, ends, strict=True)).encode()


@given(st.one_of(samples_with(TEXT), samples_with(NUMBER), samples_with(st.one_of(TEXT, NUMBER))))
def test_form_and_values_are_the_samples(samples):
    data = orjson.dumps(samples)
    parts = cut(data)
    if parts is not None:
        form, values = parts
        assert together(form, values) == data
        assert form_of(pieces_of(form)) == form


def test_what_changes_is_cut_out_and_nothing_else():
    def reading(register, power):
        return orjson.dumps(
            [
                {"value": register, "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
                {"value": power, "measurand": "Power.Active.Import", "phase": "L1"},
            ]
        )

    assert cut(reading("1500", "7.5"))[1] == b"1500,7.5"
    assert cut(reading("1500", "7.5"))[0] == cut(reading("", "-1"))[0]
    assert cut(reading(1500, 7.5))[1] == b"1500,7.5"
    assert cut(reading(1500, 7.5))[0] != cut(reading("1500", "7.5"))[0]
    spaced = reading("1500", "7.5").replace(b'":', b'": ')
    assert cut(spaced, spaced=True)[1] == b"1500,7.5"


@pytest.mark.parametrize(
    "samples",
    [
        [{"value": "x" * 3000}],
        [{"value": "1", "vendor": "y" * 9000}],
        [{"value": "1,5"}],
        [{"value": 'say "no"'}],
        [{"value": "1", "format": "SignedData"}],
        [{"value": 1, "signedMeterValue": {"signedMeterData": "abc"}}],
        [{"value": 1e300}],
        [{"value": None}],
        [{}],
    ],
)
def test_what_cannot_be_cut_or_never_repeats_stays_whole(samples):
    assert cut(orjson.dumps(samples)) is None


POWERS = [
    [{"value": "7.5", "measurand": "Power.Active.Import", "unit": "kW"}],
    [{"value": "750", "measurand": "Power.Active.Import"}, {"value": "9", "unit": "Wh"}],
    [{"value": "", "measurand": "Power.Active.Import"}, {"value": "9", "unit": "Wh"}],
    [
        {"value": 100.5, "measurand": "Power.Active.Import", "phase": phase}
        for phase in ("L1", "L2", "L3")
    ],
    [
        {
            "value": -2,
            "measurand": "Power.Active.Import",
            "unitOfMeasure": {"unit": "W", "multiplier": 3},
        }
    ],
    [{"value": "5", "measurand": "Power.Active.Import", "location": "Inlet"}],
    [{"value": "5", "measurand": "Voltage"}],
]


@pytest.mark.parametrize("samples", POWERS)
def test_the_database_puts_samples_together_and_reads_their_power(samples, database_url):
    data = orjson.dumps(samples)
    form, values = cut(data)
    with connect(database_url, "test") as database:
        number, given = number_of(form), values.decode()
        for _ in range(2):
            learnt = database.execute("SELECT learn_form(%s, %s)", [number, pieces_of(form)])
            assert learnt.fetchone() == (True,)
        whole, power, expected = database.execute(
            "SELECT whole_samples(NULL, %(n)s, %(v)s), power_of_samples(NULL, %(n)s, %(v)s),"
            " reported_power_w(%(whole)s::jsonb)",
            {"n": number, "v": given, "whole": data.decode()},
        ).fetchone()
    assert whole == samples
    assert power == expected


def test_another_form_of_the_same_number_is_not_taken_for_it(database_url):
    with connect(database_url, "test") as database:
        assert database.execute("SELECT learn_form(7, %s)", [['{"a":', "}"]]).fetchone() == (True,)
        assert database.execute("SELECT learn_form(7, %s)", [['{"b":', "}"]]).fetchone() == (False,)
