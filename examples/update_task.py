"""Give a task another title and one more day, without touching the stream: update_task.py TASK_ID TITLE"""

import os
import sys
from datetime import UTC, datetime, timedelta

from streamferry.client import LiveService, TaskChange

service = LiveService(os.environ["STREAMFERRY_URL"], os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"])
change = TaskChange(task_id=sys.argv[1], title=sys.argv[2], end_time=datetime.now(UTC) + timedelta(days=1))
service.update_pull_to_push_task(change)
