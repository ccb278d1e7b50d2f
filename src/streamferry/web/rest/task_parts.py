"""Parts of the bodies that make or change a task, as models: sources, destinations, further inputs, the slate.

``bodies`` says what they have in common.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

from streamferry.media.peer_options import MAX_HEADERS, MAX_KBPS, MAX_ROTATE_S, MAX_SEGMENTS_BEHIND, MAX_VALUE_CHARS
from streamferry.media.slate import MAX_TEXT_CHARS, MAX_TITLE_CHARS, SlateKind
from streamferry.relay.spec import LEAST_SWITCH_S, MAX_DESTINATIONS, MAX_ITEMS, MOST_SWITCH_S, Latency
from streamferry.tasks.checks import MAX_ADDRESS_CHARS, MAX_INT32
from streamferry.tasks.destinations import NAME
from streamferry.tasks.series import MAX_DATES, MAX_RULE_CHARS
from streamferry.web.views import Kind

NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, Field(max_length=64, pattern=NO_NUL)]
Address = Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS_CHARS, pattern=NO_NUL)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=MAX_INT32, allow_inf_nan=False)]
Part = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]
LocalTime = Annotated[str, Field(max_length=32)]
DestinationId = Annotated[int, Strict(), Field(ge=1, le=MAX_DESTINATIONS)]
Header = Annotated[str, Field(max_length=100)]
HeaderValue = Annotated[str, Field(max_length=MAX_VALUE_CHARS)]
ConnectText = Annotated[str, Field(max_length=MAX_VALUE_CHARS, pattern=NO_NUL)]


class Body(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class SourceBody(Body):
    """One address of a task."""

    url: Address
    """Sent back as it was shown, with ``***``, it means the address that the task has."""
    start_s: Seconds = 0.0
    end_s: Seconds = 0.0
    """From the file's start; 0 is the file's end."""


class ServerBody(Body):
    """A destination in the two fields that platforms show; they are sent as encoders send them."""

    server: Address
    """``rtmp://`` or ``rtmps://``. A slash at its end is kept."""
    key: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS, pattern=NO_NUL, repr=False)]
    """The stream key; may be empty. ``***`` with the server that the task has means the key that it has."""


class OptionsBody(Body):
    """How the servers of a source or a destination are reached, and what they are told. In a change, what is not given
    stays, and an empty value clears."""

    proxy: Annotated[str, Field(max_length=MAX_ADDRESS_CHARS, pattern=NO_NUL)] | None = Field(None, repr=False)
    """Its address: ``http:`` (by CONNECT), ``socks5:`` or ``socks5h:``, where the proxy resolves names unless an egress
    policy holds; with ``user:password@`` if it wants them. Not for SRT and UDP."""
    bind: Annotated[str, Field(max_length=64)] | None = None
    """IP address of the worker's machine to connect from. Not for SRT and UDP."""
    headers: Annotated[dict[Header, HeaderValue], Field(max_length=MAX_HEADERS)] | None = Field(None, repr=False)
    """Of HTTP requests: User-Agent, Referer, Cookie, Authorization and others. They replace all that there are. Only
    User-Agent, Referer, Origin, Accept and Accept-Language are sent to other servers than that of the address. Shown
    with ``***`` instead of values, which in a change means the values that the task has."""
    flash_ver: ConnectText | None = None
    """Of RTMP's connect: ``flashVer``, instead of ours."""
    tc_url: ConnectText | None = Field(None, repr=False)
    """The same: ``tcUrl``, instead of the address up to the application."""
    swf_url: ConnectText | None = Field(None, repr=False)
    """The same: ``swfUrl``; without it a destination is told ``tcUrl`` here, too, as by OBS, and a source nothing."""
    page_url: ConnectText | None = Field(None, repr=False)
    """The same: ``pageUrl``; without it none is sent."""
    keep_drift: Switch | None = None
    """Of live sources: sound stays as it is stamped, though its clock drifts against the picture's; false (the default)
    keeps it in step."""
    segments_behind: Annotated[int, Field(ge=0, le=MAX_SEGMENTS_BEHIND)] | None = None
    """Of live HLS: a session begins with so many of the segments that are listed, the latest; 0 (the default): with
    three. More is safer from servers that lag, and later."""
    max_kbps: Annotated[int, Field(ge=0, le=MAX_KBPS)] | None = None
    """Of live HLS with several variants: the best is played whose bandwidth is no higher, or else the lowest; 0 (the
    default): the best."""
    rotate_s: Annotated[int, Field(ge=0, le=MAX_ROTATE_S)] | None = None
    """Of destinations: end the publish session after so many seconds, 60 at least, and begin the next one where it
    ended, at a keyframe; 0 (the default) keeps it for as long as it lasts."""
    overlap: Switch | None = None
    """Of RTMP and SRT destinations: they take a second publisher of the stream. Then a worker that is drained publishes
    until the next one does, and nothing is missing; false (the default): it stops first."""


class SeriesBody(Body):
    """Windows that recur. The first is the task's, or comes after it."""

    rule: Annotated[str, Field(min_length=1, max_length=MAX_RULE_CHARS)]
    """RFC 5545's RRULE, as ``FREQ=WEEKLY;BYDAY=MO,WE``: daily, weekly, monthly or yearly."""
    time_zone: Annotated[str, Field(min_length=1, max_length=64)]
    """IANA name, as ``Europe/Berlin``: each window begins and ends by its clocks."""
    exdates: Annotated[list[LocalTime], Field(max_length=MAX_DATES)] = []
    """Starts of windows to leave out, by these clocks, as ``2026-12-24T20:00:00``."""
    rdates: Annotated[list[LocalTime], Field(max_length=MAX_DATES)] = []
    """Starts of windows to add."""
    slate_between: Switch = False
    """Send the slate between the windows, in one publish session, instead of an end after each window."""


class DestinationBody(Body):
    """One of several destinations. In a change, what is not given stays; null clears latency, options and
    backup_of."""

    to: Address | ServerBody | None = None
    """An address, or server and key. Sent back as it was shown, with ``***``, it means the one that it has."""
    name: Annotated[str, Field(max_length=NAME.max_chars, pattern=NO_NUL)] | None = None
    """What people call it, such as the platform's name."""
    enabled: Switch | None = None
    """Whether it is pushed to. Switching it touches no other destination."""
    latency: Latency | None = None
    """As of the task; without it, that of the task."""
    options: OptionsBody | None = None
    """As ``destination_options``."""
    backup_of: DestinationId | None = None
    """The id of one before it: both are sent the same media with the same stamps. Both have to be RTMP."""


class ListedDestination(DestinationBody):
    """A destination in the list of all."""

    id: DestinationId | None = None
    """Which one of the task's; without it, a new one, which gets the lowest number that is free."""


class WatermarkBody(Body):
    """A picture over the video. When a task that has one is changed, fields that are not given stay."""

    picture: str | None = None
    """``data:image/png;base64,...`` or ``image/jpeg``, at most 2 MB."""
    x: Part | None = None
    y: Part | None = None
    ratio: Part | None = None


class InputBody(Body):
    """What is shown when what comes before it in order cannot be."""

    kind: Kind
    sources: Annotated[list[SourceBody], Field(min_length=1, max_length=MAX_ITEMS)]
    """One for a live input; a list is played without end."""
    warm: Switch = False
    """Of a live input: pull it all the time, so that it is on air at once."""
    options: OptionsBody | None = None
    """As ``source_options``. In a change, what is not given stays for an input with the same addresses; null clears
    them."""


class SlateBody(Body):
    """What is shown while no input can be. In a change, what is not given stays, unless the kind is another."""

    kind: SlateKind | None = None
    """``card`` (the default): title and text; ``picture``; ``color``; ``clip``: a file, again and again; or
    ``last_frame``: the last keyframe that was on air."""
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] | None = None
    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] | None = None
    color: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")] | None = None
    """Of the ground, as ``#rrggbb``."""
    picture: str | None = None
    """``data:image/png;base64,...`` or ``image/jpeg``, at most 256 KiB."""
    clip: Address | None = None
    """Address of a file."""


class SwitchingBody(Body):
    """When another input comes on air by itself. In a change, what is not given stays."""

    switch_after_s: Annotated[float, Strict(), Field(ge=LEAST_SWITCH_S, le=MOST_SWITCH_S)] | None = None
    """An input is down after so long without media; 3 unless given."""
    return_after_s: Annotated[float, Strict(), Field(ge=0, le=MOST_SWITCH_S)] | None = None
    """A preferred input is shown again after it has been well for so long; 30 unless given."""
    returns: Switch | None = None
    """False: only by hand."""
    normalize: str | None = None
    """How inputs that are unlike become one stream. ``copy`` (the default): as they are, with new headers. ``first``:
    what differs from the first input on air in codec, size or sound is encoded to its form; ``1280x720``: the same, and
    the picture has that size."""
