"""REST's routes of the library: what was uploaded, and uploads as the body of one PUT."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from streamferry.control.library import Library, LibraryFile
from streamferry.web.operation_views import LibraryFileView, LibraryList
from streamferry.web.rest.parts import Parts, RestParts
from streamferry.web.rest.rest_errors import RestError

FileName = Annotated[str, Path(description="Without a folder.", max_length=200, pattern=r"^[^\x00]*$")]
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"format": "binary"}}}}}


def add_library_routes(router: APIRouter) -> None:
    """The routes; without a library they say so."""

    @router.get("/library", tags=["library"], operation_id="list_files")
    async def list_files(parts: Parts) -> LibraryList:
        """Uploaded files, newest first. A task plays one by its ``url``."""
        return LibraryList(files=[_show(one) for one in await _library_of(parts).list_files()])

    @router.put("/library/{name}", tags=["library"], status_code=201, operation_id="put_file", openapi_extra=_BODY)
    async def put_file(parts: Parts, name: FileName, request: Request) -> LibraryFileView:
        """Upload a file: its bytes are the body, of any length up to the setting ``upload_mb``. A file of that name is
        replaced once the new one is complete."""
        length = request.headers.get("content-length", "")
        try:
            made = await _library_of(parts).receive(name, request.stream(), int(length) if length.isdecimal() else None)
        except ClientDisconnect:
            raise RestError(400, "bad_request", "the connection broke before the file was whole") from None
        return _show(made)

    @router.delete("/library/{name}", tags=["library"], status_code=204, operation_id="delete_file")
    async def delete_file(parts: Parts, name: FileName) -> Response:
        """Delete a file. A task that is playing it continues from the cache."""
        await _library_of(parts).delete(name)
        return Response(status_code=204)


def _library_of(parts: RestParts) -> Library:
    if parts.settings.library is None:
        raise RestError(503, "no_library", "this service has no library")
    return parts.settings.library


def _show(one: LibraryFile) -> LibraryFileView:
    return LibraryFileView(name=one.name, url=one.url, size_bytes=one.size_bytes, changed_at=one.changed_at)
