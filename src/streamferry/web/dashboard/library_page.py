"""The library: uploaded files, and the upload itself, which bypasses the page as one plain request."""

from urllib.parse import quote

import nicegui
from nicegui import ui
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from streamferry.control.library import LibraryFile
from streamferry.tasks.errors import InvalidField, LibraryAway, LibraryFull
from streamferry.web.dashboard import show
from streamferry.web.dashboard.file_choice import list_files
from streamferry.web.dashboard.frame import Page, Visitor, frame, visitor
from streamferry.web.dashboard.page_actions import NotPermitted, PageActions
from streamferry.web.dashboard.session_gate import BASE
from streamferry.web.dashboard.widgets import attempt, card, empty, icon_button, is_sure, time_at

_UPLOAD = "/library/files/{name:path}"
# QUploader sends each file as the body of one PUT.
_WHERE = f"files => '{BASE}/library/files/' + encodeURIComponent(files[0].name)"

#: The framework's own header has a button inside a button, and its list keeps finished uploads.
_HEADER = """
<div class="uploader-head">
  <q-btn no-caps unelevated color="primary" icon="upload" label="WORDS" @click="props.pickFiles"></q-btn>
  <div class="unseen"><q-uploader-add-trigger></q-uploader-add-trigger></div>
</div>
"""
_LIST = """
<div v-for="one in props.uploadingFiles" :key="one.__key" class="uploading">
  <span class="grow cut">{{ one.name }}</span><span class="num soft">{{ one.__progressLabel }}</span>
</div>
"""


def register(page_actions: PageActions) -> None:
    """Make the page, and the route that it uploads to."""

    @Page("/library")
    async def library() -> None:
        who = visitor()
        with frame(who, who.t("nav.library"), place="/library"):
            await _Content(who, page_actions).draw()

    async def receive(request: Request) -> Response:
        who = visitor()
        name: str = request.path_params["name"]
        length = request.headers.get("content-length", "")
        try:
            await page_actions.upload(who, name, request.stream(), int(length) if length.isdecimal() else None)
        except InvalidField as error:
            return JSONResponse({"problem": who.say(error.why)}, 422)
        except LibraryFull as error:
            return JSONResponse({"problem": who.say(error.why)}, 507)
        except LibraryAway as error:
            return JSONResponse({"problem": who.say(error.why)}, 503)
        except NotPermitted as error:
            return JSONResponse({"problem": who.say(error.why)}, 403)
        except ClientDisconnect:
            return Response(status_code=400)
        return Response(status_code=201)

    nicegui.app.add_api_route(_UPLOAD, receive, methods=["PUT"])


class _Content:
    def __init__(self, who: Visitor, page_actions: PageActions) -> None:
        self._who, self._page_actions = who, page_actions

    async def draw(self) -> None:
        """Uploader and list."""
        t = self._who.t
        if self._who.session.can_write:
            self._draw_uploader()
        with card(t("library.files")):
            hint = "library.hint_shared" if self._page_actions.library.is_shared else "library.hint"
            ui.label(t(hint)).classes("soft")
            self._files = ui.column().classes("lines")
        await self.refresh()

    async def refresh(self) -> None:
        """List the files again."""
        files, why = await list_files(self._who, self._page_actions)
        self._files.clear()
        with self._files:
            if not files:
                empty("video_library", why)
            for one in files:
                self._draw_file(one)

    def _draw_uploader(self) -> None:
        t, limit = self._who.t, self._page_actions.library.max_bytes
        uploader = ui.element("q-uploader").classes("uploader")
        uploader.props(f'method=PUT send-raw multiple flat auto-upload :url="{_WHERE}" :max-file-size={limit}')
        uploader.add_slot("header", _HEADER.replace("WORDS", t("library.upload", limit=show.size(limit))))
        uploader.add_slot("list", _LIST)
        uploader.props["accept"] = "video/*,audio/*,.flv,.mkv,.ts,.m4v"
        uploader.on("uploaded", self.refresh, args=[])
        uploader.on(
            "failed",
            lambda event: ui.notify(event.args or t("library.failed"), type="negative"),
            js_handler="(event) => { let problem = ''; try { problem = JSON.parse(event.xhr.responseText).problem }"
            " catch {} emit(problem) }",
        )
        uploader.on("rejected", lambda: ui.notify(t("library.rejected", limit=show.size(limit)), type="warning"), [])

    def _draw_file(self, one: LibraryFile) -> None:
        t = self._who.t
        with ui.element("div").classes("line"):
            ui.icon("movie").classes("soft")
            with ui.element("div").classes("grow"):
                ui.label(one.name).classes("line-title")
                ui.label(show.name_and_place(one.url)[1]).classes("soft mono wrap")
            ui.label(show.size(one.size_bytes)).classes("nowrap num")
            time_at(one.changed_at.isoformat()).classes("soft nowrap wide-only")
            if self._who.session.can_write:
                there = f"/new?file={quote(one.url)}"
                icon_button("playlist_add", f"{t('library.play')}: {one.name}", lambda: ui.navigate.to(there))
                icon_button("delete", f"{t('do.delete')}: {one.name}", lambda: self._delete(one))

    async def _delete(self, one: LibraryFile) -> None:
        t = self._who.t
        question = t("library.delete_question", name=one.name)
        if await is_sure(self._who, question, t("do.delete"), detail=t("library.delete_detail"), dangerous=True):
            await attempt(self._who, lambda: self._page_actions.delete_file(self._who, one.name), t("library.deleted"))
            await self.refresh()
