"""Every command of OCPP 1.6 and its security extension, by name."""

from __future__ import annotations

from charging_point_simulator.ocpp16 import (
    core,
    firmware,
    local_list,
    reservation,
    security,
    smart_charging,
    trigger,
)
from charging_point_simulator.ocpp16.context import Command, Context, Payload
from charging_point_simulator.station.calls import CallError

COMMANDS: dict[str, Command] = {
    **core.COMMANDS,
    **firmware.COMMANDS,
    **local_list.COMMANDS,
    **reservation.COMMANDS,
    **smart_charging.COMMANDS,
    **trigger.COMMANDS,
    **security.COMMANDS,
}


def carry_out(context: Context, action: str, payload: Payload) -> Payload:
    """Carry out a command whose payload has passed its schema; return its answer.

    Raises CallError.
    """
    command = COMMANDS.get(action)
    if command is None:
        raise CallError("NotSupported", f"{action} is for charging points to send")
    return command(context, payload)
