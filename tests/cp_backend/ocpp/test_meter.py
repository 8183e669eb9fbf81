"""The energy register among sampled values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_backend.ocpp.meter import ENERGY_REGISTER, MAX_REGISTER_WH, read_register_wh


def sample(value, **members):
    return {"value": value, **members}


def energy(value, **members):
    return {"value": value, "measurand": ENERGY_REGISTER, **members}


def phases(*values, **members):
    return [energy(v, phase=f"L{n}", **members) for n, v in enumerate(values, 1)]


BEGIN, PERIODIC, END = (
    {"context": word} for word in ("Transaction.Begin", "Sample.Periodic", "Transaction.End")
)


@pytest.mark.parametrize(
    ("samples", "energy_wh"),
    [
        ([sample("1234")], 1234),
        ([sample("1.2345", unit="kWh")], 1234),
        ([sample("1.2355", unit="kWh")], 1236),
        ([sample("1234.5")], 1234),
        ([sample("1235.5")], 1236),
        ([sample(" 1234 ")], 1234),
        ([sample("-5")], -5),
        ([sample("٣")], 3),
        ([sample("1,5", unit="kWh")], 1500),
        ([sample("1,250", unit="kWh")], 1250),
        ([sample("1250,5")], 1250),
        # units
        ([sample("12", unit="wh")], 12),
        ([sample("12", unit="kW.h")], 12_000),
        ([sample("12", unit="KWH")], 12_000),
        ([sample("12", unit="kW·h")], 12_000),
        ([sample("0.012", unit="MWh")], 12_000),
        ([sample("12", unit="")], 12),
        ([sample("15.630", unit="A", context="Sample.Periodic")], None),
        ([energy("12", unit="W")], None),
        ([energy("12", unit="varh")], None),
        # what is no register of ours
        ([], None),
        ([sample("12", measurand="SoC")], None),
        ([sample("12", measurand="Energy.Active.Export.Register")], None),
        ([sample("12", location="Inlet")], None),
        ([sample("<Base64>", format="SignedData")], None),
        ([energy("12", phase="N")], None),
        ([energy("12", phase="L1-L2")], None),
        # what is no number
        ([sample("OFFLINE")], None),
        ([sample("")], None),
        ([sample("NaN")], None),
        ([sample("Infinity")], None),
        ([sample("1e999999")], None),
        ([sample("1e1000000")], None),
        ([sample("9" * 100)], None),
        ([sample("1,200")], None),
        ([sample("1,200,300")], 1_200_300),
        ([sample("1 200")], 1200),
        ([sample("1'200.5")], 1200),
        ([sample("1.200,5")], 1200),
        ([sample("1.2e3")], 1200),
        ([sample("1,20,300")], None),
        ([sample("1.200,300,400")], None),
        # two registers
        ([energy("0", **BEGIN), energy("4369", **PERIODIC)], 4369),
        ([energy("4369", **PERIODIC), energy("0", **BEGIN)], 4369),
        ([energy("4369", **PERIODIC), energy("4400", **END)], 4400),
        ([energy("4400", **END), energy("4369", **PERIODIC)], 4400),
        ([energy("4369"), energy("0", **BEGIN)], 4369),
        ([energy("7", **BEGIN)], 7),
        ([energy("1", context="CurrentMax"), energy("2", **BEGIN)], 1),
        ([energy("OFFLINE", **END), energy("4369", **PERIODIC)], 4369),
        ([sample("5", location="Body"), sample("6")], 6),
        ([sample("5", location="Body")], 5),
        ([sample("12", measurand="SoC"), sample("7")], 7),
        # phases
        ([*phases("1", "2", "3"), energy("7")], 7),
        ([energy("7"), *phases("1", "2", "3")], 7),
        (phases("1", "2", "3"), 6),
        (phases("1.5", "2.5", "3", unit="kWh"), 7000),
        ([energy("4", phase="L1-N"), energy("5", phase="L2-N")], 9),
        ([energy("4", phase="L2")], 4),
        ([energy("4", phase=phase) for phase in "RST"], 12),
        ([energy("4", phase=phase) for phase in "123"], 12),
        ([energy("4", phase=phase) for phase in ("l1", "l2", "l3")], 12),
        ([energy("7", phase="Total"), *phases("1", "2", "3")], 7),
        ([energy("7", phase="L1L2L3")], 7),
        # a unit behind the number
        ([energy("1200 Wh")], 1200),
        ([energy("1.2kWh")], 1200),
        ([energy("1.2 kWh", unit="Wh")], 1200),
        ([energy("1200 W")], None),
        ([*phases("1", "2", "3", **BEGIN), *phases("4", "5", "6", **END)], 15),
        ([energy("4", phase="L1"), energy("9", phase="L1")], 4),
    ],
)
def test_the_register_of_a_reading(samples, energy_wh):
    assert read_register_wh(samples) == energy_wh


odd = st.text(max_size=8) | st.sampled_from(
    [
        *BEGIN.values(),
        *END.values(),
        ENERGY_REGISTER,
        "Wh",
        "kWh",
        "L1",
        "L2",
        "Raw",
        "Outlet",
        "12",
    ]
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"value": odd | st.from_regex(r"-?\d{1,12}([.,]\d{0,9})?(e\d{1,9})?", fullmatch=True)},
            optional=dict.fromkeys(
                ["context", "measurand", "unit", "phase", "location", "format"], odd
            ),
        ),
        max_size=5,
    )
)
def test_no_sample_breaks_the_reader(samples):
    found = read_register_wh(samples)
    assert found is None or abs(found) <= 3 * MAX_REGISTER_WH
