"""How the servers of further inputs are reached and what they are told: the options of ``task create`` and ``update``.

Each is for all further inputs, or, with ``NUMBER=`` before it, for one: 1 is the first, as in ``task switch``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from streamferry.cli.added_options import add_options
from streamferry.cli.peer_arguments import read_connect, read_headers

_ONE = re.compile(r"(\d+)=(.*)", re.DOTALL)


def _option(name: str, metavar: str, text: str) -> Any:
    return Annotated[
        list[str] | None,
        typer.Option(
            f"--input-{name}",
            metavar=f"[NUMBER=]{metavar}",
            show_default=False,
            help=f"{text} further inputs, or of one of them; repeat it.",
        ),
    ]


_OPTIONS = {
    "input_proxy": _option("proxy", "URL", "http://, socks5:// or socks5h:// proxy on the way to the servers of"),
    "input_bind": _option("bind", "IP", "Address of the worker's machine to connect from, of"),
    "input_header": _option("header", "NAME: VALUE", "Header of HTTP requests, or @FILE with one a line, of"),
    "input_connect": _option("connect", "NAME=VALUE", "Of RTMP's connect: flashVer, tcUrl, swfUrl, pageUrl, of"),
    "input_segments_behind": _option("segments-behind", "N", "How many segments before the end live HLS begins, of"),
    "input_max_kbps": _option("max-kbps", "KBPS", "The best variant of live HLS with no more is played, of"),
    "input_keep_drift": _option("keep-drift", "on|off", "Leave sound as it is stamped, though its clock drifts, of"),
}


def takes_input_peers(command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, for its keyword parameter ``**texts``."""
    return add_options(command, _OPTIONS)


def give_input_options(arguments: dict[str, Any], body: dict[str, Any], present: Mapping[str, Any]) -> None:
    """Take these options out of the arguments of a command, and put them into the ``inputs`` of the body: those that it
    has, or else those of the task as it is ``present``. Raises ValueError naming the option."""
    given = {name: arguments.pop(name, None) or [] for name in _OPTIONS}
    if not any(given.values()):
        return
    if "inputs" not in body:
        shown = present.get("inputs", [])
        body["inputs"] = [{name: one[name] for name in ("kind", "sources", "warm")} for one in shown]
    if not isinstance(body["inputs"], list) or not all(isinstance(one, dict) for one in body["inputs"]):
        raise ValueError("--from-json: inputs must be a list of objects")
    for name, texts in given.items():
        option = f"--{name.replace('_', '-')}"
        for number, one in enumerate(body["inputs"], start=1):
            if own := [rest for of, rest in map(_apart, texts) if of in (None, number)]:
                one["options"] = {**(one.get("options") or {}), **_read(name.removeprefix("input_"), option, own)}
        for of, _ in map(_apart, texts):
            number = 1 if of is None else of
            if not 1 <= number <= len(body["inputs"]):
                raise ValueError(f"{option}: there is no further input {number}")


def _apart(text: str) -> tuple[int | None, str]:
    """The number of the input, None for all, and the rest."""
    found = _ONE.fullmatch(text)
    return (int(found[1]), found[2]) if found else (None, text)


def _read(name: str, option: str, texts: list[str]) -> dict[str, Any]:
    if name == "header":
        return {"headers": read_headers(option, texts)}
    if name == "connect":
        return read_connect(option, texts)
    if name in ("segments_behind", "max_kbps"):
        if not texts[-1].isdecimal():
            raise ValueError(f"{option}: must be a number")
        return {name: int(texts[-1])}
    if name != "keep_drift":
        return {name: texts[-1]}
    if texts[-1] not in ("on", "off"):
        raise ValueError(f"{option}: must be on or off")
    return {name: texts[-1] == "on"}
