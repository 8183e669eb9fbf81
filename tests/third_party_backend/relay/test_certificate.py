"""How long our certificate at the hub is valid, as the relay measures it."""

from __future__ import annotations

import pytest

from charging.service.settings import SettingError
from scripts.cloud.certificates import Authority
from third_party_backend.relay.client import certificate_days
from third_party_backend.relay.process import Relay
from third_party_backend.settings import Settings


@pytest.mark.parametrize(("days", "left"), [(40, 39), (1, 0), (0, -1)])
def test_the_days_that_are_left_below_zero_once_it_has_ended(days, left, tmp_path):
    pem, _ = Authority.new("hub").issue(["us"], days, elliptic=True)
    # A secret that passed through JSON may have lost its line ends.
    texts = [pem.decode(), pem.decode().replace("\n", "\\n")]
    (tmp_path / "pem").write_bytes(pem)
    for given in (*texts, str(tmp_path / "pem")):
        measured = certificate_days(Settings(hub_certificate=given))
        assert left - 0.01 < measured <= left


def test_without_a_certificate_no_figure_rings():
    hub = {"hub_url": "http://hub.invalid", "operator_id": "DE*VNI", "operator_name": "VNI"}
    document = Relay(Settings(**hub), "postgresql:///nothing")._metrics.document({})
    assert "HubCertificateDays" not in document
    assert "OutboxAge" in document


def test_what_is_no_certificate_is_said(tmp_path):
    with pytest.raises(SettingError, match="HUB_CERTIFICATE"):
        certificate_days(Settings(hub_certificate=str(tmp_path / "missing")))
