"""What another charging point wrote under a session's number does not stand in its record."""

import json

from tests.rows import EVSE
from tests.station import ago, iso
from tests.waiting import eventually


def test_a_record_holds_the_readings_of_its_own_charging_point_only(
    station, simulator, run_relay, start_remotely, database
):
    name, token = start_remotely()
    transaction = station.start(token, 1000)["transactionId"]
    samples = [
        {"value": "1500"},
        {"value": "GENUINE", "format": "SignedData", "context": "Transaction.Begin"},
    ]
    station.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": transaction,
            "meterValue": [{"timestamp": iso(ago(seconds=2)), "sampledValue": samples}],
        },
    )
    forged = [{"value": "FORGED", "format": "SignedData", "context": "Transaction.End"}]
    database.execute(
        "INSERT INTO meter_values (charging_point_id, evse_number, session_id, sampled_at,"
        " energy_wh, sampled_values, digest) VALUES ('CP2', 1, %s, now(), 1600, %s, 1)",
        [transaction, json.dumps(forged)],
    )
    station.stop(transaction, 2234)
    run_relay(simulator.url)
    eventually(lambda: EVSE in simulator.statuses())
    record = eventually(lambda: simulator.session(name)["cdr"], 20)
    assert record["MeterValueInBetween"] == {"meterValues": [1.5]}
    assert "GENUINE" in json.dumps(record)
    assert "FORGED" not in json.dumps(record)
