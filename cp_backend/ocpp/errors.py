"""What a CALL can be refused with."""

from __future__ import annotations

from enum import Enum

MAX_DESCRIPTION_LENGTH = 255


class ErrorCode(Enum):
    """CALLERROR codes. The value is the spelling of OCPP 1.6; a dialect has other spellings.

    1.6 has no RpcFrameworkError: there it is a FormationViolation.

    Source: OCPP-J 1.6 section 4.2.3 (which does spell "Occurence" with one r).
    """

    NOT_IMPLEMENTED = "NotImplemented"
    """The action is unknown."""
    NOT_SUPPORTED = "NotSupported"
    """The action is known, and not supported."""
    INTERNAL_ERROR = "InternalError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"
    """The frame is no CALL."""


class CallRefusedError(Exception):
    """A CALL that gets a CALLERROR. description: for a person, cut at 255 characters."""

    def __init__(self, code: ErrorCode, description: str = "") -> None:
        super().__init__(f"{code.value}: {description}")
        self.code = code
        self.description = description[:MAX_DESCRIPTION_LENGTH]
