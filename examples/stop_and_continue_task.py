"""Stop a task, and let it go on where it was: stop_and_continue_task.py TASK_ID"""

import os
import sys

from streamferry.client import LiveService

service = LiveService(os.environ["STREAMFERRY_URL"], os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"])
service.stop_pull_to_push_task({"TaskId": sys.argv[1]})
input("Stopped. Enter lets it go on: ")
service.continue_pull_to_push_task({"TaskId": sys.argv[1]})
