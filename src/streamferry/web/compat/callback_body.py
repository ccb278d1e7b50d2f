"""What is posted: the JSON of one callback, with the compatible API's names, as CallbackURL is its field.

docs/reference/callbacks.md is made from this model, and a test compares the two.
"""

from pydantic import BaseModel, ConfigDict, Field

from streamferry.media import errors
from streamferry.relay import status
from streamferry.store.records import DeliveryRecord
from streamferry.tasks.model import ApiStatus, CallbackEvent
from streamferry.web.compat.task_bodies import CHINA, STATUS_WORDS


class PlayheadBody(BaseModel):
    """A position in a list of files."""

    Loop: int = Field(description="Counts from 0.")
    Item: int = Field(description="Index of the file in the list, from 0.")
    PositionMs: int = Field(description="Milliseconds from the file's start.")


class CallbackBody(BaseModel):
    """What happened to a task."""

    model_config = ConfigDict(title="Callback", json_schema_serialization_defaults_required=True)

    EventId: str = Field(description="The same for every attempt, as in the header webhook-id.")
    Sequence: int = Field(description="Counts the callbacks of a task from 1. A gap is a callback that was given up.")
    Time: str = Field(description="When it happened, RFC 3339 to the millisecond.")
    Event: CallbackEvent = Field(description="What happened.")
    TaskId: str = Field(description="32 lower-case hex digits.")
    Title: str = Field(description="Title of the task at that time.")
    Status: str = Field(description="Status of the task then, as lists show it: 停用, 未开始, 生效中 or 已结束.")
    TaskStatus: ApiStatus = Field(description="The same as a number: 0 停用, 1 未开始, 2 生效中, 3 已结束.")
    State: status.State = Field(description="What its run was doing.")
    Playhead: PlayheadBody | None = Field(
        None, description="How far a list had played; in an item event, the item. Null: nothing was played."
    )
    Fault: errors.Fault | None = Field(None, description="Who has to act, when something is wrong.")
    Reason: str | None = Field(None, description="What is wrong, in a sentence without secrets.")
    Attempt: int = Field(0, description="How often the run has lost an end and tried to reconnect.")
    Final: bool = Field(
        False, description="Whether the task will do nothing more unless somebody starts or changes it."
    )
    From: str | None = Field(
        None, description="In `switched`: what was on air, as `input 0`, which is the source, `slate` or `insert`."
    )
    To: str | None = Field(None, description="The same: what is on air now; `Reason` says why.")
    File: str | None = Field(
        None,
        description="In `switched`: the file that was inserted, is over or cannot be played, without secrets.",
    )
    Content: str | None = Field(
        None, description="In `content_found` and `content_over`: what is wrong, as `black`; `Reason` has words for it."
    )
    ItemsUntold: int = Field(0, description="Item events left out since the last one, because the items are short.")
    Destination: int | None = Field(
        None, description="Of several destinations the one that it is about. Null: the task has one."
    )
    DestinationState: status.State | None = Field(
        None, description="What is being done there, in the event `destination_changed`."
    )


def serialize(record: DeliveryRecord) -> str:
    """The body; the same bytes at each call."""
    return body_of(record).model_dump_json()


def body_of(record: DeliveryRecord) -> CallbackBody:
    """The body of an event's callback, from the snapshot that was stored with it."""
    detail = record.detail
    place = detail.get("playhead")
    shown = ApiStatus(detail["status"])
    return CallbackBody(
        EventId=record.event_id,
        Sequence=record.number,
        Time=record.at.astimezone(CHINA).isoformat(timespec="milliseconds"),
        Event=record.event,
        TaskId=record.task_id,
        Title=detail["title"],
        Status=STATUS_WORDS[shown],
        TaskStatus=shown,
        State=status.State(detail["state"]),
        Playhead=PlayheadBody(Loop=place["loop"], Item=place["item"], PositionMs=place["position_ms"])
        if place
        else None,
        Fault=detail.get("fault"),
        Reason=detail.get("reason"),
        Attempt=detail.get("retries", 0),
        Final=detail.get("final", False),
        From=detail.get("from"),
        To=detail.get("to"),
        File=detail.get("file") if record.event is CallbackEvent.SWITCHED else None,
        Content=detail.get("content"),
        ItemsUntold=detail.get("untold", 0),
        Destination=detail.get("destination"),
        DestinationState=detail.get("destination_state"),
    )
