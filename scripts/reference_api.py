"""The page of the compatible API: every action with every field, every field of the answers, and every error.

What a field takes is read from the schemas; what an action does and what an answer contains is described here.
"""

from typing import Any

from reference_table import table

from streamferry.relay import State
from streamferry.web.compat.api_errors import ErrorCode
from streamferry.web.compat.operations import OPERATIONS, VERSION
from streamferry.web.compat.schemas import Body, Tag, TaskBody, UpdateTask, VodSource, WatermarkBody
from streamferry.web.rate_limits import Kind

#: Action -> what it does; then, where it answers with a result, the fields of that.
_ACTIONS: dict[str, str] = {
    "CreatePullToPushTask": "Creates an enabled task.",
    "UpdatePullToPushTask": "Changes a task, even while it runs ([how](../howto/tasks.md)); fields not given stay. "
    "Takes the fields of CreatePullToPushTask, all of them optional, and these:",
    "DeletePullToPushTask": "Deletes a task; a running one is stopped first.",
    "StopPullToPushTask": "Disables a task that has not ended. A list keeps its position.",
    "RestartPullToPushTask": "The older name of ContinuePullToPushTask.",
    "ContinuePullToPushTask": "Enables a disabled task. A list resumes as its ContinueStrategy says.",
    "RelaunchPullToPushTask": "Enables a task if necessary, and plays it from the beginning.",
    "ListPullToPushTask": "A page of tasks, newest first. With GET the fields are in the query.",
    "ListPullToPushTaskV2": "The same for several groups.",
    "CreatePullToPushGroup": "Creates a group.",
    "UpdatePullToPushGroup": "Replaces the labels of a group.",
    "DeletePullToPushGroup": "Deletes a group without tasks. Its name may be used again.",
    "ListPullToPushGroup": "A page of groups, oldest first.",
    "DescribeLivePullToPushData": "How long tasks streamed, as measured by the workers.",
    "DescribeLivePullToPushBandwidthData": "The bandwidth pushed, as measured by the workers.",
    "DescribePullToPushBandwidthData": "The same, as the typed clients of 2023 ask for it.",
}
_PAGE_FIELDS = {
    "List": "the items of the page; see below",
    "Pagination": "`PageCur`, `PageSize`, `PageTotal` (pages), `TotalCount` (tasks)",
}
_RANGE_FIELDS = {
    "StartTime, EndTime, Aggregation": "the requested range and step",
    "App, Stream, GroupList, DetailField": "as given, if they were given",
}
_RESULTS: dict[str, dict[str, str]] = {
    "CreatePullToPushTask": {"TaskId": "32 lower-case hex digits"},
    "ListPullToPushTask": _PAGE_FIELDS,
    "ListPullToPushTaskV2": _PAGE_FIELDS,
    "ListPullToPushGroup": {
        "List": "each with `Name`, `ProjectName`, `Status` (0 usable, 1 deleted) and `Tags`; see below",
        "Total": "groups on all pages",
    },
    "DescribeLivePullToPushData": {
        **_RANGE_FIELDS,
        "TotalDuration": "minutes",
        "PullToPushDataList": "`TimeStamp` and `Value` (minutes) of every step, 0 where nothing streamed",
        "PullToPushDetailDataList": "with `DetailField` `Group` and several groups in `GroupList`: `Group`, "
        "`TotalDuration` and `PullToPushDataList` of each group that streamed",
    },
    "DescribeLivePullToPushBandwidthData": {
        **_RANGE_FIELDS,
        "PeakUpBandwidth": "Mbps, the largest of all steps",
        "BandwidthDataList": "`TimeStamp` and `UpBandwidth` (Mbps) of every step: the largest average of five minutes",
        "BandwidthDetailDataList": "with `DetailField` `Group` and several groups in `GroupList`: `Group`, "
        "`PeakUpBandwidth` and `BandwidthDataList` of each group that streamed",
    },
}
_ITEM_FIELDS = {
    "TaskId": "32 lower-case hex digits",
    "Title": "empty if there is none",
    "Type": "0 live, 1 a list of files",
    "StartTime, EndTime": "RFC 3339 with `+08:00`",
    "Status": "停用 disabled, 未开始 not started, 生效中 active, 已结束 ended: see `states.md`",
    "TaskStatus": "the same as a number: 0, 1, 2, 3",
    "SrcAddr": "of a live task",
    "SrcAddrS, OffsetS": "of a list that was given in this form",
    "VodSrcAddrs": "of a list that was given in this form: `SrcAddr`, `StartOffset`, `EndOffset`",
    "CycleMode, PlayTimes": "as given; no effect on a live source",
    "DstAddr": "where it pushes to, even if it was given as Domain, App and Stream",
    "DstAddrType": "always 2: no domain belongs to the service",
    "CallbackURL": "empty if there is none",
    "ContinueStrategy, PreDownload": "0 or 1",
    "GroupName": "the group",
    "Watermark": "if it has one: `Picture`, `RelativePosX`, `RelativePosY`, `Ratio`; after 4 MiB of pictures in a "
    "list, `data:image/png;sha256,...` stands for a picture, and may be sent back",
    "Run": f"our own: `State` ({', '.join(State)}), `KbpsOut`, `DroppedTags`, `Retries`; in trouble `Fault` and "
    "`Reason`; of a list that has begun to play `Playhead` with `Loop`, `Item` and `PositionMs`",
}
_RATES = {Kind.WRITE: "write_rate", Kind.LIST: "list_rate", Kind.USAGE: "usage_rate"}


def api_page() -> str:
    """Every action with every field, every field of the answers, and every error."""
    sections = "\n".join(_action_section(name) for name in OPERATIONS)
    errors = [(row.status, f"`{row.code}`", row.number, row.message) for row in (code.value for code in ErrorCode)]
    return f"""# The API

Made by `scripts/reference.py` from `src/streamferry/web/compat`. Where the documents of the cloud's API leave a gap,
[Decision 0006](../decisions/0006-where-the-api-is-stricter-or-kinder.md) says how it is filled.

Requests go to `/?Action=<action>&Version={VERSION}`, signed with signature V4 (`HMAC-SHA256`, service `live`, any
region) in the `Authorization` header, or for GET in the query. Bodies are JSON objects of at most 4 MiB. Null, an
empty string and an empty list mean "not given"; unknown fields are ignored; a wrong JSON type is
`InvalidParam.BindError`, a value that breaks a rule `InvalidParam`, both with the field's name. A key may call as
often as the settings say; actions counted by `write_rate` are refused (`AccessDenied`) to a read-only key.

An answer has `ResponseMetadata` with `RequestId`, `Action`, `Version`, `Service` and `Region`, and `Result` where the
tables below show one. An error has no `Result`; its metadata has an `Error` with `CodeN`, `Code` and `Message`.

{sections}
## Nested objects

{_objects()}
## Items of a list

Addresses are shown without user info, query values and stream keys
([decision 0005](../decisions/0005-what-a-list-shows-of-an-address.md)).

{table(("field", "what it is"), ((_names(name), text) for name, text in _ITEM_FIELDS.items()))}

## Errors

{table(("HTTP", "Code", "CodeN", "Message"), errors)}
"""


def _action_section(action: str) -> str:
    operation = OPERATIONS[action]
    parts = [f"## {action}", _ACTIONS[action]]
    body = operation.body
    names = set(body.model_fields) - (set(TaskBody.model_fields) - {"GroupName"} if body is UpdateTask else set())
    parts.append(f"{' or '.join(operation.methods)}, counted by `{_RATES[operation.kind]}`.")
    parts.append(_fields_table(body, names))
    if action in _RESULTS:
        rows = ((_names(name), text) for name, text in _RESULTS[action].items())
        parts.append(table(("in Result", "what it is"), rows))
    return "\n\n".join(parts) + "\n"


def _objects() -> str:
    named = {"VodSrcAddrs": VodSource, "Watermark": WatermarkBody, "Tags": Tag}
    return "\n".join(f"`{name}`\n\n{_fields_table(body, set(body.model_fields))}\n" for name, body in named.items())


def _fields_table(body: type[Body], names: set[str]) -> str:
    properties = body.model_json_schema()["properties"]
    rows = [
        (f"`{name}`", _json_type(properties[name]), "yes" if field.is_required() else "", _rule_of(body, name))
        for name, field in body.model_fields.items()
        if name in names
    ]
    return table(("field", "type", "required", "rule"), rows)


def _rule_of(body: type[Body], name: str) -> str:
    """The field's description, or that of the class that it is inherited from. KeyError if nobody has said it."""
    for one in body.__mro__:
        field = getattr(one, "model_fields", {}).get(name)
        if field is not None and field.description:
            return str(field.description)
    raise KeyError(f"{body.__name__}.{name} has no description")


def _json_type(schema: dict[str, Any]) -> str:
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return _json_type(one)
    if schema.get("type") == "array":
        return f"list of {_json_type(schema['items'])}"
    return str(schema.get("type", "object"))


def _names(text: str) -> str:
    return ", ".join(f"`{name}`" for name in text.split(", "))
