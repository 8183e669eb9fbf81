"""The device model: components and their variables, read, set and reported.

Source: OCPP 2.0.1 part 2 section 2 and appendix 3, use cases B05 to B08.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from charging_point_simulator.station import authorization, certificates, sessions
from charging_point_simulator.station.calls import CallError
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.keys import Key, Kind
from charging_point_simulator.station.limits import (
    MAX_PERIODS,
    MAX_PROFILES,
    MAX_STACK_LEVEL,
)
from charging_point_simulator.station.meter import MEASURANDS
from charging_point_simulator.station.timers import write_time

Payload = dict[str, Any]
MAX_ITEMS = 50
"""Variables in one message."""
MAX_BYTES = 16_384
_TYPES = {
    Kind.INTEGER: "integer",
    Kind.BOOLEAN: "boolean",
    Kind.LIST: "MemberList",
    Kind.TEXT: "string",
}
_NETWORK_SLOTS = 2


@dataclass(frozen=True)
class Variable:
    """A variable of a component.

    key: name, type and bounds. read: None for one that can only be written. write: a text →
    Accepted, Rejected or RebootRequired; None for one that can only be read. measured: no
    configuration, and may be watched.
    """

    component: str
    key: Key
    read: Callable[[], str] | None
    write: Callable[[str], str] | None = None
    instance: str = ""
    evse: int = 0
    connector: int = 0
    measured: bool = False
    unit: str = ""

    @property
    def place(self) -> tuple[str, int, int, str, str]:
        """What tells it from all others; names do not differ by case."""
        name, instance = self.key.name.lower(), self.instance.lower()
        return self.component.lower(), self.evse, self.connector, name, instance

    @property
    def names(self) -> Payload:
        """Its component and itself as messages name them."""
        component: Payload = {"name": self.component}
        if self.evse:
            component["evse"] = {"id": self.evse}
        if self.connector:
            component["evse"]["connectorId"] = self.connector
        variable = {"name": self.key.name}
        if self.instance:
            variable["instance"] = self.instance
        return {"component": component, "variable": variable}

    def described(self) -> Payload:
        """Return it as a report does."""
        attribute: Payload = {"type": "Actual", "mutability": "ReadWrite"}
        if self.read is None:
            attribute["mutability"] = "WriteOnly"
        else:
            attribute["value"] = self.read()
            if self.write is None:
                attribute["mutability"] = "ReadOnly"
        kind = "decimal" if self.unit == "W" else _TYPES[self.key.kind]
        characteristics: Payload = {"dataType": kind, "supportsMonitoring": self.measured}
        if self.unit:
            characteristics["unit"] = self.unit
        if self.key.choices:
            characteristics["valuesList"] = ",".join(self.key.choices)
        return {
            **self.names,
            "variableAttribute": [attribute],
            "variableCharacteristics": characteristics,
        }


class Variables:
    """All variables of one charging point. They survive a reboot, but not the program."""

    def __init__(self, point: ChargingPoint) -> None:
        self._point = point
        self._values: dict[tuple[str, str], str] = {}
        self.network: dict[int, Payload] = {}
        """Network profiles by their slots."""

    @cached_property
    def _variables(self) -> dict[tuple[str, int, int, str, str], Variable]:
        # When first asked for: a dialect is made before the charging point is whole.
        return {each.place: each for each in self._all()}

    def find(self, component: Payload, variable: Payload) -> Variable | str:
        """Return a variable, or the status that says why there is none."""
        evse = component.get("evse", {})
        head = (component["name"].lower(), evse.get("id", 0), evse.get("connectorId", 0))
        found = self._variables.get(
            (*head, variable["name"].lower(), variable.get("instance", "").lower())
        )
        if found is not None and not component.get("instance"):
            return found
        known = any(place[:3] == head for place in self._variables)
        return "UnknownVariable" if known else "UnknownComponent"

    def get(self, wanted: list[Payload]) -> list[Payload]:
        """Return the results of GetVariables. Raises CallError."""
        _bound(wanted)
        return [self._get(each) for each in wanted]

    def set(self, wanted: list[Payload]) -> list[Payload]:
        """Return the results of SetVariables. Raises CallError."""
        _bound(wanted)
        return [self._set(each) for each in wanted]

    def report(self, base: str) -> list[Payload]:
        """Return what GetBaseReport asks for."""
        return [
            each.described()
            for each in self._variables.values()
            if base == "FullInventory"
            or (base == "SummaryInventory" and each.key.name in ("AvailabilityState", "Problem"))
            or (base == "ConfigurationInventory" and not each.measured)
        ]

    def selected(self, wanted: list[Payload]) -> list[Payload]:
        """Return the description of what component and variable, or component, name."""
        return [each.described() for each in self.matching(wanted)]

    def matching(self, wanted: list[Payload]) -> list[Variable]:
        """Return the variables that components, and variables where they are named, name."""
        return [each for each in self._variables.values() if any(_names(w, each) for w in wanted)]

    def _get(self, wanted: Payload) -> Payload:
        result, found = self._meant(wanted)
        if isinstance(found, str):
            return {**result, "attributeStatus": found}
        if found.read is None:
            return {**result, "attributeStatus": "Rejected"}
        return {**result, "attributeStatus": "Accepted", "attributeValue": found.read()[:1000]}

    def _set(self, wanted: Payload) -> Payload:
        result, found = self._meant(wanted)
        if isinstance(found, str):
            status = found
        else:
            status = "Rejected" if found.write is None else found.write(wanted["attributeValue"])
        return {**result, "attributeStatus": status}

    def _meant(self, wanted: Payload) -> tuple[Payload, Variable | str]:
        """Return what an answer repeats, and the variable or the status that says why none."""
        kind = wanted.get("attributeType", "Actual")
        found = self.find(wanted["component"], wanted["variable"])
        if not isinstance(found, str) and kind != "Actual":
            found = "NotSupportedAttributeType"
        result = {
            "attributeType": kind,
            "component": wanted["component"],
            "variable": wanted["variable"],
        }
        return result, found

    # What there is.

    def _all(self) -> Iterator[Variable]:
        yield from self._communication()
        yield from self._charging()
        yield from self._limits()
        yield from self._security()
        yield from self._measured()

    def _communication(self) -> Iterator[Variable]:
        calls = self._point.calls
        name = "OCPPCommCtrlr"
        yield self._setting(
            name, Key("HeartbeatInterval", Kind.INTEGER, "heartbeat_seconds", low=1)
        )
        yield self._setting(name, Key("WebSocketPingInterval", Kind.INTEGER, "ping_seconds"))
        yield self._kept(name, Key("OfflineThreshold", Kind.INTEGER, value="60"))
        yield self._kept(name, Key("ResetRetries", Kind.INTEGER, value="1", high=10))
        yield self._kept(
            name, Key("NetworkProfileConnectionAttempts", Kind.INTEGER, value="3", low=1)
        )
        yield self._setting(name, Key("UnlockOnEVSideDisconnect", Kind.BOOLEAN, "unlock_on_unplug"))
        yield self._fixed(name, "FileTransferProtocols", "HTTP,HTTPS", Kind.LIST)
        yield self._fixed(name, "MessageTimeout", "30", instance="Default")
        yield Variable(
            name,
            Key("MessageAttempts", Kind.INTEGER, low=1),
            lambda: str(calls.attempts),
            lambda text: self._set_calls("attempts", text, 1),
            "TransactionEvent",
        )
        yield Variable(
            name,
            Key("MessageAttemptInterval", Kind.INTEGER),
            lambda: str(-int(-calls.retry_seconds // 1)),
            lambda text: self._set_calls("retry_seconds", text, 0),
            "TransactionEvent",
        )
        yield Variable(
            name,
            Key("NetworkConfigurationPriority", Kind.LIST),
            lambda: self._values.get((name, "NetworkConfigurationPriority"), "0"),
            self._set_priority,
        )

    def _charging(self) -> Iterator[Variable]:
        sampled = Key("", Kind.LIST, "sampled", high=len(MEASURANDS), choices=MEASURANDS)
        for component, name, attribute in (
            ("SampledDataCtrlr", "TxUpdatedMeasurands", "sampled"),
            ("SampledDataCtrlr", "TxEndedMeasurands", "sampled_at_stop"),
            ("AlignedDataCtrlr", "Measurands", "aligned"),
        ):
            yield self._setting(
                component,
                Key(name, Kind.LIST, attribute, high=sampled.high, choices=sampled.choices),
            )
        for component, name, attribute in (
            ("SampledDataCtrlr", "TxUpdatedInterval", "meter_interval_seconds"),
            ("AlignedDataCtrlr", "Interval", "aligned_interval_seconds"),
            ("TxCtrlr", "EVConnectionTimeOut", "connection_timeout_seconds"),
        ):
            yield self._setting(component, Key(name, Kind.INTEGER, attribute))
        for component, name, attribute in (
            ("AuthCtrlr", "AuthorizeRemoteStart", "authorize_remote_starts"),
            ("AuthCtrlr", "LocalAuthorizeOffline", "authorize_offline"),
            ("AuthCtrlr", "LocalPreAuthorize", "authorize_from_list"),
            ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "allow_unknown_offline"),
            ("AuthCacheCtrlr", "Enabled", "cache_enabled"),
            ("LocalAuthListCtrlr", "Enabled", "local_list_enabled"),
            ("TxCtrlr", "StopTxOnInvalidId", "stop_on_invalid"),
            ("TxCtrlr", "StopTxOnEVSideDisconnect", "stop_on_unplug"),
        ):
            yield self._setting(component, Key(name, Kind.BOOLEAN, attribute))
        yield self._setting("AuthCtrlr", Key("MasterPassGroupId", Kind.TEXT, "master_pass_group"))
        yield self._fixed("AuthCtrlr", "Enabled", "true", Kind.BOOLEAN)
        yield self._fixed("TxCtrlr", "TxStartPoint", "PowerPathClosed", Kind.LIST)
        yield self._fixed("TxCtrlr", "TxStopPoint", "PowerPathClosed", Kind.LIST)
        for name in ("Enabled", "PnCEnabled", "CentralContractValidationAllowed"):
            yield self._kept("ISO15118Ctrlr", Key(name, Kind.BOOLEAN, value="true"))

    def _limits(self) -> Iterator[Variable]:
        point = self._point
        for action in ("GetReport", "GetVariables", "SetVariables"):
            yield self._fixed("DeviceDataCtrlr", "ItemsPerMessage", MAX_ITEMS, instance=action)
            yield self._fixed("DeviceDataCtrlr", "BytesPerMessage", MAX_BYTES, instance=action)
        for action in ("SetVariableMonitoring", "ClearVariableMonitoring"):
            yield self._fixed("MonitoringCtrlr", "ItemsPerMessage", MAX_ITEMS, instance=action)
            yield self._fixed("MonitoringCtrlr", "BytesPerMessage", MAX_BYTES, instance=action)
        name = "LocalAuthListCtrlr"
        yield self._fixed(name, "ItemsPerMessage", authorization.MAX_ENTRIES_A_MESSAGE)
        yield self._fixed(name, "BytesPerMessage", MAX_BYTES)
        yield Variable(
            name, Key("Entries", Kind.INTEGER), lambda: str(len(point.token_list.entries))
        )
        name = "SmartChargingCtrlr"
        yield self._fixed(name, "Enabled", "true", Kind.BOOLEAN)
        yield self._fixed(name, "ProfileStackLevel", MAX_STACK_LEVEL)
        yield self._fixed(name, "PeriodsPerSchedule", MAX_PERIODS)
        yield self._fixed(name, "RateUnit", "A,W", Kind.LIST)
        yield self._fixed(name, "Entries", MAX_PROFILES, instance="ChargingProfiles")
        for each in ("DisplayMessageCtrlr", "MonitoringCtrlr", "ReservationCtrlr"):
            yield self._fixed(each, "Enabled", "true", Kind.BOOLEAN)

    def _security(self) -> Iterator[Variable]:
        point, name = self._point, "SecurityCtrlr"
        yield Variable(name, Key("BasicAuthPassword", Kind.TEXT), None, self._set_password)
        yield Variable(name, Key("Identity", Kind.TEXT), lambda: point.identity)
        yield self._setting(name, Key("OrganizationName", Kind.TEXT, "organisation"))
        yield Variable(
            name,
            Key("SecurityProfile", Kind.INTEGER),
            lambda: str(point.options.security_profile),
        )
        yield self._fixed(name, "CertificateEntries", certificates.MAX_CERTIFICATES)
        yield self._fixed(name, "AdditionalRootCertificateCheck", "false", Kind.BOOLEAN)
        yield self._fixed(name, "MaxCertificateChainSize", 10_000)
        yield Variable(
            "ClockCtrlr", Key("DateTime", Kind.TEXT), lambda: write_time(point.timers.clock.utc())
        )

    def _measured(self) -> Iterator[Variable]:
        point = self._point
        state = Key("AvailabilityState", Kind.TEXT)
        yield Variable("ChargingStation", state, lambda: str(point.whole.status), measured=True)
        yield Variable(
            "ChargingStation",
            Key("Problem", Kind.BOOLEAN),
            lambda: "true" if point.whole.error_code != "NoError" else "false",
            measured=True,
        )
        for number, evse in point.connectors.items():

            def power(evse: Any = evse) -> str:
                return f"{evse.power_w:.0f}"

            def status(evse: Any = evse) -> str:
                return "Available" if evse.free else "Occupied"

            yield Variable("EVSE", state, status, evse=number, measured=True)
            yield Variable(
                "EVSE",
                Key("Power", Kind.INTEGER, high=10**6),
                power,
                evse=number,
                measured=True,
                unit="W",
            )
            for plug in range(1, evse.plugs + 1):
                yield Variable(
                    "Connector", state, status, evse=number, connector=plug, measured=True
                )

    # How they are read and written.

    def _fixed(
        self,
        component: str,
        name: str,
        value: object,
        kind: Kind = Kind.INTEGER,
        instance: str = "",
    ) -> Variable:
        return Variable(component, Key(name, kind), lambda: str(value), None, instance)

    def _kept(self, component: str, key: Key) -> Variable:
        place = (component, key.name)

        def write(text: str) -> str:
            try:
                self._values[place] = key.write(key.read(text))
            except ValueError:
                return "Rejected"
            return "Accepted"

        return Variable(component, key, lambda: self._values.get(place, key.value), write)

    def _setting(self, component: str, key: Key) -> Variable:
        settings = self._point.settings

        def write(text: str) -> str:
            try:
                value = key.read(text)
            except ValueError:
                return "Rejected"
            setattr(settings, key.attribute, value)
            if key.attribute == "heartbeat_seconds":
                self._point.set_heartbeat()
            elif key.attribute == "aligned_interval_seconds":
                sessions.plan_aligned_readings(self._point)
            return "Accepted"

        return Variable(component, key, lambda: key.write(getattr(settings, key.attribute)), write)

    def _set_calls(self, attribute: str, text: str, low: int) -> str:
        if not text.isdigit() or int(text) < low:
            return "Rejected"
        setattr(self._point.calls, attribute, int(text))
        return "Accepted"

    def _set_password(self, text: str) -> str:
        """Take a password; it holds from the next connection on. Source: A01.FR.02 and after."""
        if not 16 <= len(text) <= 40:
            return "Rejected"
        self._point.password = text.encode()
        # The answer must be on its way before the connection goes.
        self._point.timers.after(0.1, lambda: self._point.stay_away(0.0))
        return "Accepted"

    def _set_priority(self, text: str) -> str:
        """Choose network profiles; the first one holds after a reboot. Source: B10."""
        slots = [part.strip() for part in text.split(",")]
        if not all(slot.isdigit() and (slot == "0" or int(slot) in self.network) for slot in slots):
            return "Rejected"
        first = self.network.get(int(slots[0]))
        point = self._point
        if first is not None and not self.reachable(first):
            return "Rejected"
        self._values["OCPPCommCtrlr", "NetworkConfigurationPriority"] = ",".join(slots)

        def apply() -> None:
            if first is not None:
                point.options.security_profile = first["securityProfile"]

        point.at_boot.append(apply)
        return "RebootRequired"

    def reachable(self, network: Payload) -> bool:
        """Whether it can connect so: never less safely, and with a certificate where one is shown.

        The address and its TLS are given at the start; only a certificate can be added.
        """
        options, wanted = self._point.options, network["securityProfile"]
        if wanted == options.security_profile:
            return True
        raised = wanted == 3 and options.security_profile == 2
        return raised and self._point.certificates.chain_pem is not None

    def set_network(self, slot: int, network: Payload) -> str:
        """Keep a network profile. Return Accepted, Rejected or Failed. Source: B09."""
        if not 1 <= slot <= _NETWORK_SLOTS:
            return "Rejected"
        if network["securityProfile"] < self._point.options.security_profile:
            return "Rejected"  # B09.FR.04: never lowered
        self.network[slot] = network
        return "Accepted"


def _bound(wanted: list[Payload]) -> None:
    if len(wanted) > MAX_ITEMS:
        raise CallError("OccurrenceConstraintViolation", f"more than {MAX_ITEMS} variables")
    if len(str(wanted)) > MAX_BYTES:
        raise CallError("FormatViolation", f"more than {MAX_BYTES} bytes")


def _names(wanted: Payload, variable: Variable) -> bool:
    component, evse = wanted["component"], wanted["component"].get("evse", {})
    named = wanted.get("variable")
    return (
        component["name"].lower() == variable.component.lower()
        and evse.get("id", variable.evse) == variable.evse
        and evse.get("connectorId", variable.connector) == variable.connector
        and (named is None or named["name"].lower() == variable.key.name.lower())
        and (
            named is None
            or named.get("instance", variable.instance).lower() == variable.instance.lower()
        )
    )
