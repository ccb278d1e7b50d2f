"""All that can be wrong, by subject. A reason is added in one place: in the module of its subject, in each language.

It is named as it is written: ``SOURCE_SILENT`` is ``source.silent``.
"""

from collections.abc import Mapping

from streamferry.reasons.code import ReasonCode
from streamferry.reasons.codes.address_codes import Addresses
from streamferry.reasons.codes.content_codes import Contents
from streamferry.reasons.codes.destination_codes import Destinations, Watermarks
from streamferry.reasons.codes.field_codes import Fields
from streamferry.reasons.codes.file_codes import Files, Names, Warnings
from streamferry.reasons.codes.machine_codes import Lacks, Programs, Service, System
from streamferry.reasons.codes.on_air_codes import OnAirs
from streamferry.reasons.codes.peer_codes import Peers, Srt, Steps
from streamferry.reasons.codes.picture_codes import Pictures, Previews
from streamferry.reasons.codes.prepare_codes import Cache, Playlists
from streamferry.reasons.codes.protocol_codes import Protocols
from streamferry.reasons.codes.s3_codes import Buckets
from streamferry.reasons.codes.series_codes import SeriesCodes
from streamferry.reasons.codes.source_codes import Sources
from streamferry.reasons.codes.task_codes import Actions, Callbacks, Tasks


class Code(
    System,
    Lacks,
    Programs,
    Service,
    Steps,
    Peers,
    Srt,
    Protocols,
    Addresses,
    Names,
    Files,
    Warnings,
    Contents,
    Playlists,
    Cache,
    Buckets,
    Sources,
    OnAirs,
    Destinations,
    Watermarks,
    Pictures,
    Previews,
    Tasks,
    Actions,
    Callbacks,
    Fields,
    SeriesCodes,
):
    """Has each code as an attribute: ``Code.SOURCE_SILENT``."""

    # A sentence as it is: of an older version, or of somebody else.
    TEXT = ReasonCode("text", "{words}", "{words}")


#: Name of the attribute -> code.
CODES: Mapping[str, ReasonCode] = {
    name: code for area in reversed(Code.__mro__) for name, code in vars(area).items() if isinstance(code, ReasonCode)
}
