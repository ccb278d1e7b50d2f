"""Relay a live source to a destination for one hour: create_live_task.py SOURCE DESTINATION"""

import os
import sys
import time

from streamferry.client import LiveService

service = LiveService(os.environ["STREAMFERRY_URL"], os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"])
now = int(time.time())
answer = service.create_pull_to_push_task(
    {
        "Title": "live1",
        "Type": 0,
        "SrcAddr": sys.argv[1],
        "DstAddr": sys.argv[2],
        "StartTime": now,
        "EndTime": now + 3600,
    }
)
print(answer["Result"]["TaskId"])
