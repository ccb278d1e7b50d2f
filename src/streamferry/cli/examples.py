"""Two examples for each command, shown below its help and in docs/reference/cli.md."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "quickstart": ("streamferry quickstart", "streamferry quickstart /tmp/try-it --port 9000"),
    "serve": (
        "streamferry serve --files /srv/media",
        "streamferry serve --config /etc/streamferry.toml --host 0.0.0.0",
    ),
    "worker": (
        "STREAMFERRY_STORE=postgresql://... STREAMFERRY_SEAL_KEY=... streamferry worker",
        "streamferry worker --label region=eu --capacity 200 --capacity-encodes 2",
    ),
    "worker list": ("streamferry worker list", "streamferry worker list --json"),
    "worker cordon": (
        "streamferry worker cordon edge-3",
        "streamferry worker cordon edge-3 --url https://relay.example",
    ),
    "worker uncordon": ("streamferry worker uncordon edge-3", "streamferry worker uncordon edge-3 --json"),
    "worker drain": ("streamferry worker drain edge-3", "streamferry worker drain edge-3 --wait"),
    "cluster up": (
        "STREAMFERRY_STORE=postgresql://... STREAMFERRY_SEAL_KEY=... streamferry cluster up",
        "streamferry cluster up --address ray://head.example:10001 --min 2 --max 20 --capacity 200",
    ),
    "cluster status": ("streamferry cluster status", "streamferry cluster status --address ray://head.example:10001"),
    "cluster down": ("streamferry cluster down", "streamferry cluster down --address ray://head.example:10001"),
    "key create": ("streamferry key create", "streamferry key create --read-only --data-dir /var/lib/streamferry"),
    "key list": ("streamferry key list", "streamferry key list --json"),
    "key disable": ("streamferry key disable AK...", "streamferry key disable AK... --data-dir /var/lib/streamferry"),
    "key rotate-seal": (
        "streamferry key rotate-seal",
        "streamferry key rotate-seal --data-dir /var/lib/streamferry --key-file /root/new.key",
    ),
    "audit": ("streamferry audit", "streamferry audit --limit 1000 --json"),
    "backup": (
        "streamferry backup /backups/monday.gz",
        "streamferry backup /backups/monday.gz --data-dir /var/lib/streamferry",
    ),
    "restore": (
        "streamferry restore /backups/monday.gz --data-dir /var/lib/streamferry-new",
        "STREAMFERRY_STORE=postgresql://... streamferry restore /backups/monday.gz",
    ),
    "task create": (
        "streamferry task create --source /srv/media/film.mp4 --loops -1 --end +7d --to rtmp://live.example/app/KEY",
        "streamferry task create --source rtmp://cam.example/live/one --start 2027-01-31T20:00 --end +2h --to srt://...",
    ),
    "task update": ("streamferry task update morning --loops 3", "streamferry task update 2a8e --end +12h"),
    "task list": ("streamferry task list", "streamferry task list --trouble --wide"),
    "task watch": ("streamferry task watch", "streamferry task watch --group sport"),
    "task show": ("streamferry task show 2a8e", "streamferry task show morning --json"),
    "task add-destination": (
        "streamferry task add-destination morning --to rtmp://b.example/live --key KEY --name B",
        "streamferry task add-destination 2a8e --to srt://c.example:9000 --latency low",
    ),
    "task change-destination": (
        "streamferry task change-destination morning 2 --off",
        "streamferry task change-destination 2a8e 1 --to rtmp://b.example/live/KEY",
    ),
    "task remove-destination": (
        "streamferry task remove-destination morning 2",
        "streamferry task remove-destination 2a8e 1 --json",
    ),
    "task stop": ("streamferry task stop morning", "streamferry task stop 2a8e 91c0"),
    "task continue": ("streamferry task continue morning", "streamferry task continue 2a8e 91c0"),
    "task start-over": ("streamferry task start-over morning", "streamferry task start-over 2a8e 91c0"),
    "task switch": ("streamferry task switch morning 1", "streamferry task switch 2a8e auto"),
    "task insert": (
        "streamferry task insert morning /srv/media/trailer.mp4",
        "streamferry task insert 2a8e https://files.example/news.mp4 --at +10m",
    ),
    "task cancel-insert": ("streamferry task cancel-insert morning 3", "streamferry task cancel-insert 2a8e 1"),
    "task skip": ("streamferry task skip morning", "streamferry task skip 2a8e 91c0"),
    "task delete": ("streamferry task delete morning", "streamferry task delete --yes 2a8e 91c0"),
    "task events": (
        "streamferry task events morning --since 1h --problems",
        "streamferry task events --follow",
    ),
    "task schedule": ("streamferry task schedule morning", "streamferry task schedule morning --at +2h"),
    "task as-run": ("streamferry task as-run morning > morning.csv", "streamferry task as-run morning --since 24h"),
    "task calendar": ("streamferry task calendar", "streamferry task calendar --group sport"),
    "group create": ("streamferry group create sport", "streamferry group create sport --tag owner=anna"),
    "group list": ("streamferry group list", "streamferry group list --json"),
    "group delete": ("streamferry group delete sport", "streamferry group delete sport news"),
    "callbacks list": (
        "streamferry callbacks list --state dead",
        "streamferry callbacks list --task 2a8e... --size 100",
    ),
    "callbacks show": ("streamferry callbacks show evt_...", "streamferry callbacks show evt_... --json"),
    "callbacks replay": ("streamferry callbacks replay evt_...", "streamferry callbacks replay --dead"),
    "callbacks drop": ("streamferry callbacks drop", "streamferry callbacks drop --task 2a8e..."),
    "callbacks secret": ("streamferry callbacks secret", "streamferry callbacks secret --replace"),
    "probe": ("streamferry probe film.mp4", "streamferry probe https://files.example/film.mp4 --seconds 60"),
    "prepare": (
        "streamferry prepare film.mp4 trailer.mov",
        "streamferry prepare https://files.example/film.mp4 --watermark logo.png",
    ),
    "cache list": ("streamferry cache list", "streamferry cache list --json"),
    "cache clear": ("streamferry cache clear", "STREAMFERRY_CACHE_DIR=/srv/cache streamferry cache clear"),
    "relay": (
        "streamferry relay film.mp4 trailer.mov --loop -1 --to rtmp://live.example/app/KEY",
        "streamferry relay rtmp://in.example/live/cam --to rtmp://a.example/app/KEY --to srt://b.example:9",
    ),
    "receive": ("streamferry receive", "streamferry receive --host 0.0.0.0 --port 19350"),
    "demo": ("streamferry demo", "streamferry demo --seconds 60"),
    "version": ("streamferry version", "streamferry version --json"),
    "completion": (
        "streamferry completion bash >> ~/.bashrc",
        "streamferry completion fish > ~/.config/fish/completions/streamferry.fish",
    ),
}


def epilog_of(name: str) -> str | None:
    """The text below the help of a command."""
    given = EXAMPLES.get(name)
    # Without a blank line between them they would be joined.
    return "\n\n".join(("Examples:", *given)) if given else None
