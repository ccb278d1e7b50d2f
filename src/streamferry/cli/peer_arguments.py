"""How peers are reached and what they are told, on the command line: the same options for sources and destination.

What other users of the machine must not see, they should get from the environment or from a file: both see arguments.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from streamferry.cli.added_options import add_options
from streamferry.media.peer_options import PeerOptions
from streamferry.reasons import InvalidPart

#: Names of REST -> what the options begin with.
_ENDS = {"source_options": "source", "destination_options": "to"}
#: Options of one end only: the field of REST -> the end of the option's name.
_OF_ONE_END = {
    "source": {"keep_drift": "keep-drift", "segments_behind": "segments-behind", "max_kbps": "max-kbps"},
    "to": {"rotate_s": "rotate", "overlap": "overlap"},
}
#: RTMP's names of the parameters -> ours.
_CONNECT = {"flashVer": "flash_ver", "tcUrl": "tc_url", "swfUrl": "swf_url", "pageUrl": "page_url"}
_MAX_FILE_BYTES = 256 << 10


def takes_peers(command: Callable[..., None], *, environment: bool = True) -> Callable[..., None]:
    """The command with these options for both ends, for its keyword parameters.

    ``environment`` False: none is read from there, as where it would change what nobody asked to change.
    """
    return add_options(
        command, {name: one for end in _ENDS.values() for name, one in _options_of(end, environment).items()}
    )


def _options_of(end: str, environment: bool) -> dict[str, Any]:
    of = "the sources" if end == "source" else "the destination"

    def one(name: str, text: str, metavar: str, **more: Any) -> Any:
        return typer.Option(f"--{end}-{name}", help=f"{text} {of}.", metavar=metavar, show_default=False, **more)

    own: dict[str, Any] = {}
    if end == "source":
        text = "Leave sound as it is stamped, though its clock drifts; of a live source."
        own["source_keep_drift"] = Annotated[
            bool | None, typer.Option("--source-keep-drift/--no-source-keep-drift", help=text, show_default=False)
        ]
        own["source_segments_behind"] = Annotated[
            int | None,
            one("segments-behind", "Segments before the end of its playlist with which live HLS begins, of", "N"),
        ]
        own["source_max_kbps"] = Annotated[
            int | None, one("max-kbps", "Of live HLS the best variant with no more is played, of", "KBPS")
        ]
    else:
        own["to_rotate_s"] = Annotated[
            int | None, one("rotate", "Seconds, 60 at least, after which another publish session begins at", "SECONDS")
        ]
        text = "It takes a second publisher of the stream: a drained worker publishes until the next one does."
        own["to_overlap"] = Annotated[
            bool | None, typer.Option("--to-overlap/--no-to-overlap", help=text, show_default=False)
        ]
    variable = {"envvar": f"STREAMFERRY_{end.upper()}_PROXY", "show_envvar": True} if environment else {}
    return {
        f"{end}_proxy": Annotated[
            str | None, one("proxy", "http://, socks5:// or socks5h:// proxy on the way to", "URL", **variable)
        ],
        f"{end}_bind": Annotated[str | None, one("bind", "Address of this machine to connect from, to", "IP")],
        f"{end}_header": Annotated[
            list[str] | None,
            one("header", "Header of HTTP requests, or @FILE with one a line; repeat it. To", "NAME: VALUE"),
        ],
        f"{end}_connect": Annotated[
            list[str] | None,
            one("connect", "Of RTMP's connect: flashVer, tcUrl, swfUrl, pageUrl; repeat it. To", "NAME=VALUE"),
        ],
        **own,
    }


def peer_fields(arguments: dict[str, Any]) -> dict[str, Any]:
    """Take these options out of the arguments of a command; as fields of REST. Raises ValueError naming the option."""
    found: dict[str, Any] = {}
    for field, end in _ENDS.items():
        given = {
            **{name: arguments.pop(f"{end}_{name}", None) for name in _OF_ONE_END[end]},
            "proxy": arguments.pop(f"{end}_proxy", None),
            "bind": arguments.pop(f"{end}_bind", None),
            "headers": read_headers(f"--{end}-header", arguments.pop(f"{end}_header", None)),
            **read_connect(f"--{end}-connect", arguments.pop(f"{end}_connect", None)),
        }
        if told := {name: value for name, value in given.items() if value is not None}:
            found[field] = told
    return found


def peer_options(fields: dict[str, Any], field: str) -> PeerOptions:
    """The options of ``field`` for a relay of this process. Raises ValueError naming the option."""
    try:
        return PeerOptions.from_json({name: value for name, value in fields.get(field, {}).items() if value})
    except InvalidPart as error:
        raise ValueError(f"{option_of(f'{field}.{error.name}')}: {error.why}") from None


def option_of(field: str) -> str:
    """The option that sets a field, such as ``destination_options.proxy``; the field, if it is none of these."""
    end, _, name = field.partition(".")
    if end not in _ENDS:
        return field
    if own := _OF_ONE_END[_ENDS[end]].get(name):
        return f"--{_ENDS[end]}-{own}"
    option = "header" if name == "headers" else "connect" if name in _CONNECT.values() else name
    return f"--{_ENDS[end]}-{option}"


def read_headers(option: str, lines: list[str] | None) -> dict[str, str] | None:
    """Headers as they were given, by their names; None for none. Raises ValueError naming the option."""
    if lines is None:
        return None
    headers = {}
    for text in lines:
        for line in _read(option, text[1:]) if text.startswith("@") else [text]:
            name, colon, value = line.partition(":")
            if not line.strip():
                continue
            if not colon:
                raise ValueError(f"{option}: must be NAME: VALUE")
            headers[name.strip()] = value.strip()
    return headers


def _read(option: str, path: str) -> list[str]:
    try:
        with sys.stdin if path == "-" else Path(path).open(encoding="utf-8") as file:
            return file.read(_MAX_FILE_BYTES).splitlines()
    except OSError as error:
        raise ValueError(f"{option}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{option}: {path} is not UTF-8") from None


def read_connect(option: str, pairs: list[str] | None) -> dict[str, str]:
    """Parameters of RTMP's connect, by our names. Raises ValueError naming the option."""
    told = {}
    for pair in pairs or []:
        name, sign, value = pair.partition("=")
        if name not in _CONNECT or not sign:
            raise ValueError(f"{option}: must be NAME=VALUE, with one of {', '.join(_CONNECT)}")
        told[_CONNECT[name]] = value
    return told
