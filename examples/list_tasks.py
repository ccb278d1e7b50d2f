"""Every task with what it does now: list_tasks.py [PART OF THE TITLE]"""

import asyncio
import os
import sys

from streamferry.client import AsyncLiveService, TaskList


async def main(title: str) -> None:
    url, key_id, secret = (os.environ[name] for name in ("STREAMFERRY_URL", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET"))
    async with AsyncLiveService(url, key_id, secret) as service:
        number, pages = 1, 1
        while number <= pages:
            page = TaskList.of(await service.list_pull_to_push_task({"Page": number, "Size": 100, "Title": title}))
            for task in page.tasks:
                print(task.task_id, task.status, task.run.state, task.title, task.dst_addr)
            number, pages = number + 1, page.pagination.page_total


asyncio.run(main(" ".join(sys.argv[1:])))
