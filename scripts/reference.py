"""Writes the pages of docs/reference, and the types of the REST client, which are made from the code. A test compares
them.

Run it as: .venv/bin/python scripts/reference.py
"""

import functools
import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from pydantic import SecretStr
from reference_api import api_page
from reference_cli import cli_page
from reference_client import MODULES, write_module
from reference_table import table

from streamferry.config import PREFIX, Settings
from streamferry.control.actions import ALLOWED, Action, Actions
from streamferry.control.callbacks.dispatcher import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    PLACES_OF_FAILING,
    PLACES_OF_HOST,
    decide_pause_ms,
)
from streamferry.control.callbacks.sender import FAILURES, LONGEST_WAIT_S, REFUSALS, SEND_S
from streamferry.store import Seal, Store
from streamferry.tasks.model import ApiStatus, CallbackEvent
from streamferry.web.compat.callback_body import CallbackBody
from streamferry.web.compat.sample import write_body
from streamferry.web.metrics import FAMILIES
from streamferry.web.rest import docs as rest_docs
from streamferry.web.rest.app import PREFIX as REST
from streamferry.web.rest.app import build_rest
from streamferry.web.rest.parts import RestSettings
from streamferry.web.rest.rest_errors import STATUSES
from streamferry.worker.items import BURST, EVERY_S
from streamferry.worker.worker import LEASE_S, REPORT_S

FOLDER = Path(__file__).parents[1] / "docs/reference"
CLIENT = Path(__file__).parents[1] / "src/streamferry/client"
#: Settings that have a flag of `streamferry serve`; secrets and what is rarely changed have none.
FLAGS = ("data_dir", "host", "port", "store", "egress", "files", "workers", "capacity", "cache_dir", "ffmpeg")
#: Their defaults depend on who runs the service.
_FOLDERS = {"data_dir": "~/.local/share/streamferry", "cache_dir": "~/.cache/streamferry"}
_NAMES = {
    ApiStatus.DISABLED: "disabled (停用)",
    ApiStatus.NOT_STARTED: "not started (未开始)",
    ApiStatus.ACTIVE: "active (生效中)",
    ApiStatus.ENDED: "ended (已结束)",
}


def settings_page() -> str:
    """The table of all settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        flag = f"`--{name.replace('_', '-')}`" if name in FLAGS else ""
        rows.append(f"| `{name}` | `{PREFIX}{name.upper()}` | {flag} | {_default_of(name)} | {field.description} |")
    return f"""# Settings

Made by `scripts/reference.py` from `src/streamferry/config.py`.

A flag of `streamferry serve` wins over the environment, the environment over the file, the file over the default.
The file is TOML with the names of the first column; `--config` or `{PREFIX}CONFIG` names it. Workers that are started
by hand (`streamferry worker`) read the same settings, and need the service's store and seal key.

| in the file | in the environment | flag | default | what it is |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def states_page() -> str:
    """The picture of a task's states, and the table it is made from."""
    arrows = ["    [*] --> by_the_clock: create"]
    for status in ApiStatus:
        by_clock = [action.value for action in (Action.CONTINUE, Action.START_OVER) if status in ALLOWED[action]]
        if by_clock:
            arrows.append(f"    {status.name} --> by_the_clock: {', '.join(by_clock)}")
        if status in ALLOWED[Action.STOP]:
            arrows.append(f"    {status.name} --> DISABLED: stop")
        if status in ALLOWED[Action.DELETE]:
            arrows.append(f"    {status.name} --> [*]: delete")
    names = "\n".join(f'    state "{name}" as {status.name}' for status, name in _NAMES.items())
    rows = "\n".join(
        f"| {action.value} | {' | '.join('yes' if status in ALLOWED[action] else '' for status in ApiStatus)} |"
        for action in Action
    )
    return f"""# States of a task

Made by `scripts/reference.py` from `src/streamferry/control/actions.py`.

```mermaid
stateDiagram-v2
{names}
    state by_the_clock <<choice>>
    by_the_clock --> NOT_STARTED: before StartTime
    by_the_clock --> ACTIVE: inside the window
    by_the_clock --> ENDED: after EndTime
    NOT_STARTED --> ACTIVE: StartTime
    ACTIVE --> ENDED: EndTime, or a finite list was played out
{chr(10).join(arrows)}
```

| asked for | {" | ".join(_NAMES.values())} |
|---|{"---|" * len(_NAMES)}
{rows}

Restart is an older name of continue, and relaunch of start over. An update leaves a disabled task disabled and puts any
other where the clock says; a list that was played out stays ended unless its sources, its loops or its window were
changed. An action that is not allowed in the task's state changes nothing and is answered with an error.

## What a run does

Inside its window a task has a state: `waiting`, `preparing`, `connecting`, `streaming`, `stalled`, `retrying`, and at
the end `stopped`, `ended` or `failed`. It is computed from media that left and from bytes that the destination
acknowledged. A worker reports twice a second. If it has not reported for 3 s, nobody knows whether its tasks
stream: they are shown as `stalled`, fault `service`, "its worker has not been heard of for N s", without a rate and in
trouble, until it reports again or another worker takes them. The same is true after an outage of the store, until the
workers have reached it. There is no event or callback for this: it is what is known, not something that happened.
Counters and rates are of the last five seconds.

A task also has a **trouble** (`run.trouble` of the REST API): whose fault it is, the reason, how many tries, and since
when. It begins with the first failure and ends when the task has streamed for 10 s without a break, so it stays
between two tries, whatever the state is, and across restarts of worker and service. A stop, starting over
and the end of the window end it. Trouble means this everywhere: the overview, the filter *In trouble*
(`in_trouble` of the REST API), the lists, the command line, `streamferry_tasks_in_trouble`. A task that streams again
but not yet for 10 s is *recovering*.
"""


def metrics_page() -> str:
    """The table of all metrics."""
    rows = [(f"`{one.full_name}`", one.kind.value, ", ".join(one.labels), one.text) for one in FAMILIES]
    return f"""# Metrics

Made by `scripts/reference.py` from `src/streamferry/web/metrics.py`.

`GET /metrics` is in the text form of Prometheus. The setting `metrics_token` asks for a bearer token; without it the
page is open to anyone who can reach the port. Metrics that begin with `streamferry_task_` are there only if the setting
`metrics_per_task` is on. The counters of a worker start at 0 with its process, which then has a new name: take `rate()`
first, then add up. `deploy/grafana.json` is a dashboard for them.

{table(("name", "kind", "labels", "what it is"), rows)}
"""


def _default_of(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return f"`{_FOLDERS[name]}`"
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(default, bool):
        default = str(default).lower()
    elif isinstance(default, tuple):
        default = ",".join(map(str, default))
    return f"`{default}`" if default not in ("", (), None) else ""


_EVENTS: dict[CallbackEvent, str] = {
    CallbackEvent.STARTING: "A worker has taken the task and begins: at StartTime, after a restart, after a failure.",
    CallbackEvent.STREAMING: "Media is being sent, and the destination takes it.",
    CallbackEvent.STALLED: "Both ends are connected, but nothing moves. `Fault` says at which end.",
    CallbackEvent.RETRYING: "An end or the worker was lost, and is being replaced; `Reason` says why, `Attempt` "
    "how often. Sent again when the reason changes.",
    CallbackEvent.ITEM_STARTED: "A file of the list started to play: `Playhead` says which.",
    CallbackEvent.ITEM_FINISHED: "It was played to its end, or gave way to another list.",
    CallbackEvent.ITEM_FAILED: "It could not be played, or not to its end; the list continues.",
    CallbackEvent.DESTINATION_CHANGED: "Of several destinations another than the first: `Destination` says which, and "
    "`DestinationState` what is being done there.",
    CallbackEvent.STOPPED: "The task was stopped. Not `Final`: its window was moved into the future.",
    CallbackEvent.FAILED: "The run ended with a fault that an immediate retry would not fix. Not `Final`: it begins "
    "again in a minute, as the file or the stream may be there then.",
    CallbackEvent.ENDED: "EndTime has come, or a finite list has played to its end.",
    CallbackEvent.DELETED: "The task was deleted.",
    CallbackEvent.CONTENT_FOUND: "Something is wrong with the content of a task that is watched.",
    CallbackEvent.CONTENT_OVER: "It is not wrong any more, or nothing is sent that could be looked at.",
    CallbackEvent.SWITCHED: "Something else came on air: an input, the slate, or a file that was inserted.",
}


def _ordinal(count: int) -> str:
    return f"{count}th"


def _minutes(attempts: int) -> str:
    """From the first attempt to the last of so many."""
    seconds = sum(decide_pause_ms(failures, 0.5) for failures in range(1, attempts)) / 1000
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def callbacks_page() -> str:
    """What a receiver needs to know."""
    events = "\n".join(f"| `{event}` | {_EVENTS[event]} |" for event in CallbackEvent)
    fields = "\n".join(f"| `{name}` | {field.description} |" for name, field in CallbackBody.model_fields.items())
    schema = json.dumps(CallbackBody.model_json_schema(mode="serialization"), ensure_ascii=False, indent=2)
    return f"""# Callbacks

Made by `scripts/reference.py` from `src/streamferry/control/callbacks`.

What happens to a task with a `CallbackURL` (http or https) is reported by POST to that address: one JSON object with
the fields below. Any status from 200 to 299 within {SEND_S:g} s means that the callback was accepted.

- **At least once.** A callback that was not accepted is sent again for a day, with the same id and body: after about
  {FIRST_PAUSE_S:g} s, then after twice as long each time, at most {LONGEST_PAUSE_S / 60:g} minutes. It does not matter
  what is restarted or killed meanwhile. To ignore duplicates, remember the ids you have seen, or compare `Sequence`.
- **Not lost once it is written.** A change and its callback are written to the store in one transaction: a change of
  state at once, a step of a list within {REPORT_S:g} s, a change by an API call before the call is answered. From then
  on not even `kill -9` of everything loses the callback or changes its order: it is delivered, given up or dropped
  as this page says. Only a power cut may lose what a worker has just written to SQLite, because its commits do not
  wait for the disk there.
- **Until then it is only in a worker's memory.** What happened in the last {REPORT_S:g} s before a worker is killed, or
  before the task is started over or deleted, may not be reported. A worker that cannot reach the store for
  {LEASE_S:g} s stops its tasks, and what it has not written by then is not reported either. For the tasks of a lost
  worker `retrying` is sent, and `starting` when a worker has taken them again.
- **In order.** The callbacks of one task are sent one at a time; the next is sent when the previous one was accepted or
  given up. Other tasks' callbacks do not wait for it.
- **How long a callback is retried** depends on the answer:

  | answer | what happens |
  |---|---|
  | none in time, 408, 425, 429, 502, 503, 504 | tried for a day: then all that have waited for a day are given up |
  | any other 4xx, and redirects | given up at the {_ordinal(REFUSALS)} such answer, after {_minutes(REFUSALS)} |
  | any other 5xx | given up at the {_ordinal(FAILURES)} such answer, after {_minutes(FAILURES)} |
  | 410 | the address has ended: all that wait are given up, and nothing more is sent |

  When a callback is given up, the next one is sent, so one that a receiver refuses does not hold up the others. An
  address that has ended is used again when the task is updated, or one of its callbacks is replayed. `Retry-After`, in
  seconds or as a date, is obeyed up to {LONGEST_WAIT_S / 3600:.0f} h.
- **Callbacks that were given up** are kept for `keep_dead_callbacks_days`, with the reason, and can be listed, replayed
  or dropped: `streamferry callbacks list --state dead`, `replay`, `drop`.
- **To one host** {PLACES_OF_HOST} are sent at a time, of which {PLACES_OF_FAILING} to addresses whose last attempt
  failed: a path that is slow or refuses leaves the rest to the other paths.
- **A new CallbackURL** gets what still waits, at once. If it is removed, what waits is dropped.
- **Only addresses that tasks may reach** are called: the setting `egress` holds for callbacks too, by default without
  this machine itself. Redirects are not followed. Authorities of `ca_file` are trusted for https.
- **Lists of short files do not flood the receiver.** Each task may report {BURST} items at once and one more every
  {EVERY_S:g} s; an item is reported from start to end or not at all, and `ItemsUntold` counts the events left out
  ([why](../decisions/0008-callbacks.md)). Files that last a minute or more are always reported.

## Headers

They follow [Standard Webhooks](https://www.standardwebhooks.com); most languages have a library for them.

| header | what it is |
|---|---|
| `webhook-id` | `EventId` |
| `webhook-timestamp` | Unix seconds of this attempt |
| `webhook-signature` | `v1,` and the signature in base64; two, separated by a space, for a day after a new secret |

The secret is printed by `streamferry callbacks secret`; `--replace` makes a new one. To verify a callback without a
library: take the bytes of `webhook-id`, a dot, `webhook-timestamp`, a dot, and the body as received; the signature is
their HMAC-SHA256 with the key that follows `whsec_` in base64. Compare in constant time, and refuse timestamps
that are more than five minutes off. With the Python library:

```python
from standardwebhooks import Webhook

event = Webhook("whsec_...").verify(body, headers)  # raises WebhookVerificationError
```

## Events

| `Event` | what happened |
|---|---|
{events}

## Body

All fields are always present; more may be added. They describe the task when the event happened, not when it is
delivered.

| field | what it is |
|---|---|
{fields}

`Playhead` holds `Loop` and `Item`, which count from 0, and `PositionMs`, from the file's start.

```json
{schema}
```
"""


@functools.cache
def _rest_document() -> dict[str, Any]:
    store = Store("sqlite:///:memory:", Seal(Fernet.generate_key().decode()))
    return build_rest(Actions(store), store, RestSettings(sdk_body=write_body)).openapi()


def client_types(name: str) -> str:
    """The text of a module of the client."""
    return write_module(_rest_document(), name)


def rest_page() -> str:
    """Every operation and every model of REST, from the document that it gives itself."""
    document = _rest_document()
    operations = []
    for one in rest_docs.operations(document):
        takes = f" Takes `{one.takes}`." if one.takes else ""
        given = ", ".join(f"`{row.name}`{'*' if row.is_required else ''}" for row in one.parameters)
        parameters = f" Parameters: {given}." if given else ""
        gives = f"{one.status} `{one.gives}`" if one.gives else one.status
        operations.append((f"`{one.method} {one.path}`", gives, f"{one.about}{takes}{parameters}"))
    models = []
    for name, about, fields in rest_docs.models(document):
        if name in ("HTTPValidationError", "ValidationError"):
            continue
        rows = [(f"`{row.name}`{'*' if row.is_required else ''}", row.kind, row.about) for row in fields]
        models.append(f"### {name}\n\n{about}\n" + (f"\n{table(('field', 'type', ''), rows)}\n" if rows else ""))
    return f"""# REST

Made by `scripts/reference.py` from the OpenAPI document of `src/streamferry/web/rest`, which a running service
gives at `{REST}/openapi.json` and as a page at `{REST}/docs`.

All paths are below `{REST}`. Every call but the first needs `Authorization: Bearer TOKEN`:

    curl -sS $STREAMFERRY_URL{REST}/tokens -H 'Content-Type: application/json' \\
      -d '{{"access_key_id": "...", "secret_access_key": "..."}}'

A token ends when its time is over, when its key is disabled, and when the key gets another secret. A read-only key
(`streamferry key create --read-only`) is good for `GET` only. After five failures in a row from one address, the key is
refused from there for 15 s, then for twice as long each time, up to 15 minutes.

Times are ISO 8601 with an offset. Addresses are shown redacted; one that is sent back as it was shown means the one
that the task has ([decision 0005](../decisions/0005-what-a-list-shows-of-an-address.md)). A body with a field that is
not listed is refused. Every error is a `Refusal`: a code, a sentence, and the field that is wrong.

{table(("status", "when"), [(str(status), words) for status, words in STATUSES.items()])}

`GET /events/stream` is a stream of server-sent events. It ends only with the service; a client that reconnects with
`Last-Event-ID`, as a browser's `EventSource` does, gets what happened meanwhile. `GET /events?after=` gives the same
for polling.

## Operations

A star marks what is required.

{table(("", "gives", "what it does"), operations)}

## Models

{chr(10).join(models).rstrip()}
"""


PAGES = {
    "cli.md": cli_page,
    "settings.md": settings_page,
    "states.md": states_page,
    "api.md": api_page,
    "metrics.md": metrics_page,
    "callbacks.md": callbacks_page,
    "rest.md": rest_page,
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
    for name in MODULES:
        (CLIENT / f"{name}.py").write_text(client_types(name))
