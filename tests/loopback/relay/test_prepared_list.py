"""Which item gives a list its form, and that it is asked of all others."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from kit.unlike import ORDINARY, make
from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.prepare.form import Form
from streamferry.prepare.processing import Normalize
from streamferry.prepare.store import PreparedStore
from streamferry.relay import Item, Playhead, RelaySpec
from streamferry.relay.prepared_list import PreparedList


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> tuple[MediaUrl, MediaUrl, MediaUrl]:
    """A file that is not there, an ordinary one, and a portrait one."""
    folder: Path = tmp_path_factory.mktemp("unlike")
    names = (folder / "none.mp4", make(ORDINARY, folder), make("portrait.mp4", folder))
    missing, ordinary, portrait = (MediaUrl.parse(str(path)) for path in names)
    return missing, ordinary, portrait


@pytest.fixture
async def prepared_list(tmp_path: Path) -> AsyncIterator[PreparedList]:
    async with PreparedStore(tmp_path / "cache") as store:
        yield PreparedList(store)


async def form_of(prepared_list: PreparedList, spec: RelaySpec, url: MediaUrl) -> Form:
    file = await prepared_list.open(spec, url)
    file.close()
    return file.form


def spec_of(*urls: MediaUrl, **options: object) -> RelaySpec:
    return RelaySpec.vod(map(Item, urls), MediaUrl.parse("rtmp://127.0.0.1:1/app/key"), **options)


async def test_the_first_that_can_be_opened_gives_the_form(prepared_list, urls):
    """A missing first file gives none; later it would get the form of the others, as would another list."""
    missing, ordinary, portrait = urls
    spec = spec_of(*urls)
    with pytest.raises(MediaError):
        await form_of(prepared_list, spec, missing)
    form = await form_of(prepared_list, spec, ordinary)
    assert await form_of(prepared_list, spec, portrait) == form
    assert await form_of(prepared_list, spec_of(portrait), portrait) == form
    assert await form_of(prepared_list, spec, ordinary) == form


async def test_a_list_that_begins_later_has_the_form_of_its_first(prepared_list, urls):
    """So that a run that goes on after a break sends what it sent before."""
    spec = spec_of(*urls, playhead=Playhead(0, 2))
    await prepared_list.learn_form(spec, spec.items[:2])
    form = await form_of(prepared_list, spec, urls[2])
    assert form.video is not None
    assert (form.video.width, form.video.height) == (160, 96)


async def test_copy_has_no_form(prepared_list, urls):
    """Each file is what it is."""
    spec = replace(spec_of(*urls), normalize=Normalize.parse("copy"))
    assert await form_of(prepared_list, spec, urls[1]) != await form_of(prepared_list, spec, urls[2])
