"""Run by the interpreter of an SDK's own environment: the whole life of a task through PyPI ``volcengine``.

Reads {"host", "scheme", "ak", "sk", "task"} as JSON from standard input, writes what the SDK gave or raised to standard
output.
"""

import json
import sys
import time

import requests
from volcengine.ApiInfo import ApiInfo
from volcengine.live.v20230101.live_service import LiveService


def connect(told, secret=None):
    service = LiveService(told["host"], told["ak"], secret or told["sk"])
    service.set_scheme(told["scheme"])
    return service


def said_by(call, *arguments):
    """The text of what a call raises."""
    try:
        call(*arguments)
    except Exception as error:
        said = error.args[0]
        return said.decode() if isinstance(said, bytes) else str(said)
    return "nothing was raised"


def streaming(service, title):
    """The list, once the task of that title streams."""
    for _ in range(150):
        listed = service.list_pull_to_push_task({"Page": 1, "Size": 20, "Title": title})
        if listed["Result"]["List"][0]["Run"]["State"] == "streaming":
            break
        time.sleep(0.1)
    return listed


def main():
    told = json.load(sys.stdin)
    service = connect(told)
    out = {}
    created = service.create_pull_to_push_task(told["task"])
    task_id = out["task_id"] = created["Result"]["TaskId"]
    target = {"TaskId": task_id}
    out["created"] = streaming(service, told["task"]["Title"])
    out["update"] = service.update_pull_to_push_task({**told["task"], **target, "Title": "更新2"})
    out["updated"] = service.list_pull_to_push_task({"Title": "更新2"})
    out["stop"] = service.stop_pull_to_push_task(target)
    out["stopped"] = service.list_pull_to_push_task({"Title": "更新2"})
    out["methods"] = [name for name in dir(service) if "pull_to_push" in name]
    enable = getattr(service, "continue_pull_to_push_task", None) or service.restart_pull_to_push_task
    out["enable"] = enable(target)
    out["enabled"] = streaming(service, "更新2")
    if hasattr(service, "list_pull_to_push_task_v2"):
        out["grouped"] = service.list_pull_to_push_task_v2({"GroupNames": ["default"], "Title": "更新2"})
    if hasattr(service, "relaunch_pull_to_push_task"):
        out["relaunch"] = service.relaunch_pull_to_push_task(target)
        out["relaunched"] = streaming(service, "更新2")
    query = service.get_sign_url("ListPullToPushTask", {"Title": "更新2"})
    out["presigned"] = requests.get(f"{told['scheme']}://{told['host']}/?{query}", timeout=10).json()
    out["delete"] = service.delete_pull_to_push_task(target)
    out["deleted"] = service.list_pull_to_push_task({"Title": "更新2"})
    service.api_info["NoSuchAction"] = ApiInfo("POST", "/", {"Action": "NoSuchAction", "Version": "2023-01-01"}, {}, {})
    out["errors"] = {
        "action": said_by(service.api_post, "NoSuchAction", [], "{}"),
        "field": said_by(service.create_pull_to_push_task, {**told["task"], "Title": "x" * 21}),
        # Last: all services of a process share one credential.
        "secret": said_by(connect(told, "wrong").stop_pull_to_push_task, target),
    }
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
