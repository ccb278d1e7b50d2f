"""Watching: preview and thumbnail of a task for the pages, behind the dashboard's gate.

``/dashboard/tasks/{task_id}/preview`` is for ``static/player.js``, ``/dashboard/tasks/{task_id}/thumbnail`` for an
image. When there is nothing to show, the answer is a sentence as plain text, which the player shows.
"""

from collections.abc import Awaitable, Callable

import nicegui
from starlette.responses import PlainTextResponse, Response

from streamferry.tasks.errors import ActionError, TaskNotFound
from streamferry.web.dashboard.frame import visitor
from streamferry.web.preview_responses import PreviewResponses


def register(previews: PreviewResponses) -> None:
    """Add the two paths to the dashboard."""
    nicegui.app.add_api_route("/tasks/{task_id}/preview", _told(previews.show_preview), methods=["GET"])
    nicegui.app.add_api_route("/tasks/{task_id}/thumbnail", _told(previews.show_thumbnail), methods=["GET"])


def _told(show: Callable[[str], Awaitable[Response]]) -> Callable[[str], Awaitable[Response]]:
    async def answer(task_id: str) -> Response:
        try:
            return await show(task_id)
        except ActionError as error:
            return PlainTextResponse(visitor().say(error.why), 404 if isinstance(error, TaskNotFound) else 409)

    return answer
