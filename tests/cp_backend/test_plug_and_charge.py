"""Plug & Charge: contracts that are checked, certificates that are fetched, and clear refusals."""

import asyncio
import base64
import json
from contextlib import closing
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from charging import intents
from charging.authorization import Authorization, Decision
from charging.command import CommandKind, Outcome
from charging.contract import ContractFinding, ContractHash
from charging.service.settings import SettingError
from cp_backend.contract_certificates import Authorities, UntrustedError, load
from cp_backend.ocpp.dialect import V16, V21, V201
from cp_backend.ocpp.errors import CallRefusedError
from cp_backend.ocpp.plug_and_charge import VENDOR
from cp_backend.plug_and_charge import MAX_RUNNING, PlugAndCharge
from cp_backend.settings import Settings, from_environment
from cp_backend.vocabulary import (
    CertificateStatusAnswer,
    ContractAnswer,
    ContractCertificateAnswer,
    ContractPresented,
    DataRefused,
)
from tests.pki import DAY, Issuer, Pki
from tests.rows import add_charging_point, add_token
from tests.station import Station

EMAID = "DE8AAC12345678X"
DER = serialization.Encoding.DER
AUTHORIZATION = Authorization(Decision.ACCEPTED)


def now():
    """Not the time of the import: in a whole run that is long before the tests."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def pki():
    with Pki() as service:
        yield service


@pytest.fixture(scope="module")
def authorities(pki):
    return Authorities((pki.root.certificate,))


def hash_of(pki, contract, issuer=None):
    data = (issuer or pki.authority).hash_data(contract.certificate, pki.responder)
    return ContractHash(*data.values())


# The certificates themselves.


def test_a_contract_whose_issuers_responder_says_good_is_valid(pki, authorities):
    contract = pki.contract()
    chain = authorities.check_chain(contract.pem + pki.authority.pem, "DE-8AA-C12345678", now())
    wanted = authorities.hash_of(chain)
    assert wanted == hash_of(pki, contract)
    answer = pki.authority.status(contract.certificate, by=pki.signer)
    assert authorities.check_answer(wanted, answer, now(), chain) > now()


def test_without_the_chain_the_issuer_must_be_an_authority_of_ours(pki, authorities):
    contract = pki.contract()
    answer = pki.authority.status(contract.certificate, by=pki.signer)
    with pytest.raises(UntrustedError) as refused:
        authorities.check_answer(hash_of(pki, contract), answer, now())
    assert refused.value.finding is ContractFinding.UNCHECKED
    known = Authorities((pki.root.certificate, pki.authority.certificate))
    assert known.check_answer(hash_of(pki, contract), answer, now())


def answers_that_do_not_count(pki, contract):
    certificate, other = contract.certificate, pki.contract().certificate
    stranger = Issuer("Stranger")
    of_another = Issuer(
        "Another's", stranger, authority=False, usage=ExtendedKeyUsageOID.OCSP_SIGNING
    )
    no_signer = Issuer("No signer", pki.authority, authority=False)
    status = pki.authority.status
    yield status(certificate, ocsp.OCSPCertStatus.REVOKED), ContractFinding.REVOKED
    yield status(certificate, ocsp.OCSPCertStatus.UNKNOWN), ContractFinding.UNTRUSTED
    yield status(certificate, at=now() - 2 * DAY), ContractFinding.UNCHECKED
    yield status(certificate, at=now() + DAY), ContractFinding.UNCHECKED
    yield status(other), ContractFinding.UNCHECKED
    yield status(certificate, by=of_another), ContractFinding.UNCHECKED
    yield status(certificate, by=no_signer), ContractFinding.UNCHECKED
    yield stranger.status(certificate), ContractFinding.UNCHECKED
    yield b"nonsense", ContractFinding.UNCHECKED
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    yield later.public_bytes(DER), ContractFinding.UNCHECKED


def test_only_a_signed_timely_good_counts(pki):
    authorities = Authorities((pki.root.certificate, pki.authority.certificate))
    contract = pki.contract()
    for answer, finding in answers_that_do_not_count(pki, contract):
        with pytest.raises(UntrustedError) as refused:
            authorities.check_answer(hash_of(pki, contract), answer, now())
        assert refused.value.finding is finding
        assert str(refused.value)


def test_a_chain_that_leads_nowhere_has_expired_or_is_anothers_is_refused(pki, authorities):
    stranger = Issuer("Stranger")
    forged = Issuer(EMAID, stranger, authority=False)
    by_a_leaf = Issuer(EMAID, pki.contract(), authority=False)
    old = pki.contract(valid=(-3 * DAY, -DAY))
    for chain, finding in (
        (forged.pem + stranger.pem, ContractFinding.UNTRUSTED),
        (by_a_leaf.pem + pki.authority.pem, ContractFinding.UNTRUSTED),
        (pki.contract().pem, ContractFinding.UNTRUSTED),
        (pki.contract("FR8AAC12345678X").pem + pki.authority.pem, ContractFinding.UNTRUSTED),
        (old.pem + pki.authority.pem, ContractFinding.EXPIRED),
        ("no certificate", ContractFinding.UNTRUSTED),
    ):
        with pytest.raises(UntrustedError) as refused:
            authorities.check_chain(chain, EMAID, now())
        assert refused.value.finding is finding


# What is asked, and what is refused unasked.


def settings_of(pki, tmp_path, **more):
    file = tmp_path / "authorities.pem"
    file.write_text(pki.root.pem + pki.authority.pem)
    token = tmp_path / "token"
    token.write_text("secret\n")
    return {
        "pki_service": pki.address,
        "pki_token_file": str(token),
        "ocsp_responders": pki.responder,
        "contract_authorities": str(file),
        **more,
    }


async def ask(question, *words):
    answer = asyncio.get_running_loop().create_future()
    question(*words, answer.set_result)
    async with asyncio.timeout(10):
        return await answer


def contract_request(schema="urn:iso:15118:2:2013:MsgDef", **more):
    payload = {"iso15118SchemaVersion": schema, "action": "Install", "exiRequest": "RVhJ", **more}
    return V21.incoming["Get15118EVCertificate"].read(payload)


async def test_without_a_configuration_everything_is_refused_with_the_reason(pki):
    asked = PlugAndCharge(Settings())
    wanted = hash_of(pki, pki.contract())
    token = V201.incoming["Authorize"].read({"idToken": {"idToken": EMAID, "type": "eMAID"}}).token
    verdict = await ask(asked.check, ContractPresented(token, (wanted,), None))
    assert (verdict.finding, "CP_BACKEND_OCSP_RESPONDERS" in verdict.reason) == (
        ContractFinding.UNCHECKED,
        True,
    )
    answer = await ask(asked.contract_certificate, contract_request())
    assert answer == ContractCertificateAnswer(None, answer.reason)
    assert "CP_BACKEND_PKI_SERVICE" in answer.reason
    answer = await ask(asked.certificate_status, wanted)
    assert answer.response is None
    statuses = (await ask(asked.chain_status, [wanted])).statuses
    assert statuses == [(wanted, "failed", None)]
    assert not pki.asked


async def test_only_configured_addresses_are_asked_so_many_at_once_and_answers_are_read(
    pki, tmp_path
):
    asked = PlugAndCharge(Settings(**settings_of(pki, tmp_path)))
    contract = pki.contract()
    wanted = hash_of(pki, contract)
    foreign = ContractHash(*wanted_values(wanted), "http://169.254.169.254/latest")
    answer = await ask(asked.certificate_status, foreign)
    assert "not among" in answer.reason
    lookalike = ContractHash(*wanted_values(wanted), pki.responder + ".example")
    assert (await ask(asked.certificate_status, lookalike)).response is None
    assert not pki.asked
    answer = await ask(asked.certificate_status, wanted)
    assert ocsp.load_der_ocsp_response(base64.b64decode(answer.response)).serial_number == (
        contract.certificate.serial_number
    )
    broken = ContractHash("SHA256", "zz", "ab", "01", pki.responder)
    assert "cannot be read" in (await ask(asked.certificate_status, broken)).reason
    pki.contracts.append({"emaid": "FR8AAC00000000X", "certificateInstallationRes": "RlI="})
    wish = contract_request(prioritizedEMAIDs=["FR8AAC00000000X"])
    answer = await ask(asked.contract_certificate, wish)
    assert (answer.response, answer.remaining) == ("RlI=", 1)
    _, authorization, body = pki.asked[-1]
    assert authorization == "Bearer secret"
    assert json.loads(body)["xsdMsgDefNamespace"] == "urn:iso:15118:2:2013:MsgDef"
    none = contract_request(exiRequest="")
    assert "404" in (await ask(asked.contract_certificate, none)).reason
    pki.broken = True
    assert "cannot be read" in (await ask(asked.contract_certificate, wish)).reason
    assert (await ask(asked.certificate_status, wanted)).response is None
    pki.broken = False
    pki.contracts.clear()
    assert "no contract" in (await ask(asked.contract_certificate, wish)).reason
    pki.contracts.append({"emaid": EMAID, "certificateInstallationRes": "RVhJ"})
    many = [ask(asked.certificate_status, wanted) for _ in range(MAX_RUNNING + 5)]
    answers = await asyncio.gather(*many)
    assert sum(each.reason == "too many questions are under way" for each in answers) == 5
    assert sum(each.response is not None for each in answers) == MAX_RUNNING


def wanted_values(wanted):
    return wanted.algorithm, wanted.issuer_name, wanted.issuer_key, wanted.serial_number


async def test_who_does_not_answer_in_time_is_given_up(tmp_path, pki):
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    more = {"pki_service": address, "pki_timeout": 0.2}
    asked = PlugAndCharge(Settings(**settings_of(pki, tmp_path, **more)))
    answer = await ask(asked.contract_certificate, contract_request())
    assert answer.response is None
    assert answer.reason
    server.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"PKI_SERVICE": "pki.example"}, "no address over HTTP"),
        ({"OCSP_RESPONDERS": "ftp://ocsp.example"}, "no address over HTTP"),
        ({"OCSP_RESPONDERS": "http://ocsp.example"}, "go together"),
        ({"CONTRACT_AUTHORITIES": "/nowhere"}, "go together"),
        (
            {"OCSP_RESPONDERS": "http://ocsp.example", "CONTRACT_AUTHORITIES": "/nowhere"},
            "No such file",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_at_the_start(settings, sentence):
    with pytest.raises(SettingError, match=sentence):
        from_environment({f"CP_BACKEND_{name}": value for name, value in settings.items()})


def test_an_authority_that_is_none_is_refused(pki, tmp_path):
    file = tmp_path / "leaf.pem"
    file.write_text(pki.contract().pem)
    with pytest.raises(ValueError, match="not of an authority"):
        load(str(file))


# As it is written.


@pytest.mark.parametrize("dialect", [V201, V21], ids=lambda dialect: dialect.version)
def test_each_answer_fits_its_schema(dialect):
    for action, answers in {
        "Get15118EVCertificate": [
            ContractCertificateAnswer("RVhJ", "", 2),
            ContractCertificateAnswer(None, "x" * 900),
            ContractCertificateAnswer("x" * 20_000, ""),
        ],
        "GetCertificateStatus": [
            CertificateStatusAnswer("RVhJ", ""),
            CertificateStatusAnswer(None, "x" * 900),
            CertificateStatusAnswer("x" * 20_000, ""),
        ],
        "Authorize": [ContractAnswer(AUTHORIZATION, finding) for finding in ContractFinding],
    }.items():
        written = [dialect.incoming[action].write(answer) for answer in answers]
        for payload in written:
            dialect.schemas().check_response(action, payload)
        if action != "Authorize":
            assert [each["status"] for each in written] == ["Accepted", "Failed", "Failed"]


def transfer(action, payload):
    data = payload if isinstance(payload, str) else json.dumps(payload)
    return {"vendorId": VENDOR, "messageId": action, "data": data}


def test_what_cannot_be_read_in_a_data_transfer_is_refused_in_its_words():
    row = V16.incoming["DataTransfer"]
    for payload, status in (
        (transfer("Reset", {}), "UnknownMessageId"),
        (transfer("Authorize", "{"), "Rejected"),
        (transfer("Authorize", {"idToken": 7}), "Rejected"),
        ({"vendorId": VENDOR, "messageId": "GetCertificateStatus"}, "Rejected"),
    ):
        message = row.read(payload)
        assert isinstance(message, DataRefused)
        assert message.reason
        assert row.write(message.answer) == {"status": status}


def test_certificates_of_vehicles_go_through_16s_data_transfer():
    use = intents.CertificateUse.V2G_ROOT
    named = intents.CertificateHash("SHA256", "ab", "cd", "01")
    for intent, action, answer, outcome in (
        (intents.InstallCertificate(use, "PEM"), "InstallCertificate", "Accepted", "accepted"),
        (intents.InstallCertificate(use, "PEM"), "InstallCertificate", "Rejected", "rejected"),
        (intents.DeleteCertificate(named, use), "DeleteCertificate", "NotFound", "rejected"),
        (intents.ReadCertificates(use), "GetInstalledCertificateIds", "NotFound", "accepted"),
    ):
        row = V16.outgoing[intent.kind]
        (call,) = row.plan(intent.arguments())
        assert (call.action, call.payload["messageId"]) == ("DataTransfer", action)
        V16.schemas().check_request(call.action, call.payload)
        inner = V201.outgoing[intent.kind].plan(intent.arguments())[0].payload
        assert json.loads(call.payload["data"]) == inner
        reply = {"status": "Accepted", "data": json.dumps({"status": answer})}
        assert row.read(reply).value == outcome
        assert row.read({"status": "UnknownVendorId"}) is Outcome.NOT_OFFERED
        assert row.read({"status": "Accepted", "data": "["}) is Outcome.FAILED
    ours = intents.InstallCertificate(intents.CertificateUse.MANUFACTURER, "PEM")
    (call,) = V16.outgoing[CommandKind.INSTALL_CERTIFICATE].plan(ours.arguments())
    assert call.action == "InstallCertificate"


def test_a_vehicles_root_is_of_21_alone():
    intent = intents.InstallCertificate(intents.CertificateUse.VEHICLE_ROOT, "PEM")
    for dialect in (V201, V21):
        (call,) = dialect.outgoing[intent.kind].plan(intent.arguments())
        if dialect is V21:
            dialect.schemas().check_request(call.action, call.payload)
        else:
            with pytest.raises(CallRefusedError):
                dialect.schemas().check_request(call.action, call.payload)


@pytest.mark.parametrize("kind", ["MacAddress", "KeyCode", "eMAID", "Local"])
def test_a_token_that_is_no_card_is_none_whatever_its_form(kind):
    token = {"idToken": "00:1a:2b:3c:4d:5e:6f", "type": kind}
    read = V201.incoming["Authorize"].read({"idToken": token}).token
    assert read.kind.value == "other"
    card = V201.incoming["Authorize"].read({"idToken": {**token, "type": "ISO14443"}}).token
    assert (card.kind.value, card.value) == ("card", "001A2B3C4D5E6F")


# Over sockets, in all three versions.


class Spoken:
    """A charging point that says a message of 2.0.1 in its own version."""

    def __init__(self, node, version):
        self.version = version
        self.station = Station(node.port, f"PNC{version}", subprotocols=[f"ocpp{version}"])
        if version == "1.6":
            self.station.boot()
        else:
            boot = {"chargingStation": {"model": "M", "vendorName": "V"}, "reason": "PowerUp"}
            self.station.call("BootNotification", boot)

    def say(self, action, /, **payload):
        if self.version != "1.6":
            return self.station.call(action, payload)
        answer = self.station.call("DataTransfer", transfer(action, payload))
        assert answer["status"] == "Accepted"
        return json.loads(answer["data"])


def check_chain_status(spoken, good, revoked):
    requests = [
        {
            "certificateHashData": {k: v for k, v in each.items() if k != "responderURL"},
            "source": "OCSP",
            "urls": [each["responderURL"]],
        }
        for each in (good, revoked)
    ]
    answer = spoken.say("GetCertificateChainStatus", certificateStatusRequests=requests)
    V21.schemas().check_response("GetCertificateChainStatus", answer)
    first, second = answer["certificateStatus"]
    assert (first["status"], second["status"]) == ("Good", "Revoked")
    assert first["nextUpdate"] > now().isoformat()


def test_contracts_charge_and_certificates_are_handed_on_in_every_version(
    pki, run_node, database, tmp_path
):
    node = run_node(roaming_timeout="0", **settings_of(pki, tmp_path))
    add_token(database, EMAID)
    good, revoked = pki.contract(), pki.contract()
    pki.revoked.add(revoked.certificate.serial_number)
    token = {"idToken": EMAID, "type": "eMAID"}

    def hashed(contract):
        return pki.authority.hash_data(contract.certificate, pki.responder)

    answers = {}
    for version in ("1.6", "2.0.1", "2.1"):
        add_charging_point(database, f"PNC{version}")
        spoken = Spoken(node, version)
        with closing(spoken.station):
            by_hash = spoken.say(
                "Authorize", idToken=token, iso15118CertificateHashData=[hashed(good)]
            )
            by_chain = spoken.say(
                "Authorize", idToken=token, certificate=good.pem + pki.authority.pem
            )
            bad = spoken.say(
                "Authorize", idToken=token, iso15118CertificateHashData=[hashed(revoked)]
            )
            unknown = spoken.say(
                "Authorize",
                idToken={**token, "idToken": "FR8AAC99999999X"},
                iso15118CertificateHashData=[hashed(good)],
            )
            installed = spoken.say(
                "Get15118EVCertificate",
                iso15118SchemaVersion="urn:iso:15118:2:2013:MsgDef",
                action="Install",
                exiRequest="RVhJ",
            )
            status = spoken.say("GetCertificateStatus", ocspRequestData=hashed(good))
            assert status["status"] == "Accepted"
            request = spoken.say("SignCertificate", csr="PEM", certificateType="V2GCertificate")
            installed.pop("remainingContracts", None)
            if version == "2.1":
                check_chain_status(spoken, hashed(good), hashed(revoked))
        answers[version] = (by_hash, by_chain, bad, unknown, installed, request)
    assert answers["1.6"] == answers["2.0.1"] == answers["2.1"]
    by_hash, by_chain, bad, unknown, installed, request = answers["2.1"]
    accepted = {"idTokenInfo": {"status": "Accepted"}, "certificateStatus": "Accepted"}
    assert by_hash == by_chain == accepted
    assert bad == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertificateRevoked"}
    assert unknown["idTokenInfo"]["status"] == "Unknown"
    assert installed == {"status": "Accepted", "exiResponse": "RVhJ"}
    assert request == {"status": "Rejected"}
    kept = database.execute(
        "SELECT status, count(*) FROM notices WHERE kind = 'contract_certificate' GROUP BY 1"
    ).fetchall()
    assert sorted(kept) == [("Install", 3), ("status", 4)]
