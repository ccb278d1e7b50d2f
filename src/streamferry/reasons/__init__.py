"""What can be wrong, as codes with parameters, and one sentence for each in each language. Pure, and the lowest room.

Who finds something wrong names a code of :class:`Code` and its parameters. The sentence is made where it is shown, in
the reader's language; no sentence is ever parsed. To add a reason, add it to the module of its subject in ``codes``.
"""

from streamferry.reasons.code import LANGUAGES, ReasonCode
from streamferry.reasons.codes import Code
from streamferry.reasons.reason import (
    NOT_TOLD,
    InvalidPart,
    InvalidValue,
    Reason,
    Reasoned,
    Value,
    said_field,
    sentence,
)
from streamferry.reasons.system import said_by, system_reason

__all__ = [
    "LANGUAGES",
    "NOT_TOLD",
    "Code",
    "InvalidPart",
    "InvalidValue",
    "Reason",
    "ReasonCode",
    "Reasoned",
    "Value",
    "said_by",
    "said_field",
    "sentence",
    "system_reason",
]
