"""The same task as a request: for the SDK and for curl, ready to paste, with secrets as ``***`` to be filled in.

Both take the access key from the variables that the SDKs read.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from starlette.datastructures import URL

from streamferry.media.url import REDACTED
from streamferry.relay.inputs.policy import SWITCHING
from streamferry.tasks.draft import TaskDraft
from streamferry.tasks.texts import TEXTS
from streamferry.web.air_views import show_switching
from streamferry.web.views import DestinationView, Kind, RequestView, TaskView

#: Makes the body of the SDK's call from a task, with the compatible API's names.
SdkBody = Callable[[TaskView], dict[str, Any]]
_SDK_ACTION = "CreatePullToPushTask"


def write_request(task: TaskView, asked: URL, sdk_body: SdkBody) -> RequestView:
    """Made from the view of the task, so it cannot contain a secret. ``asked``: the address of the service."""
    service = f"{asked.scheme}://{asked.netloc}"
    sdk, rest = sdk_body(task), _rest_body(task)
    python = (
        "from streamferry.client import LiveService\n\n"
        f"service = LiveService({json.dumps(service)})  # the key is read from VOLC_ACCESSKEY and VOLC_SECRETKEY\n"
        f"print(service.create_pull_to_push_task({_as_python(sdk)}))\n"
    )
    text = json.dumps(rest, ensure_ascii=False, indent=2).replace("'", "'\\''")
    rest_at, is_json = shlex.quote(f"{service}/api/v1"), '-H "Content-Type: application/json"'
    curl = (
        f'TOKEN=$(curl -sS {rest_at}/tokens {is_json} -d @- <<END | sed \'s/.*"token":"\\([^"]*\\).*/\\1/\'\n'
        '{"access_key_id": "$VOLC_ACCESSKEY", "secret_access_key": "$VOLC_SECRETKEY"}\nEND\n)\n'
        f'curl -sS {rest_at}/tasks -H "Authorization: Bearer $TOKEN" {is_json} \\\n'
        f"  -d '{text}'\n"
    )
    return RequestView(
        action=_SDK_ACTION,
        body=sdk,
        rest_body=rest,
        python=python,
        curl=curl,
        is_complete="***" not in json.dumps(rest) and task.watermark is None,
    )


def _rest_body(task: TaskView) -> dict[str, Any]:
    body = task.model_dump(mode="json", include={one.name for one in fields(TaskDraft)} | TEXTS.keys())
    if task.kind is Kind.LIVE:
        del body["loops"]
    if len(task.destinations) > 1:
        del body["destination"]
        body.pop("destination_options", None)
        body["destinations"] = [_rest_destination(one) for one in task.destinations]
    else:
        body.pop("destinations", None)
    if task.destination_server is not None and "destination" in body:
        body["destination"] = {"server": task.destination_server, "key": REDACTED}
    if mark := task.watermark:
        body["watermark"] = {
            "picture": f"data:{mark.media_type};base64,***",
            "x": mark.x,
            "y": mark.y,
            "ratio": mark.ratio,
        }
    if task.slate is not None:
        body["slate"] = {name: part for name, part in body["slate"].items() if part}
        if task.slate.picture is not None:
            body["slate"]["picture"] = f"{task.slate.picture.partition(';')[0]};base64,***"
    if task.switching == show_switching(SWITCHING):
        del body["switching"]
    return {name: value for name, value in body.items() if value not in ("", None, {}, [])}


def _rest_destination(one: DestinationView) -> dict[str, Any]:
    body = one.model_dump(mode="json", exclude={"run", "server"})
    if one.server is not None:
        body["to"] = {"server": one.server, "key": REDACTED}
    if one.enabled:
        del body["enabled"]
    return {name: value for name, value in body.items() if value not in ("", None, {})}


def _as_python(value: object, indent: str = "") -> str:
    """A literal with one entry per line; numbers, texts, lists and objects only."""
    inner = indent + "    "
    if isinstance(value, dict):
        lines = "".join(f"{inner}{json.dumps(key)}: {_as_python(one, inner)},\n" for key, one in value.items())
        return f"{{\n{lines}{indent}}}"
    if isinstance(value, list):
        lines = "".join(f"{inner}{_as_python(one, inner)},\n" for one in value)
        return f"[\n{lines}{indent}]"
    return json.dumps(value, ensure_ascii=False)
