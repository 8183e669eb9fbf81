"""Only the hub is let in, and we show the hub who we are."""

from __future__ import annotations

import hashlib
import json
import ssl
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
import trustme

from charging.delivery import Queue
from charging.service.settings import SettingError
from tests.waiting import eventually
from third_party_backend.oicp.calls import Action, push
from third_party_backend.oicp.verdicts import Verdict
from third_party_backend.relay.client import HubClient
from third_party_backend.settings import from_environment

PATH = "/api/oicp/charging/v21/providers/DE-DCB/authorize-remote/start"


def call(hub, **headers):
    request = urllib.request.Request(
        hub.url + PATH, data=b"{}", headers={"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def forwarded(*addresses):
    return {"X-Forwarded-For": ", ".join(addresses)}


def test_the_caller_is_whom_the_trusted_proxy_saw(run_third_party):
    hub = run_third_party(allowed_cidrs="192.0.2.0/24, 2001:db8::/32", forwarded_hops="1")
    assert call(hub, **forwarded("192.0.2.7"))[0] == 200
    assert call(hub, **forwarded("2001:db8::7"))[0] == 200
    # What the caller itself claims stands before, and counts for nothing.
    assert call(hub, **forwarded("192.0.2.7", "198.51.100.1"))[0] == 403
    assert call(hub, **forwarded("198.51.100.1", "192.0.2.7"))[0] == 200
    for headers in (forwarded("198.51.100.1"), forwarded("nonsense"), {}):
        assert call(hub, **headers) == (403, b"forbidden\n")
    lines = [json.loads(line) for line in hub.program.log.read_text().splitlines()]
    refused = [line for line in lines if line.get("event") == "caller refused"]
    assert [line["address"] for line in refused] == ["198.51.100.1"] * 2 + ["nonsense", None]
    # The load balancer's health checks come from elsewhere.
    with urllib.request.urlopen(f"{hub.url}/health/live", timeout=10) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def test_the_callers_certificate_is_the_hubs(run_third_party, authority):
    ours, other = authority.issue_cert("hub.example"), authority.issue_cert("other.example")
    pems = [leaf.cert_chain_pems[0].bytes().decode() for leaf in (ours, other)]
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pems[0])).hexdigest()
    hub = run_third_party(
        client_certificate=":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper(),
        forwarded_hops="1",
    )
    assert call(hub, **{"X-Amzn-Mtls-Clientcert": quote(pems[0])})[0] == 200
    for headers in (
        {"X-Amzn-Mtls-Clientcert": quote(pems[1])},
        {"X-Amzn-Mtls-Clientcert": "nonsense"},
        {},
    ):
        assert call(hub, **headers)[0] == 403


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ALLOWED_CIDRS": "192.0.2.0/33"}, "ALLOWED_CIDRS"),
        ({"CLIENT_CERTIFICATE": "CN=hub"}, "FORWARDED_HOPS must be at least 1"),
        ({"ANSWER_TIMEOUT": "9.5"}, "at most 9 seconds"),
        ({"HUB_URL": "hub.example"}, "https://service.hub.example"),
        ({"HUB_URL": "https://hub", "OPERATOR_NAME": "V"}, "OPERATOR_ID"),
        ({"HUB_URL": "https://hub", "OPERATOR_ID": "DE*VNI"}, "OPERATOR_NAME"),
        (
            {
                "HUB_URL": "https://h",
                "OPERATOR_ID": "DE*VNI",
                "OPERATOR_NAME": "V",
                "HUB_KEY": "k",
            },
            "go together",
        ),
        ({"HUB_URI": "https://hub"}, "no such setting"),
        ({"LOG_LEVEL": "LOUD"}, "must be one of DEBUG"),
        ({"WORKERS": "0"}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        from_environment({f"THIRD_PARTY_{name}": value for name, value in settings.items()})


@pytest.fixture
def tls_simulator(run_hub_simulator, authority, tmp_path):
    """A hub that speaks TLS and asks for a client certificate; and files to show it."""
    server = authority.issue_cert("127.0.0.1", "localhost")
    client = authority.issue_cert("operator.example")
    files = {}
    for name, pem in (
        ("ca", authority.cert_pem),
        ("server", server.cert_chain_pems[0]),
        ("server_key", server.private_key_pem),
        ("client", client.cert_chain_pems[0]),
        ("client_key", client.private_key_pem),
    ):
        files[name] = tmp_path / f"{name}.pem"
        pem.write_to_path(str(files[name]))
    simulator = run_hub_simulator(
        *("--no-limits", "--certificate", files["server"], "--key", files["server_key"]),
        *("--client-ca", files["ca"]),
    )
    return simulator, files


@pytest.mark.parametrize("as_text", [False, True])
def test_both_sides_show_who_they_are(tls_simulator, as_text):
    simulator, files = tls_simulator

    def setting(name):
        return files[name].read_text() if as_text else str(files[name])

    def send(**settings):
        client = HubClient(
            from_environment(
                {
                    "THIRD_PARTY_HUB_URL": simulator.url,
                    "THIRD_PARTY_OPERATOR_ID": "DE*VNI",
                    "THIRD_PARTY_OPERATOR_NAME": "VNI",
                    **{f"THIRD_PARTY_HUB_{name.upper()}": v for name, v in settings.items()},
                }
            )
        )
        try:
            return client.send(push(Queue.EVSE_STATUS, client.operator, Action.FULL_LOAD, []))
        finally:
            client.close()

    ours = {"certificate": setting("client"), "key": setting("client_key")}
    answer = send(**ours, ca=setting("ca"))
    assert answer.verdict is Verdict.DONE
    assert answer.process_id
    # Without our certificate, and with a hub that nobody vouches for, nothing is sent.
    for settings in ({"ca": setting("ca")}, ours):
        answer = send(**settings)
        assert (answer.verdict, answer.code) == (Verdict.AGAIN, "")
    with pytest.raises(SettingError, match="HUB_CERTIFICATE"):
        send(certificate="/nowhere.pem", key="/nowhere.pem", ca=setting("ca"))


def test_a_relay_without_a_hub_idles_and_says_so(run_relay):
    relay = run_relay("")
    eventually(lambda: relay.program.log.exists() and relay.logged("idle: there is no hub"))
    assert relay.logged("idle: there is no hub")[0]["set"] == "THIRD_PARTY_HUB_URL"
    assert relay.program.stop() == 0
