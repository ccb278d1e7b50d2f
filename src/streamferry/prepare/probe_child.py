"""The probing process: ``python -m streamferry.prepare.probe_child``, one address per process.

    standard input   one JSON line: url, ffmpeg, seconds, route, folders (never in the arguments: others read those)
    standard output  one JSON line: what ``probe.describe`` gives under ``found``, or a reason under ``problem``

It ends with its parent.
"""

import json
import sys

from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.net.process import die_with_parent, hide
from streamferry.prepare.probe import describe, probe
from streamferry.prepare.route import Route
from streamferry.reasons import Code, Reason, said_by


def main() -> None:
    """Inspect, and print the result."""
    die_with_parent()
    hide()
    order = json.loads(sys.stdin.readline())
    url = MediaUrl.parse(order["url"])
    told: dict[str, object]
    try:
        route, folders = Route(**order["route"]), Folders.from_json(order["folders"])
        told = {"found": describe(url, probe(url, order["ffmpeg"], order["seconds"], route, folders))}
    except MediaError as error:
        told = {"problem": error.why.to_json()}
    except OSError as error:
        told = {"problem": Reason.of(Code.FILE_UNREADABLE, name=url.redacted, why=said_by(error)).to_json()}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
