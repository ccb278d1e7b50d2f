"""REST's routes of the library."""

from pathlib import Path

import pytest
from rest_api import make_rest

from streamferry.control.library import Library
from streamferry.control.library_folder import LibraryFolder
from streamferry.store import Store
from streamferry.web.compat.sample import write_body
from streamferry.web.rest.parts import RestSettings
from streamferry.web.rest.token_gate import MAX_BODY_BYTES


async def test_a_file_is_put_listed_and_deleted(store: Store, tmp_path: Path) -> None:
    """It may be larger than any other body, and its address is the one of a task's source."""
    settings = RestSettings(
        sdk_body=write_body, library=Library(LibraryFolder(tmp_path / "library"), max_bytes=10 * MAX_BODY_BYTES)
    )
    async with make_rest(store, settings) as rest:
        data = b"x" * (MAX_BODY_BYTES + 1)
        made = (await rest.client.put("/library/a%20film.mp4", content=data)).json()
        assert made["url"] == f"file://{tmp_path}/library/a%20film.mp4"
        assert (tmp_path / "library/a film.mp4").stat().st_size == len(data)
        assert (await rest.call("GET", "/library"))["files"] == [made]
        await rest.call("DELETE", "/library/a%20film.mp4")
        assert (await rest.call("GET", "/library"))["files"] == []
        await rest.refusal(422, "DELETE", "/library/a%20film.mp4")


@pytest.mark.parametrize("name", [".hidden", "a%5Cb", "a%0Ab", "%2e%2e"])
async def test_a_bad_name_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    """With the field, and nothing is written."""
    async with make_rest(
        store, RestSettings(sdk_body=write_body, library=Library(LibraryFolder(tmp_path / "library"), max_bytes=1000))
    ) as rest:
        answer = await rest.client.put(f"/library/{name}", content=b"x")
        assert answer.status_code in (404, 405, 422), answer.text
        assert (await rest.call("GET", "/library"))["files"] == []


async def test_too_large_a_file_is_refused(store: Store, tmp_path: Path) -> None:
    """In a sentence that says what is taken."""
    async with make_rest(
        store,
        RestSettings(sdk_body=write_body, library=Library(LibraryFolder(tmp_path / "library"), max_bytes=1_000_000)),
    ) as rest:
        answer = await rest.client.put("/library/a.mp4", content=b"x" * 1_000_001)
        assert (answer.status_code, answer.json()["error"]["field"]) == (422, "file")
        assert "at most 1 MB" in answer.json()["error"]["message"]


async def test_who_may_only_read_uploads_nothing(store: Store, tmp_path: Path) -> None:
    """The list is open to them."""
    async with make_rest(
        store, RestSettings(sdk_body=write_body, library=Library(LibraryFolder(tmp_path / "library"), max_bytes=1000))
    ) as rest:
        headers = {"authorization": f"Bearer {await rest.token(rest.reader)}"}
        assert (await rest.client.get("/library", headers=headers)).status_code == 200
        assert (await rest.client.put("/library/a.mp4", content=b"x", headers=headers)).status_code == 403
