"""Writes the pages of docs/reference that are made from the code: settings and states. A test compares them.

Run it as: .venv/bin/python scripts/reference.py
"""

from pathlib import Path

from pydantic import SecretStr

from streamferry.config import PREFIX, Settings
from streamferry.control.actions import ALLOWED, Action
from streamferry.control.model import ApiStatus

FOLDER = Path(__file__).parents[1] / "docs/reference"
#: Settings that have a flag of `streamferry serve`; secrets and what is rarely changed have none.
FLAGS = ("data_dir", "host", "port", "store", "egress", "files", "workers", "capacity")
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
by hand (`streamferry worker`) read the same settings, and need the store and the seal key of the service.

| in the file | in the environment | flag | default | what it is |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def states_page() -> str:
    """The picture of a task's states, and the table it is made from."""
    arrows = ["    [*] --> by_the_clock: create"]
    for status in ApiStatus:
        by_clock = [action.value for action in (Action.CONTINUE, Action.RELAUNCH) if status in ALLOWED[action]]
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

Restart is another name of continue. An update leaves a disabled task disabled and puts any other where the clock says;
a list that was played out stays ended unless its sources, its loops or its window were changed. An action in a state in
which it is not allowed changes nothing and is answered with an error.
"""


def _default_of(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "`~/.local/share/streamferry`"
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    return f"`{default}`" if default not in ("", (), None) else ""


PAGES = {"settings.md": settings_page, "states.md": states_page}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
