"""A driver's app at third-party-backend: what must work before an image goes on."""

import uuid

from tests.acceptance.driver import TOKEN
from tests.waiting import eventually

PROVIDER = "DE-EMP"
EVSE = "DE*VNI*EACCEPT*1"
OTHER_EVSE = "DE*VNI*EACCEPT*9"
PATH = f"/api/oicp/charging/v21/providers/{PROVIDER}/authorize-remote/"
LONG = ("--duration", 864_000, "--meter-values-interval", 60, "--time-compression", 60)


def request(session, evse):
    return {
        "SessionID": session,
        "ProviderID": PROVIDER,
        "EvseID": evse,
        "Identification": {"RemoteIdentification": {"EvcoID": "DE-EMP-C00000001-X"}},
    }


def test_a_driver_starts_and_stops_through_the_hub(backend):
    (name,) = backend.register(1)
    backend.name_evse(name, EVSE)
    simulator = backend.simulate(1, *LONG, "--wait-for-remote", backend.patience_seconds)
    eventually(lambda: backend.online([name]), backend.patience_seconds)
    session = str(uuid.uuid4())
    answer = backend.ask_as_hub(f"{PATH}start", request(session, EVSE))
    assert answer["Result"], answer
    assert answer["StatusCode"]["Code"] == "000"
    charging = eventually(lambda: backend.charging(name), backend.patience_seconds)
    eventually(lambda: backend.readings(charging) >= 2, backend.patience_seconds)
    stop = {"SessionID": session, "ProviderID": PROVIDER, "EvseID": EVSE}
    answer = backend.ask_as_hub(f"{PATH}stop", stop)
    assert answer["Result"], answer
    report = simulator.report(backend.patience_seconds)
    assert [s["remote"] for s in report["sessions"]] == [True]
    assert TOKEN not in {s["id_tag"] for s in report["sessions"]}
    backend.books_agree(report)


def test_a_start_where_nobody_is_gets_a_clear_no(backend):
    answer = backend.ask_as_hub(f"{PATH}start", request(str(uuid.uuid4()), OTHER_EVSE))
    assert not answer["Result"]
    assert answer["StatusCode"]["Code"] != "000"
