"""Every command of OCPP 2.0.1 and what is simulated of 2.1, by name."""

from __future__ import annotations

from charging_point_simulator.ocpp2 import core, firmware, people, security, smart_charging
from charging_point_simulator.ocpp2.context import Command, Context, Payload
from charging_point_simulator.station.calls import CallError

COMMANDS: dict[str, Command] = {
    **core.COMMANDS,
    **firmware.COMMANDS,
    **people.COMMANDS,
    **security.COMMANDS,
    **smart_charging.COMMANDS,
}
COMMANDS_V21: dict[str, Command] = {
    **COMMANDS,
    **people.COMMANDS_V21,
    **smart_charging.COMMANDS_V21,
}


def carry_out(context: Context, action: str, payload: Payload) -> Payload:
    """Carry out a command whose payload has passed its schema; return its answer.

    Raises CallError.
    """
    commands = COMMANDS if context.version == "2.0.1" else COMMANDS_V21
    command = commands.get(action)
    if command is None:
        raise CallError(
            "NotSupported", f"{action} is not simulated, or for charging points to send"
        )
    return command(context, payload)
