"""Delete a task: delete_task.py TASK_ID"""

import os
import sys

from streamferry.client import LiveService

service = LiveService(os.environ["STREAMFERRY_URL"], os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"])
service.delete_pull_to_push_task({"TaskId": sys.argv[1]})
