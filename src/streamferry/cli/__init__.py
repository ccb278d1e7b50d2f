"""The command line. Each command is a module; this one puts them together."""

import typer

from streamferry.cli.backup import backup, restore
from streamferry.cli.cache import cache
from streamferry.cli.callbacks import callbacks
from streamferry.cli.demo import demo
from streamferry.cli.key import key
from streamferry.cli.prepare import prepare
from streamferry.cli.probe import probe
from streamferry.cli.receive import receive
from streamferry.cli.relay import relay
from streamferry.cli.serve import serve, worker
from streamferry.cli.task import task

app = typer.Typer(
    help="Pull a live stream or a list of files and push it, unbroken, to an RTMP destination.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(relay)
app.command()(receive)
app.command()(demo)
app.command()(prepare)
app.command()(probe)
app.add_typer(cache, name="cache")
app.command()(serve)
app.command()(worker)
app.add_typer(key, name="key")
app.add_typer(task, name="task")
app.command()(backup)
app.command()(restore)
app.add_typer(callbacks, name="callbacks")
