"""The configuration keys of OCPP 1.6: types, bounds, who may write them, what needs a reboot.

Source: OCPP 1.6 section 9, and the security whitepaper's section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from charging_point_simulator.station import authorization, certificates, sessions
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.keys import Key, Kind
from charging_point_simulator.station.limits import (
    MAX_PERIODS,
    MAX_PROFILES,
    MAX_STACK_LEVEL,
)
from charging_point_simulator.station.meter import MEASURANDS

MAX_VALUE_LENGTH = 500
_MAX_KEYS = 100
PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"


def _fixed(name: str, value: object, kind: Kind = Kind.INTEGER) -> Key:
    return Key(name, kind, value=str(value), readonly=True)


def _on(name: str, attribute: str = "", value: str = "false") -> Key:
    return Key(name, Kind.BOOLEAN, attribute, value)


def _sampled(name: str, attribute: str = "") -> tuple[Key, Key]:
    return (
        Key(name, Kind.LIST, attribute, high=len(MEASURANDS), choices=MEASURANDS),
        _fixed(f"{name}MaxLength", len(MEASURANDS)),
    )


CORE = (
    _on("AllowOfflineTxForUnknownId", "allow_unknown_offline"),
    _on("AuthorizationCacheEnabled", "cache_enabled"),
    _on("AuthorizeRemoteTxRequests", "authorize_remote_starts"),
    Key("ClockAlignedDataInterval", Kind.INTEGER, "aligned_interval_seconds"),
    Key("ConnectionTimeOut", Kind.INTEGER, "connection_timeout_seconds", low=1),
    Key("ConnectorPhaseRotation", Kind.LIST, value="Unknown", reboot=True, high=10),
    _fixed("GetConfigurationMaxKeys", _MAX_KEYS),
    Key("HeartbeatInterval", Kind.INTEGER, "heartbeat_seconds", low=1),
    Key("LightIntensity", Kind.INTEGER, value="100", high=100),
    _on("LocalAuthorizeOffline", "authorize_offline"),
    _on("LocalPreAuthorize", "authorize_from_list"),
    *_sampled("MeterValuesAlignedData", "aligned"),
    *_sampled("MeterValuesSampledData", "sampled"),
    Key("MeterValueSampleInterval", Kind.INTEGER, "meter_interval_seconds"),
    Key("MinimumStatusDuration", Kind.INTEGER, value="0"),
    Key("ResetRetries", Kind.INTEGER, value="1", high=10),
    _on("StopTransactionOnEVSideDisconnect", "stop_on_unplug"),
    _on("StopTransactionOnInvalidId", "stop_on_invalid"),
    *_sampled("StopTxnAlignedData"),
    *_sampled("StopTxnSampledData", "sampled_at_stop"),
    _fixed("SupportedFeatureProfiles", PROFILES, Kind.LIST),
    _on("UnlockConnectorOnEVSideDisconnect", "unlock_on_unplug"),
    Key("WebSocketPingInterval", Kind.INTEGER, "ping_seconds", reboot=True),
)
OTHERS = (
    _on("LocalAuthListEnabled", "local_list_enabled"),
    _fixed("LocalAuthListMaxLength", authorization.MAX_LIST_LENGTH),
    _fixed("SendLocalListMaxLength", authorization.MAX_ENTRIES_A_MESSAGE),
    _fixed("ReserveConnectorZeroSupported", "false", Kind.BOOLEAN),
    _fixed("ChargeProfileMaxStackLevel", MAX_STACK_LEVEL),
    _fixed("ChargingScheduleAllowedChargingRateUnit", "Current,Power", Kind.LIST),
    _fixed("ChargingScheduleMaxPeriods", MAX_PERIODS),
    _fixed("ConnectorSwitch3to1PhaseSupported", "false", Kind.BOOLEAN),
    _fixed("MaxChargingProfilesInstalled", MAX_PROFILES),
    _fixed("SupportedFileTransferProtocols", "HTTP,HTTPS", Kind.LIST),
    _fixed("AdditionalRootCertificateCheck", "false", Kind.BOOLEAN),
    _fixed("CertificateSignedMaxChainSize", 10_000),
    _fixed("CertificateStoreMaxLength", certificates.MAX_CERTIFICATES),
    Key("CpoName", Kind.TEXT, "organisation"),
)


class Configuration:
    """The keys of one charging point. They survive a reboot, but not the program."""

    def __init__(self, point: ChargingPoint) -> None:
        self._point = point
        self._keys = {key.name: key for key in (*CORE, *OTHERS)}
        self._values: dict[str, str] = {}
        self._special: dict[str, tuple[Callable[[], str], Callable[[str], str] | None]] = {
            "NumberOfConnectors": (lambda: str(len(point.connectors)), None),
            "SecurityProfile": (
                lambda: str(point.options.security_profile),
                self._set_security_profile,
            ),
            "TransactionMessageAttempts": (
                lambda: str(point.calls.attempts),
                lambda text: self._set_calls("attempts", text, 1),
            ),
            "TransactionMessageRetryInterval": (
                lambda: str(-int(-point.calls.retry_seconds // 1)),
                lambda text: self._set_calls("retry_seconds", text, 0),
            ),
        }

    def names(self) -> list[str]:
        """Return the keys that can be read."""
        return sorted((*self._keys, *self._special))

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a key as GetConfiguration does, None for one that cannot be read."""
        if name in self._special:
            read, write = self._special[name]
            return {"key": name, "readonly": write is None, "value": read()}
        key = self._keys.get(name)
        if key is None:
            return None
        return {"key": name, "readonly": key.readonly, "value": self._text(key)}

    def set(self, name: str, value: str) -> str:
        """Change a key; return Accepted, Rejected, RebootRequired or NotSupported."""
        if name == "AuthorizationKey":
            return self._set_password(value)
        if name in self._special:
            write = self._special[name][1]
            return "Rejected" if write is None else write(value)
        key = self._keys.get(name)
        if key is None:
            return "NotSupported"
        if key.readonly:
            return "Rejected"
        try:
            read = key.read(value)
        except ValueError:
            return "Rejected"
        if key.reboot:
            self._point.at_boot.append(lambda: self._apply(key, read))
            return "RebootRequired"
        self._apply(key, read)
        return "Accepted"

    def _text(self, key: Key) -> str:
        if key.attribute:
            return key.write(getattr(self._point.settings, key.attribute))[:MAX_VALUE_LENGTH]
        return self._values.get(key.name, key.value)

    def _apply(self, key: Key, value: Any) -> None:
        if not key.attribute:
            self._values[key.name] = key.write(value)
            return
        setattr(self._point.settings, key.attribute, value)
        if key.attribute == "heartbeat_seconds":
            self._point.set_heartbeat()
        elif key.attribute == "aligned_interval_seconds":
            sessions.plan_aligned_readings(self._point)

    def _set_calls(self, attribute: str, text: str, low: int) -> str:
        if not text.isdigit() or int(text) < low:
            return "Rejected"
        setattr(self._point.calls, attribute, int(text))
        return "Accepted"

    def _set_password(self, value: str) -> str:
        """Take a password in hexadecimal, or as it is; it holds from the next connection on.

        Source: security whitepaper, A00.FR.205: the connection is closed and made again.
        """
        try:
            password = bytes.fromhex(value)
        except ValueError:
            password = value.encode()
        if not 8 <= len(password) <= 64:
            return "Rejected"

        self._point.password = password
        # The answer must be on its way before the connection goes.
        self._point.timers.after(0.1, lambda: self._point.stay_away(0.0))
        return "Accepted"

    def _set_security_profile(self, value: str) -> str:
        """Raise the profile; it is never lowered, and 3 needs a certificate. Source: A05 there."""
        point = self._point
        if value not in ("0", "1", "2", "3") or int(value) < point.options.security_profile:
            return "Rejected"
        wanted = int(value)
        if wanted > point.options.security_profile:
            # The address and its TLS are given at the start; only a certificate can be added.
            if not (point.options.security_profile == 2 and point.certificates.chain_pem):
                return "Rejected"
            point.timers.after(0.1, lambda: point.stay_away(0.0))
        point.options.security_profile = wanted
        return "Accepted"
