"""What answers about configuration keys tell of settings."""

import pytest

from charging.command import Setting
from charging.intents import WriteSettings
from cp_backend.ocpp.actions import Exchange, OutgoingCall
from cp_backend.ocpp.v16.configuration import settings_told, write_settings

READ = OutgoingCall("GetConfiguration", {})


def test_what_was_read_is_told_and_passwords_are_not():
    answer = {
        "configurationKey": [
            {"key": "A", "readonly": True, "value": "1"},
            {"key": "B", "readonly": False},
            {"key": "authorizationKey", "readonly": False, "value": "31323334"},
        ],
        "unknownKey": ["C"],
    }
    assert settings_told([Exchange(READ, answer)]) == [
        Setting("A", "1", readonly=True),
        Setting("B", "", readonly=False),
        Setting("authorizationKey", None, readonly=False),
        Setting("C", offered=False),
    ]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("Accepted", [Setting("A", "1")]),
        ("RebootRequired", [Setting("A", "1", after_restart=True)]),
        ("Rejected", []),
        ("NotSupported", []),
    ],
)
def test_what_was_taken_is_told(status, told):
    (call,) = write_settings(WriteSettings({"A": "1"}))
    assert settings_told([Exchange(call, {"status": status})]) == told
    assert settings_told([Exchange(call, None)]) == []
