"""Run by the interpreter of an SDK's own environment: one list through PyPI ``volcengine``.

Reads {"host", "scheme", "ak", "sk"} as JSON from standard input, writes the answer to standard output.
"""

import json
import sys

from volcengine.live.v20230101.live_service import LiveService


def main():
    told = json.load(sys.stdin)
    service = LiveService(told["host"], told["ak"], told["sk"])
    service.set_scheme(told["scheme"])
    json.dump(service.list_pull_to_push_task({"Page": 1}), sys.stdout)


if __name__ == "__main__":
    main()
