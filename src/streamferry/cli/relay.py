"""``streamferry relay``: one relay in the foreground."""

import asyncio
import logging
import re
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from streamferry.cli.display import show_json, show_progress
from streamferry.cli.exit_status import ExitStatus
from streamferry.cli.input_options import (
    RETURN_AFTER_S,
    SWITCH_AFTER_S,
    InputOption,
    InputOptions,
    OneFormOption,
    ReturnAfterOption,
    SlateOption,
    SwitchAfterOption,
    WarmOption,
    parse_one_form,
    parse_slate,
)
from streamferry.cli.media_options import STATUS_OF_FAULT, FileChoices, parse_address
from streamferry.cli.options import (
    DEFAULT_POSITION,
    DEFAULT_RATIO,
    CodecsOption,
    NormalizeOption,
    SilenceOption,
    WatermarkOption,
    WatermarkPositionOption,
    WatermarkRatioOption,
)
from streamferry.cli.peer_arguments import option_of, peer_fields, peer_options, takes_peers
from streamferry.cli.process import on_interrupt, run
from streamferry.cli.relay_watch import parse_watch
from streamferry.cli.task_body import check_latency
from streamferry.cli.watch_option import WatchOption
from streamferry.media.peer_options import End
from streamferry.media.url import MediaUrl
from streamferry.net import sandbox
from streamferry.reasons import InvalidPart
from streamferry.relay import Item, Latency, Playhead, RelaySpec, RelayStatus
from streamferry.relay.host import RelayHost
from streamferry.relay.inputs.policy import Switching
from streamferry.relay.live_or_file import looks_live
from streamferry.relay.network import Network
from streamferry.relay.spec import Codecs, Destination, check_options
from streamferry.relay.status import START

#: A typo should not be retried for ever: how long a relay may go without ever streaming.
DEFAULT_PATIENCE_S = 30.0
_PLAYHEAD = re.compile(r"([1-9]\d*):([1-9]\d*):(\d+)")


@takes_peers
def relay(
    source: Annotated[
        list[str],
        typer.Argument(help="Addresses or local files. Several are a list, played in order.", show_default=False),
    ],
    to: Annotated[
        list[str],
        typer.Option(
            "--to",
            envvar="STREAMFERRY_TO",
            show_envvar=True,
            show_default=False,
            help="rtmp://, rtmps:// or srt:// address to push to, or the http(s):// address of an HLS playlist. "
            "Repeat it to push a live source to several. In the environment, separated by spaces, they stay out of the "
            "process list.",
        ),
    ],
    key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="STREAMFERRY_KEY",
            show_envvar=True,
            show_default=False,
            help="Stream key, where a platform shows it apart: --to is the server then; one for each.",
        ),
    ] = None,
    live: Annotated[
        bool | None, typer.Option("--live/--vod", show_default=False, help="What the source is; else it is detected.")
    ] = None,
    loop: Annotated[int, typer.Option(help="How often a list is played; -1: without end.")] = 1,
    offset: Annotated[
        list[float] | None,
        typer.Option(show_default=False, help="Start each file here, in seconds. Give it once, or once per file."),
    ] = None,
    end_offset: Annotated[
        list[float] | None,
        typer.Option(show_default=False, help="End each file here, in seconds from its start; 0 is its end."),
    ] = None,
    duration: Annotated[float | None, typer.Option(show_default=False, help="End after this many seconds.")] = None,
    patience: Annotated[
        float, typer.Option(help="Give up if nothing was ever streamed for this many seconds; 0 never does.")
    ] = DEFAULT_PATIENCE_S,
    normalize: NormalizeOption = "first",
    silence: SilenceOption = True,
    watermark: WatermarkOption = None,
    watermark_pos: WatermarkPositionOption = DEFAULT_POSITION,
    watermark_ratio: WatermarkRatioOption = DEFAULT_RATIO,
    codecs: CodecsOption = "any",
    predownload: Annotated[
        bool, typer.Option("--predownload/--no-predownload", help="Keep prepared files in the cache after use.")
    ] = True,
    latency: Annotated[
        str, typer.Option(metavar="low|normal|dense", help="Of a live source: 80, 160 or 320 ms; dense costs least.")
    ] = "normal",
    continue_from: Annotated[
        str | None,
        typer.Option(
            metavar="LOOP:ITEM:MS", show_default=False, help="Begin a list there; loops and items count from 1."
        ),
    ] = None,
    more_inputs: InputOption = None,
    warm: WarmOption = False,
    slate: SlateOption = None,
    switch_after: SwitchAfterOption = SWITCH_AFTER_S,
    return_after: ReturnAfterOption = RETURN_AFTER_S,
    one_form: OneFormOption = "copy",
    watch: WatchOption = None,
    ca_file: Annotated[
        str | None, typer.Option(show_default=False, help="PEM file of additional authorities to trust for TLS.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to standard error.")] = False,
    **peers: Any,
) -> None:
    """Relay a live stream or files to a destination (RTMP, SRT or HLS), and retry whatever fails.

    Exit status: 0 done, 2 usage, 3 the source's fault, 4 the destination's, 5 ours.
    """
    logging.basicConfig(
        stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.INFO if verbose else logging.CRITICAL
    )
    sandbox.log.setLevel(logging.WARNING)
    try:
        choices = FileChoices.parse(normalize, silence, watermark, watermark_pos, watermark_ratio, codecs, predownload)
        playhead = _playhead(continue_from)
        rules = Switching(switch_after, return_after, normalize=parse_one_form(one_form))
        status = run(
            _relay(
                *(
                    source,
                    to,
                    key,
                    peer_fields(peers),
                    live,
                    loop,
                    offset,
                    end_offset,
                    choices,
                    playhead,
                    duration,
                    patience,
                ),
                *(Latency(check_latency(latency)), ca_file, as_json),
                InputOptions(more_inputs or [], warm, parse_slate(slate), rules, parse_watch(watch or [])),
            )
        )
    except ValueError as error:
        typer.echo(f"streamferry relay: {error}", err=True)
        raise typer.Exit(ExitStatus.USAGE) from None
    except asyncio.CancelledError:
        # Interrupted before there was a relay to stop.
        raise typer.Exit(ExitStatus.DONE) from None
    raise typer.Exit(STATUS_OF_FAULT[status.fault])


async def _relay(
    sources: list[str],
    to: list[str],
    keys: list[str] | None,
    peers: dict[str, Any],
    live: bool | None,
    loop: int,
    offsets: list[float] | None,
    end_offsets: list[float] | None,
    choices: FileChoices,
    playhead: Playhead,
    duration: float | None,
    patience: float,
    latency: Latency,
    ca_file: str | None,
    as_json: bool,
    inputs: InputOptions,
) -> RelayStatus:
    looking = asyncio.current_task()
    assert looking is not None
    on_interrupt(looking.cancel)
    network = _network(ca_file)
    urls = [parse_address("source", text) for text in sources]
    destination, *others = _destinations(to, keys or [])
    source_options = peer_options(peers, "source_options")
    destination_options = peer_options(peers, "destination_options")
    for field, end, options, peers_of in (
        # What the source is may not be known yet.
        ("source_options", End.LIVE, source_options, urls),
        ("destination_options", End.DESTINATION, destination_options, [destination, *others]),
    ):
        try:
            check_options(field, end, options, peers_of)
        except InvalidPart as error:
            raise ValueError(f"{option_of(error.name)}: {error.why}") from None
    starts = _spread("--offset", offsets, len(urls))
    ends = _spread("--end-offset", end_offsets, len(urls))
    items = [Item(url, start, end) for url, start, end in zip(urls, starts, ends, strict=True)]
    if live is None and len(urls) == 1:
        live = await looks_live(urls[0], network, source_options)
    elif live is None and any(url.is_rtmp for url in urls):
        raise ValueError("source: a live stream cannot be in a list with others")
    further = tuple(Destination(str(number), url, destination_options) for number, url in enumerate(others, start=2))
    if live:
        if offsets or end_offsets:
            raise ValueError("--offset and --end-offset are for files, and the source is live")
        if len(urls) > 1:
            raise ValueError("a live relay takes one source")
        if (replace(choices, watermark=None, silence=True, codecs=Codecs.ANY), playhead) != (FileChoices(), START):
            raise ValueError("the options for files were given, and the source is live")
        spec = RelaySpec.live(
            urls[0],
            destination,
            duration_s=duration,
            patience_s=patience or None,
            silence=choices.silence,
            watermark=choices.watermark,
            latency=latency,
            codecs=choices.codecs,
            source_options=source_options,
            destination_options=destination_options,
            destination_id="1",
            others=further,
        )
    else:
        spec = RelaySpec.vod(
            items,
            destination,
            loops=loop,
            playhead=playhead,
            duration_s=duration,
            patience_s=patience or None,
            normalize=choices.normalize,
            silence=choices.silence,
            watermark=choices.watermark,
            codecs=choices.codecs,
            pre_download=choices.pre_download,
            source_options=source_options,
            destination_options=destination_options,
            destination_id="1",
            others=further,
        )
    more = await inputs.parse(network)
    spec = replace(spec, more_inputs=more, slate=inputs.slate, switching=inputs.switching, watch=inputs.watch)
    async with RelayHost(network=network) as host:
        running = host.start(spec)
        on_interrupt(running.request_stop)
        return await (show_json(running) if as_json else show_progress(running))


def _destinations(to: list[str], keys: list[str]) -> list[MediaUrl]:
    if not keys:
        return [parse_address("--to", text) for text in to]
    if len(keys) != len(to):
        raise ValueError("--key: give one for each --to, or write the keys in the addresses")
    return [_server_and_key(server, key) for server, key in zip(to, keys, strict=True)]


def _server_and_key(server: str, key: str) -> MediaUrl:
    try:
        return MediaUrl.of_server(server, key)
    except ValueError as error:
        raise ValueError(f"--to: {error}") from None


def _network(ca_file: str | None) -> Network:
    if ca_file is None:
        return Network()
    try:
        return Network.trusting(ca_file)
    except OSError as error:
        raise ValueError(f"--ca-file: cannot be read as PEM certificates ({error.strerror})") from None


def _playhead(text: str | None) -> Playhead:
    if text is None:
        return START
    match = _PLAYHEAD.fullmatch(text)
    if match is None:
        raise ValueError("--continue-from: must be LOOP:ITEM:MS, such as 1:2:30000")
    loop, item, position_ms = map(int, match.groups())
    return Playhead(loop - 1, item - 1, position_ms)


def _spread(name: str, values: list[float] | None, count: int) -> list[float]:
    """One value for each source: 0 if none is given; a single one applies to all."""
    if not values:
        return [0.0] * count
    if len(values) == 1:
        return values * count
    if len(values) != count:
        raise ValueError(f"{name}: give it once, or once for each of the {count} sources")
    return values
