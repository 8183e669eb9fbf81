"""All deviations, by name."""

from __future__ import annotations

from charging_point_simulator.deviations import frames, payloads
from charging_point_simulator.deviations.deviation import Deviation
from charging_point_simulator.target import Handshake

_TRIGGERS = ("TriggerMessage", "ExtendedTriggerMessage")
_LONG_ID = "id-" + "0123456789" * 25

DEVIATIONS: dict[str, Deviation] = {
    # Frames.
    "byte-order-mark": Deviation(
        "a byte order mark before every frame", text=lambda frame, text: "\ufeff" + text
    ),
    "raw-nul": Deviation("a NUL byte in the info of a status", text=frames.raw_nul),
    "leading-comma": Deviation("a comma before the first sample", text=frames.leading_comma),
    "cut-off-answers": Deviation("answers are cut in the middle", text=frames.cut_off_answer),
    "number-ids": Deviation("message ids are numbers", message_id=lambda number: number),
    "empty-ids": Deviation("message ids are empty", message_id=lambda number: ""),
    "long-ids": Deviation(
        "message ids have 255 characters", message_id=lambda number: f"{_LONG_ID}{number:02}"[:255]
    ),
    "five-elements": Deviation("calls have a fifth element", frame=frames.five_elements),
    "null-payloads": Deviation("null instead of an empty object", frame=frames.null_payload),
    "list-payloads": Deviation("a list instead of an empty object", frame=frames.list_payload),
    "null-error-codes": Deviation("errors without a code", frame=frames.null_error_code),
    "extra-members": Deviation(
        "members that the schema does not have", payload=payloads.extra_members
    ),
    "null-members": Deviation("null for what is absent", payload=payloads.null_members),
    # Handshakes and connections.
    "no-connection-header": Deviation(
        "a handshake without Connection", handshake=Handshake(no_connection_header=True)
    ),
    "two-slashes": Deviation("two slashes after the identity", handshake=Handshake(suffix="//")),
    "no-pongs": Deviation("pings are never answered", handshake=Handshake(no_pongs=True)),
    "offers-compression": Deviation(
        "offers permessage-deflate", handshake=Handshake(compression=True)
    ),
    "no-boot": Deviation("never sends a BootNotification", boots=False),
    "hangs-up": Deviation("hangs up when called before its boot is answered", patient=False),
    "replayed-states": Deviation(
        "sends, after a reconnect, the states that it had while away", replays=True
    ),
    # Boot.
    "long-names": Deviation("vendor, model and firmware are too long", payload=payloads.long_names),
    "no-vendor": Deviation(
        "a boot without a vendor", payload=payloads.remove("BootNotification", "chargePointVendor")
    ),
    # Times.
    "no-zone": Deviation(
        "times without a zone", payload=payloads.every_time(lambda text: text.removesuffix("Z"))
    ),
    "one-digit-hours": Deviation(
        "hours below ten have a digit", payload=payloads.every_time(payloads.one_digit_hour)
    ),
    "lower-case-z": Deviation(
        "times end in z", payload=payloads.every_time(lambda text: text.replace("Z", "z"))
    ),
    "clock-1970": Deviation(
        "the clock begins in 1970", payload=payloads.every_time(payloads.since_1970)
    ),
    "clock-stopped": Deviation(
        "the clock has stopped in 1970",
        payload=payloads.every_time(lambda text: "1970-01-01T00:00:00Z"),
    ),
    # Status.
    "own-error-codes": Deviation("an error code of its own", payload=payloads.own_errors),
    "occupied": Deviation("the status of OCPP 1.5", payload=payloads.occupied),
    "long-info": Deviation(
        "a sentence as info",
        payload=payloads.put(
            "StatusNotification",
            info="The driver has left the cable plugged in for more than ten minutes.",
        ),
    ),
    # Start and stop.
    "no-token": Deviation(
        "sessions without a token", payload=payloads.remove("StartTransaction", "idTag")
    ),
    "fractional-registers": Deviation("registers with a fraction", payload=payloads.fractions),
    "lost-stop": Deviation("sessions end without a StopTransaction", drop=("StopTransaction",)),
    "stop-transaction-null": Deviation(
        "a stop without a transaction", payload=payloads.put("StopTransaction", transactionId=None)
    ),
    "stop-transaction-minus-one": Deviation(
        "a stop of transaction -1", payload=payloads.put("StopTransaction", transactionId=-1)
    ),
    "long-tokens": Deviation("a token of 21 characters at the stop", payload=payloads.long_token),
    "own-reasons": Deviation(
        "a reason of its own", payload=payloads.put("StopTransaction", reason="StoppedByEV")
    ),
    "odd-samples": Deviation(
        "odd samples among good ones at the stop", payload=payloads.odd_samples
    ),
    "register-backwards": Deviation(
        "the register is 1 at the stop", payload=payloads.register_backwards
    ),
    # Readings.
    "readings-transaction-zero": Deviation(
        "readings of transaction 0", payload=payloads.put("MeterValues", transactionId=0)
    ),
    "reading-as-object": Deviation(
        "one reading, not in a list", payload=payloads.reading_as_object
    ),
    "empty-readings": Deviation("readings without samples", payload=payloads.empty_readings),
    "number-values": Deviation(
        "values are numbers", payload=payloads.every_sample(payloads.value_as_number)
    ),
    "bare-registers": Deviation(
        "registers with nothing but a value", payload=payloads.bare_register
    ),
    "two-registers": Deviation("two registers in a reading", payload=payloads.two_registers),
    "ampere-without-measurand": Deviation(
        "ampere without a measurand",
        payload=payloads.every_sample(payloads.ampere_without_measurand),
    ),
    "relative-registers": Deviation("readings count from each session's start"),
    "session-registers": Deviation("all registers count from each session's start"),
    # Commands.
    "trigger-needs-connector": Deviation(
        "rejects triggers without a connector",
        instead=frames.rejects(_TRIGGERS, lambda payload: "connectorId" not in payload),
    ),
    "trigger-refuses-connector": Deviation(
        "rejects triggers with a connector",
        instead=frames.rejects(_TRIGGERS, lambda payload: "connectorId" in payload),
    ),
    "start-needs-connector": Deviation(
        "rejects remote starts without a connector",
        instead=frames.rejects(
            ("RemoteStartTransaction",), lambda payload: "connectorId" not in payload
        ),
    ),
    "start-elsewhere": Deviation(
        "reports sessions at the other of two connectors", payload=payloads.other_connector
    ),
    "stack-level-zero": Deviation(
        "rejects profiles above stack level 0",
        instead=frames.rejects(
            ("SetChargingProfile",), lambda payload: payload["csChargingProfiles"]["stackLevel"] > 0
        ),
    ),
    "no-list-differences": Deviation(
        "answers every difference of the local list with VersionMismatch",
        instead=frames.rejects(
            ("SendLocalList",),
            lambda payload: payload["updateType"] == "Differential",
            "VersionMismatch",
        ),
    ),
    "short-passwords": Deviation(
        "rejects passwords of more than 20 bytes",
        instead=frames.rejects(
            ("ChangeConfiguration",),
            lambda payload: payload["key"] == "AuthorizationKey" and len(payload["value"]) > 40,
        ),
    ),
    # Answers.
    "numbers-in-configuration": Deviation(
        "numbers for texts and booleans in GetConfiguration",
        answer=payloads.numbers_in_configuration,
    ),
    "extra-in-answers": Deviation(
        "members that answers do not have", answer=payloads.extra_in_answer
    ),
}


def listing() -> str:
    """Return all deviations, a line each."""
    width = max(map(len, DEVIATIONS))
    return "\n".join(f"{name:<{width}}  {d.about}" for name, d in sorted(DEVIATIONS.items()))
