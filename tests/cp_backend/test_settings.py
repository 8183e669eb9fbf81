"""Settings from the environment."""

import pytest

from charging.service.proxies import comes_from
from charging.service.settings import SettingError
from cp_backend.ocpp.dialect import DIALECTS
from cp_backend.settings import VERSIONS, Settings, from_environment


def test_defaults_are_for_production():
    settings = from_environment({})
    assert settings == Settings()
    assert not settings.admit_unknown
    assert not settings.admit_unknown_tokens


def test_the_environment_and_then_the_command_line():
    environment = {"CP_BACKEND_PORT": "1", "CP_BACKEND_ADMIT_UNKNOWN": "Yes", "OTHER": "x"}
    assert from_environment(environment).port == 1
    assert from_environment(environment).admit_unknown is True
    assert from_environment(environment, port=2, host=None).port == 2


def test_seconds_may_have_a_fraction_even_where_the_default_has_none():
    assert from_environment({"CP_BACKEND_PING_INTERVAL": "2.5"}).ping_interval == 2.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROT", "1"),
        ("PORT", "x"),
        ("PORT", "-1"),
        ("PORT", "9000.5"),
        ("PROCESSES", "0"),
        ("PING_INTERVAL", "0.5"),
        ("ADMIT_UNKNOWN", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("OCPP_VERSIONS", "1.6,1.5"),
        ("OCPP_VERSIONS", ""),
        ("TLS_KEY", "file"),
        ("TLS_CLIENT_CA", "file"),
        ("LOWEST_SECURITY_PROFILE", "4"),
        ("BALANCER_NETWORKS", "10.0.0.1/8"),
        ("BALANCER_VERIFIES_CERTIFICATES", "true"),
    ],
)
def test_what_cannot_be_is_said_by_name(name, value):
    with pytest.raises(SettingError, match=f"CP_BACKEND_{name}"):
        from_environment({f"CP_BACKEND_{name}": value})


def test_each_version_that_can_be_set_has_a_dialect():
    assert set(VERSIONS) == set(DIALECTS)
    assert from_environment({"CP_BACKEND_OCPP_VERSIONS": " 1.6 "}).spoken_versions() == ("1.6",)


def test_a_load_balancers_headers_are_believed_of_its_addresses():
    def believed(address, **settings):
        return comes_from(address, Settings(**settings).balancers())

    assert not believed("10.0.0.1")
    assert believed("10.0.0.1", forwarded_hops=1)
    assert not believed("127.0.0.1", forwarded_hops=1)
    assert not believed("192.0.2.1", forwarded_hops=1)
    assert believed("192.0.2.1", balancer_networks="192.0.2.0/24")
    assert not believed("10.0.0.1", forwarded_hops=1, balancer_networks="192.0.2.0/24")


def test_a_node_holds_no_more_than_it_may_open_files():
    assert Settings().connection_limit() >= 1
    assert Settings(max_connections=3).connection_limit() == 3
    assert Settings(max_connections=10**9).connection_limit() == Settings().connection_limit()
    with_tls = Settings(tls_certificate="chain.pem", tls_key="key.pem")
    assert with_tls.connection_limit() <= Settings().connection_limit() / 3
