"""Several destinations between the API's form and ours: an extension of ours. A task with one is shown as ever."""

from typing import Any

from streamferry.reasons import Code
from streamferry.relay.spec import Latency
from streamferry.store.records import TaskRecord
from streamferry.tasks.destinations import DestinationDraft, ServerAndKey
from streamferry.tasks.errors import InvalidField
from streamferry.web.compat.schemas import DestinationBody


def read_destination(body: DestinationBody) -> DestinationDraft:
    """A draft of one. Raises InvalidField."""
    if body.Enabled not in (None, 0, 1):
        raise InvalidField("Destinations.Enabled", Code.FIELD_API_SWITCH)
    return DestinationDraft(
        body.Id,
        body.DstAddr if body.Server is None else ServerAndKey(body.Server, body.Key or ""),
        body.Name,
        None if body.Enabled is None else body.Enabled == 1,
        None if body.Latency is None else Latency(body.Latency),
        backup_of=body.BackupOf,
    )


def show_destinations(record: TaskRecord) -> dict[str, Any]:
    """The field of a list item, if it has several."""
    if not record.spec.others:
        return {}
    runs = {one.id: one for one in record.destinations}
    shown = []
    for one in record.spec.destinations:
        item: dict[str, Any] = {
            "Id": one.id,
            "DstAddr": one.url.redacted,
            "Name": one.name,
            "Enabled": int(one.enabled),
        }
        if one.latency is not None:
            item["Latency"] = one.latency.value
        if one.backup_of is not None:
            item["BackupOf"] = one.backup_of
        if one.enabled and (run := runs.get(one.id)) is not None:
            item["Run"] = {
                "State": run.state.value,
                "KbpsOut": run.kbps_out,
                "DroppedTags": run.dropped_tags,
                "Retries": run.retries,
            }
            if run.fault is not None:
                item["Run"] |= {"Fault": run.fault, "Reason": str(run.why or "")}
        shown.append(item)
    return {"Destinations": shown}
