"""Tables that operators fill in: read as a whole, every fault named by its place."""

import json
from pathlib import Path

import pytest

from charging.master_data import details, read_evses
from charging.price import read_prices
from charging.tables import TableError

EXAMPLES = Path(__file__).parents[2] / "docs/examples"


def csv(**changed):
    row = {
        "charging_point": "CP1",
        "evse_number": "1",
        "evse_id": "de*vni*e1",
        "name": "Harbour",
        "country": "DEU",
        "city": "Kiel",
        "street": "Kai",
        "house_number": "1",
        "postal_code": "24103",
        "latitude": "54.323",
        "longitude": "10.14",
        "plugs": "type 2 outlet",
        "power_type": "AC_3_PHASE",
        "power_kw": "22",
        "hotline": "+4943112345",
        **changed,
    }
    return ",".join(row) + "\n" + ",".join(row.values()) + "\n"


@pytest.mark.parametrize("name", ["evses.csv", "evses.json"])
def test_the_examples_are_right(name):
    rows, faults = read_evses((EXAMPLES / name).read_text())
    assert faults == []
    assert rows
    rows, faults = read_prices((EXAMPLES / "prices.csv").read_text())
    assert (len(rows), faults) == (3, [])


def test_a_row_is_read_into_values():
    ((number, row),), faults = read_evses(csv())
    assert (number, faults) == (2, [])
    assert row["evse_id"] == "DE*VNI*E1"
    assert row["plugs"] == ["Type 2 Outlet"]
    assert row["roaming"] is True
    kept = details(row)
    assert (kept["power_kw"], kept["latitude"]) == ("22", "54.323000")
    assert "evse_id" not in kept
    json.dumps(kept)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"evse_id": "nonsense"}, "row 2, evse_id: 'nonsense' is no EVSE id"),
        ({"evse_number": "0"}, "row 2, evse_number: 0 is not between 1 and 999"),
        ({"evse_number": "1.5"}, "row 2, evse_number: 1.5 has more than 0 decimals"),
        ({"name": ""}, "row 2, name: must be filled in"),
        ({"country": "de"}, "row 2, country: 'de' is not a country in three capital letters"),
        ({"country": "GER"}, "row 2, country: 'GER' is not a country"),
        ({"latitude": "91"}, "row 2, latitude: 91 is not between -90 and 90"),
        ({"latitude": "NaN"}, "row 2, latitude: NaN is not between"),
        ({"plugs": "Type 2 Outlet;Type 9"}, "row 2, plugs: 'Type 9' is none of"),
        ({"hotline": "112"}, "row 2, hotline: '112' is not a number such as"),
        ({"opening": "Someday 08:00-18:00"}, "row 2, opening: 'Someday 08:00-18:00' is neither"),
        ({"opening": "24/7;Monday 08:00-18:00"}, "row 2, opening: '24/7' goes with nothing else"),
        ({"renewable_energy": "perhaps"}, "row 2, renewable_energy: 'perhaps' is neither yes"),
        ({"charging_point": "--"}, "row 2, charging_point: '--' is no charging point id"),
        ({"power_kw": "1000"}, "row 2, power_kw: 1000 is not between 0.1 and 999"),
        ({"voltage_v": "1000"}, "row 2, voltage_v: 1000 is not between 1 and 999"),
        ({"street": "K"}, "row 2, street: 'K' is not a street of two letters or more"),
        ({"language": "en-gb"}, "row 2, language: 'en-gb' is not a language such as en or en-GB"),
        ({"time_zone": "Europe/Atlantis"}, "row 2, time_zone: 'Europe/Atlantis' is no time zone"),
        ({"time_zone": "UTC+25:00"}, "row 2, time_zone: 'UTC+25:00' is no time zone"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(changed, fault):
    _, faults = read_evses(csv(**changed))
    assert [str(f)[: len(fault)] for f in faults] == [fault]


def test_all_faults_are_told_at_once_and_twins_found():
    text = csv() + csv(evse_number="2", name="", city="").split("\n")[1] + "\n"
    _, faults = read_evses(text)
    assert [(f.row, f.column) for f in faults] == [(3, "name"), (3, "city"), (3, "evse_id")]


def test_what_spreadsheets_write_is_read():
    text = "\ufeff" + csv().replace(",", ";").replace("type 2 outlet", "Type 2 Outlet|CHAdeMO")
    ((_, row),), faults = read_evses(text)
    assert faults == []
    assert row["plugs"] == ["Type 2 Outlet", "CHAdeMO"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column|no rows"),
        ("charging_point,surprise\nCP1,x\n", "'surprise'"),
        ("[1]", "list of objects"),
        ("{", "no JSON"),
        ("[]", "no rows"),
        (csv() + "a" + ",b" * 40 + "\n", "row 3 has more cells"),
    ],
)
def test_what_is_no_table_is_refused(text, said):
    with pytest.raises(TableError, match=said):
        read_evses(text)


def test_a_price_is_exact():
    text = "product_id,currency,price,max_power_kw\nAC,EUR,0.41,22\nAC,EUR,0.45001,22\n"
    rows, faults = read_prices(text)
    assert str(rows[0][1]["price"]) == "0.41"
    assert [str(f) for f in faults] == [
        "row 3, price: 0.45001 has more than 4 decimals",
        "row 3, product_id: stands in an earlier row already",
    ]


def test_a_provider_has_one_default_price():
    text = (
        "product_id,provider_id,currency,price,max_power_kw,is_default\n"
        "AC,*,EUR,0.41,22,yes\nDC,*,EUR,0.59,150,yes\nDC,DE-EMP,EUR,0.5,150,yes\n"
    )
    _, faults = read_prices(text)
    assert [str(f) for f in faults] == ["row 3, is_default: another row of the provider is it"]
