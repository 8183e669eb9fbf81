"""What an operator can set at a charging point, in no version's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """Intervals in seconds. Measurands in OCPP's names, which all versions share.

    meter_interval_seconds: 0 for no readings. boot_seconds: how long a reboot takes.
    job_seconds: how long a step of a firmware update or an upload takes. master_pass_group: whose
    tokens end everybody's sessions.
    """

    heartbeat_seconds: float = 300.0
    connection_timeout_seconds: float = 60.0
    meter_interval_seconds: float = 60.0
    aligned_interval_seconds: float = 0.0
    sampled: tuple[str, ...] = (
        "Energy.Active.Import.Register",
        "Power.Active.Import",
        "Current.Import",
        "Voltage",
        "SoC",
    )
    aligned: tuple[str, ...] = ("Energy.Active.Import.Register",)
    sampled_at_stop: tuple[str, ...] = ()
    authorize_remote_starts: bool = False
    authorize_offline: bool = True
    authorize_from_list: bool = False
    allow_unknown_offline: bool = True
    cache_enabled: bool = True
    local_list_enabled: bool = True
    stop_on_invalid: bool = True
    stop_on_unplug: bool = True
    unlock_on_unplug: bool = True
    ping_seconds: float = 60.0
    organisation: str = "VNI"
    master_pass_group: str = ""
    boot_seconds: float = 1.0
    job_seconds: float = 1.0
    max_power_w: float = 22_080.0
