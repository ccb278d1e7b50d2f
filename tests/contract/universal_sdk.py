"""Run by the interpreter of an SDK's own environment: a task's life through the universal client of PyPI
``volcengine-python-sdk`` (whose part ``volcenginesdk-core`` it is).

Reads {"host", "ak", "sk", "task"} as JSON from standard input, writes what the SDK gave or raised to standard output.
"""

import json
import sys
import time

import volcenginesdkcore
from volcenginesdkcore.rest import ApiException


def connect(told, secret=None):
    configuration = volcenginesdkcore.Configuration()
    configuration.ak, configuration.sk = told["ak"], secret or told["sk"]
    configuration.region, configuration.host, configuration.scheme = "cn-north-1", told["host"], "http"
    return volcenginesdkcore.UniversalApi(volcenginesdkcore.ApiClient(configuration))


def call(api, action, body, method="POST"):
    kind = "application/json" if method == "POST" else None
    return api.do_call(volcenginesdkcore.UniversalInfo(method, "live", "2023-01-01", action, kind), body)


def said_by(*arguments):
    try:
        call(*arguments)
    except ApiException as error:
        return str(error)
    return "nothing was raised"


def main():
    told = json.load(sys.stdin)
    api = connect(told)
    out = {}

    def listed(title):
        return {"Result": call(api, "ListPullToPushTask", {"Title": title}, "GET")}

    def streaming(title):
        for _ in range(150):
            found = listed(title)
            if found["Result"]["List"][0]["Run"]["State"] == "streaming":
                break
            time.sleep(0.1)
        return found

    task_id = out["task_id"] = call(api, "CreatePullToPushTask", told["task"])["TaskId"]
    target = {"TaskId": task_id}
    out["created"] = streaming(told["task"]["Title"])
    call(api, "UpdatePullToPushTask", {**told["task"], **target, "Title": "更新2"})
    out["updated"] = listed("更新2")
    call(api, "StopPullToPushTask", target)
    out["stopped"] = listed("更新2")
    call(api, "ContinuePullToPushTask", target)
    out["enabled"] = streaming("更新2")
    asked = {"GroupNames": ["default"], "Title": "更新2"}
    out["grouped"] = {"Result": call(api, "ListPullToPushTaskV2", asked)}
    call(api, "RelaunchPullToPushTask", target)
    out["relaunched"] = streaming("更新2")
    call(api, "DeletePullToPushTask", target)
    out["deleted"] = listed("更新2")
    out["errors"] = {
        "secret": said_by(connect(told, "wrong"), "StopPullToPushTask", target),
        "action": said_by(api, "NoSuchAction", {}),
        "field": said_by(api, "CreatePullToPushTask", {**told["task"], "Title": "x" * 21}),
    }
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    main()
