"""Commands of every day. Source: OCPP 2.0.1 part 2, sections B, C, D, E, F, G, H and P."""

from __future__ import annotations

from collections.abc import Callable

from charging_point_simulator.ocpp2.context import (
    Command,
    Context,
    Payload,
    constant,
    known_of,
)
from charging_point_simulator.ocpp2.smart_charging import read_profile
from charging_point_simulator.ocpp2.variables import Variable
from charging_point_simulator.station import operators, sessions
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.connector import Connector, Reservation, Status
from charging_point_simulator.station.limits import Purpose
from charging_point_simulator.unversioned import read_time

_VENDOR = "Venerable Inertia"
_ACCEPTED = {"status": "Accepted"}
_REJECTED = {"status": "Rejected"}


# Provisioning.


def get_variables(context: Context, payload: Payload) -> Payload:
    """Read variables."""
    return {"getVariableResult": context.variables.get(payload["getVariableData"])}


def set_variables(context: Context, payload: Payload) -> Payload:
    """Set variables."""
    return {"setVariableResult": context.variables.set(payload["setVariableData"])}


def get_base_report(context: Context, payload: Payload) -> Payload:
    """Report all variables, those that can be set, or a summary."""
    found = context.variables.report(payload["reportBase"])
    context.report("NotifyReport", "reportData", found, payload["requestId"])
    return _ACCEPTED


def get_report(context: Context, payload: Payload) -> Payload:
    """Report the variables that are named, or whose component has what is asked for."""
    wanted = payload.get("componentVariable")
    found = context.variables.report("FullInventory")
    if wanted is not None:
        found = context.variables.selected(wanted)
    criteria = set(payload.get("componentCriteria", ()))
    if criteria and not criteria & {"Active", "Available", "Enabled"}:
        troubled = context.point.whole.status is Status.FAULTED
        found = found if "Problem" in criteria and troubled else []
    if not found:
        return {"status": "EmptyResultSet"}
    context.report("NotifyReport", "reportData", found, payload["requestId"])
    return _ACCEPTED


def reset(context: Context, payload: Payload) -> Payload:
    """Boot, or restart one EVSE: what charges there ends."""
    point, evse = context.point, payload.get("evseId")
    immediately = payload["type"] != "OnIdle"
    if evse is not None and context.evse(evse) is None:
        return _REJECTED
    if evse is not None:
        if immediately:
            operators.end_session(point, evse, "HardReset")
            return _ACCEPTED
        charging = point.connectors[evse].session is not None
        return {"status": "Scheduled" if charging else "Accepted"}
    if immediately:
        operators.reset(point, hard=True)
        return _ACCEPTED
    operators.reset_when_idle(point)
    return {"status": "Scheduled" if point.sessions() else "Accepted"}


def set_network_profile(context: Context, payload: Payload) -> Payload:
    """Keep how to connect; what is chosen holds after a reboot."""
    slot, network = payload["configurationSlot"], payload["connectionData"]
    return {"status": context.variables.set_network(slot, network)}


# Authorization.


def clear_cache(context: Context, payload: Payload) -> Payload:
    """Forget what the central system answered about tokens."""
    if not context.point.settings.cache_enabled:
        return _REJECTED
    context.point.cache.clear()
    return _ACCEPTED


def get_local_list_version(context: Context, payload: Payload) -> Payload:
    """Return the list's version, 0 when there is none."""
    point = context.point
    return {"versionNumber": point.token_list.version if point.settings.local_list_enabled else 0}


def send_local_list(context: Context, payload: Payload) -> Payload:
    """Take a list, or what changed in it."""
    point = context.point
    if not point.settings.local_list_enabled:
        return {"status": "Failed"}
    entries: dict[str, Known | None] = {
        entry["idToken"]["idToken"]: (
            known_of(entry["idTokenInfo"]) if "idTokenInfo" in entry else None
        )
        for entry in payload.get("localAuthorizationList", [])
    }
    full = payload["updateType"] == "Full"
    change = point.token_list.replace if full else point.token_list.change
    status = change(payload["versionNumber"], entries)
    if status == "Accepted" and full and not entries:
        point.token_list.version = 0  # D01.FR.05: an empty list has version 0
    return {"status": status}


# Transactions.


def start_transaction(context: Context, payload: Payload) -> Payload:
    """Start a transaction, with a charging profile of its own where one is given."""
    if not context.point.online:
        return _REJECTED  # B02.FR.05: not while the boot is pending
    number, token = payload.get("evseId"), payload["idToken"]
    profile = None
    if "chargingProfile" in payload:
        profile = read_profile(payload["chargingProfile"], number or 0)
        session_only = profile.purpose is Purpose.SESSION and profile.transaction is None
        if not session_only or not profile.sound:
            return _REJECTED
    accepted = operators.remote_start(
        context.point,
        number,
        token["idToken"],
        profile,
        kind=token["type"],
        request=payload["remoteStartId"],
    )
    return _ACCEPTED if accepted else _REJECTED


def stop_transaction(context: Context, payload: Payload) -> Payload:
    """Stop a transaction."""
    point = context.point
    accepted = point.online and operators.remote_stop(point, payload["transactionId"])
    return _ACCEPTED if accepted else _REJECTED


def get_transaction_status(context: Context, payload: Payload) -> Payload:
    """Return whether a transaction goes on, and whether anything of it waits to be sent."""
    waiting = context.point.calls.durable_waiting > 0
    name = payload.get("transactionId")
    if name is None:
        return {"messagesInQueue": waiting}
    ongoing = context.by_transaction(name) is not None
    return {"ongoingIndicator": ongoing, "messagesInQueue": waiting}


# Remote control and availability.


def change_availability(context: Context, payload: Payload) -> Payload:
    """Put an EVSE, or the whole charging point, into or out of service."""
    operative = payload["operationalStatus"] == "Operative"
    evse = payload.get("evse", {})
    number, plug = evse.get("id", 0), evse.get("connectorId")
    found = context.evse(number)
    if plug is not None and (found is None or not 1 <= plug <= found.plugs):
        return _REJECTED
    return {"status": operators.change_availability(context.point, number, operative=operative)}


def unlock_connector(context: Context, payload: Payload) -> Payload:
    """Unlock a connector where nobody charges. Source: F05."""
    evse = context.evse(payload["evseId"])
    if evse is None or not 1 <= payload["connectorId"] <= evse.plugs:
        return {"status": "UnknownConnector"}
    if evse.session is not None:
        return {"status": "OngoingAuthorizedTransaction"}
    return {"status": operators.unlock(context.point, evse.number)}


def data_transfer(context: Context, payload: Payload) -> Payload:
    """Send back what our own vendor's message `echo` brings; know no other."""
    if payload["vendorId"] != _VENDOR:
        return {"status": "UnknownVendorId"}
    if payload.get("messageId") != "echo":
        return {"status": "UnknownMessageId"}
    return {"status": "Accepted", "data": payload.get("data", "")}


def trigger_message(context: Context, payload: Payload) -> Payload:
    """Send a message once the answer is sent."""
    point, requested = context.point, payload["requestedMessage"]
    number = payload.get("evse", {}).get("id")
    if number is not None and context.evse(number) is None:
        return _REJECTED
    wanted = [c for c in point.connectors.values() if number in (None, c.number)]
    dialect = point.dialect

    def boot() -> None:
        point.boot_reason = "Triggered"
        point.send_boot()

    def statuses() -> None:
        for each in wanted:
            point.calls.send(*dialect.statuses(each))

    def readings(charging: bool) -> Callable[[], None]:
        def read() -> None:
            for each in wanted:
                if (each.session is not None) == charging:
                    sessions.read(point, each, "Trigger")

        return read

    effects: dict[str, Callable[[], None]] = {
        "BootNotification": boot,
        "FirmwareStatusNotification": lambda: point.calls.send(
            dialect.firmware_status(context.firmware.status, context.firmware.request)
        ),
        "Heartbeat": lambda: point.calls.send(dialect.heartbeat()),
        "LogStatusNotification": lambda: point.calls.send(
            dialect.log_status(context.logs.status, context.logs.request)
        ),
        "MeterValues": readings(charging=False),
        "PublishFirmwareStatusNotification": lambda: point.calls.send(
            constant("PublishFirmwareStatusNotification", {"status": "Idle"})
        ),
        "SignChargingStationCertificate": lambda: point.calls.send(dialect.sign_certificate()),
        "StatusNotification": statuses,
        "TransactionEvent": readings(charging=True),
    }
    effect = effects.get(requested)
    if effect is None:
        return {"status": "NotImplemented"}
    point.afterwards.append(effect)
    return _ACCEPTED


# Reservation.


def reserve_now(context: Context, payload: Payload) -> Payload:
    """Keep an EVSE for a token; without a number, one that is free."""
    group = payload.get("groupIdToken")
    reservation = Reservation(
        payload["id"],
        payload["idToken"]["idToken"],
        None if group is None else group["idToken"],
        read_time(payload["expiryDateTime"]),
    )
    number = payload.get("evseId")
    if number is None:
        free: list[Connector] = [
            each
            for each in context.point.connectors.values()
            if each.status is Status.AVAILABLE
            or (each.reservation is not None and each.reservation.number == reservation.number)
        ]
        if not free:
            return {"status": "Occupied"}
        number = free[0].number
    return {"status": operators.reserve(context.point, number, reservation)}


def cancel_reservation(context: Context, payload: Payload) -> Payload:
    """Free an EVSE."""
    found = operators.cancel_reservation(context.point, payload["reservationId"])
    return _ACCEPTED if found else _REJECTED


# Monitors.


def set_variable_monitoring(context: Context, payload: Payload) -> Payload:
    """Watch variables."""
    return {"setMonitoringResult": context.monitors.set(payload["setMonitoringData"])}


def clear_variable_monitoring(context: Context, payload: Payload) -> Payload:
    """Watch no more."""
    return {"clearMonitoringResult": context.monitors.clear(payload["id"])}


def get_monitoring_report(context: Context, payload: Payload) -> Payload:
    """Report what is watched."""
    named = payload.get("componentVariable")
    variables: set[Variable] = set(context.variables.matching(named or []))
    kinds = {
        {"PeriodicMonitoring": "Periodic", "DeltaMonitoring": "Delta"}.get(each, "Threshold")
        for each in payload.get("monitoringCriteria", ())
    }
    found = context.monitors.report(
        lambda monitor: (
            (named is None or monitor.variable in variables)
            and (not kinds or any(kind in monitor.kind for kind in kinds))
        )
    )
    if not found:
        return {"status": "EmptyResultSet"}
    context.report("NotifyMonitoringReport", "monitor", found, payload["requestId"])
    return _ACCEPTED


def set_monitoring_base(context: Context, payload: Payload) -> Payload:
    """Go back to what was watched from the start, which is nothing."""
    if payload["monitoringBase"] != "All":
        context.monitors.clear_all()
    return _ACCEPTED


def set_monitoring_level(context: Context, payload: Payload) -> Payload:
    """Report no event that is less urgent."""
    if not 0 <= payload["severity"] <= 9:
        return _REJECTED
    context.monitors.level = payload["severity"]
    return _ACCEPTED


COMMANDS: dict[str, Command] = {
    "CancelReservation": cancel_reservation,
    "ChangeAvailability": change_availability,
    "ClearCache": clear_cache,
    "ClearVariableMonitoring": clear_variable_monitoring,
    "DataTransfer": data_transfer,
    "GetBaseReport": get_base_report,
    "GetLocalListVersion": get_local_list_version,
    "GetMonitoringReport": get_monitoring_report,
    "GetReport": get_report,
    "GetTransactionStatus": get_transaction_status,
    "GetVariables": get_variables,
    "RequestStartTransaction": start_transaction,
    "RequestStopTransaction": stop_transaction,
    "ReserveNow": reserve_now,
    "Reset": reset,
    "SendLocalList": send_local_list,
    "SetMonitoringBase": set_monitoring_base,
    "SetMonitoringLevel": set_monitoring_level,
    "SetNetworkProfile": set_network_profile,
    "SetVariableMonitoring": set_variable_monitoring,
    "SetVariables": set_variables,
    "TriggerMessage": trigger_message,
    "UnlockConnector": unlock_connector,
}
