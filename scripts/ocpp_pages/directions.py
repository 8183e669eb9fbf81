"""Which side calls each action of OCPP, by version. The schemas do not say it.

Sources: OCPP 1.6 edition 2, sections 4 and 5; Improved security for OCPP 1.6-J edition 3; OCPP
2.0.1 part 2 and OCPP 2.1 part 2, the use cases' sequence diagrams.
"""

from __future__ import annotations

SCHEMAS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}
"""Version → the name of its set of schemas."""

EITHER_SIDE = frozenset({"DataTransfer"})
"""Called by both sides, in every version."""

_BY_CHARGING_POINTS_V16 = frozenset(
    {
        *("Authorize", "BootNotification", "DataTransfer", "DiagnosticsStatusNotification"),
        *("FirmwareStatusNotification", "Heartbeat", "LogStatusNotification", "MeterValues"),
        *("SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification"),
        *("StartTransaction", "StatusNotification", "StopTransaction"),
    }
)
_BY_CHARGING_POINTS_V201 = frozenset(
    {
        *("Authorize", "BootNotification", "ClearedChargingLimit", "DataTransfer"),
        *("FirmwareStatusNotification", "Get15118EVCertificate", "GetCertificateStatus"),
        *("Heartbeat", "LogStatusNotification", "MeterValues", "NotifyChargingLimit"),
        *("NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds"),
        *("NotifyEVChargingSchedule", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport"),
        *("PublishFirmwareStatusNotification", "ReportChargingProfiles"),
        *("ReservationStatusUpdate", "SecurityEventNotification", "SignCertificate"),
        *("StatusNotification", "TransactionEvent"),
    }
)
_ADDED_BY_V21 = frozenset(
    {
        *("BatterySwap", "ClosePeriodicEventStream", "GetCertificateChainStatus"),
        *("NotifyDERAlarm", "NotifyDERStartStop", "NotifyPeriodicEventStream"),
        *("NotifyPriorityCharging", "NotifySettlement", "OpenPeriodicEventStream"),
        *("PullDynamicScheduleUpdate", "ReportDERControl", "VatNumberValidation"),
    }
)

BY_CHARGING_POINTS = {
    "1.6": _BY_CHARGING_POINTS_V16,
    "2.0.1": _BY_CHARGING_POINTS_V201,
    "2.1": _BY_CHARGING_POINTS_V201 | _ADDED_BY_V21,
}
"""Version → the actions that charging points call; the rest, and DataTransfer, are ours to call."""

REFUSED: dict[str, dict[str, str]] = {"1.6": {}, "2.0.1": {}, "2.1": {}}
"""Version → what charging points call and we refuse, with the reason."""
