"""A channel from files, played in a loop for a week: create_vod_channel.py DESTINATION FILE..."""

import os
import sys
from datetime import UTC, datetime, timedelta

from streamferry.client import InvalidParam, LiveService, NewTask, VodSource

destination, *files = sys.argv[1:]
now = datetime.now(UTC)
task = NewTask(
    title="channel1",
    type=1,
    vod_src_addrs=[VodSource(src_addr=address, start_offset=0.5) for address in files],
    cycle_mode=-1,
    continue_strategy=0,
    dst_addr=destination,
    start_time=now,
    end_time=now + timedelta(days=7),
)
with LiveService(
    os.environ["STREAMFERRY_URL"], os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"]
) as service:
    try:
        answer = service.create_pull_to_push_task(task)
    except InvalidParam as error:
        sys.exit(f"{error.message} (request {error.request_id})")
print(answer["Result"]["TaskId"])
