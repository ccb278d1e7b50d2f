"""PreparedList: the items of a list as prepared files that fit each other.

The first item that can be opened, in the order of the list, decides the form of the run; all others are converted to
it. A run keeps its form to its end, even when its list is replaced: the publish session stays open, and a destination
must not see a change in it.
"""

from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Protocol

from streamferry.media.errors import MediaError
from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.net.first_ended import until_first_ended
from streamferry.net.folders import Folders
from streamferry.prepare.file import PreparedFile, PrepareProgress
from streamferry.prepare.form import Form
from streamferry.prepare.known_versions import KnownVersions
from streamferry.prepare.processing import Normalize, Processing
from streamferry.prepare.store import PreparedStore
from streamferry.relay.spec import Codecs, Item
from streamferry.source.prepared import PreparedReader


class ListChoices(Protocol):
    """The choices that apply to all items of a list; part of a ``RelaySpec``."""

    @property
    def normalize(self) -> Normalize:
        """How different items become one stream."""

    @property
    def silence(self) -> bool:
        """Whether items without sound get a silent track."""

    @property
    def watermark(self) -> Watermark | None:
        """The watermark over all items."""

    @property
    def codecs(self) -> Codecs:
        """What the destination is sent."""

    @property
    def pre_download(self) -> bool:
        """Whether prepared files are kept in the cache."""

    @property
    def source_options(self) -> PeerOptions:
        """How their servers are reached, and what they are told."""


class PreparedList:
    """The items of one run. The caller closes its files and readers."""

    def __init__(self, store: PreparedStore, form: Form | None = None, folders: Folders | None = None) -> None:
        """``form``: what all items get, where the first does not decide it. ``folders``: see ``PreparedStore.open``."""
        self._store = store
        self._known = KnownVersions()
        self._folders = folders
        self._form = form
        # The item that set the form: if it is prepared again, it needs the same processing as the first time.
        self._model: tuple[str, Processing] | None = None

    @property
    def form(self) -> Form | None:
        """What all items get; None while no item has decided it."""
        return self._form

    async def open(
        self,
        choices: ListChoices,
        url: MediaUrl,
        start_ms: int = 0,
        on_progress: Callable[[PrepareProgress], None] | None = None,
    ) -> PreparedFile:
        """A file that can be played from ``start_ms``. Raises MediaError."""
        free = _processing(choices, None)
        is_model = self._form is None or self._model == (url.reveal(), free)
        processing = free if is_model else _processing(choices, self._form)
        keep, options = choices.pre_download, choices.source_options
        file = await self._store.open(
            *(url, on_progress, start_ms),
            processing=processing,
            keep=keep,
            options=options,
            known=self._known,
            folders=self._folders,
        )
        if self._form is None:
            self._form, self._model = file.form, (url.reveal(), free)
        return file

    async def open_item(
        self,
        choices: ListChoices,
        item: Item,
        position_ms: int,
        on_progress: Callable[[PrepareProgress], None] | None = None,
    ) -> PreparedReader | None:
        """A reader from ``position_ms`` or the item's own start; None if it ends before that. Raises MediaError."""
        begin_ms, end_ms = round(item.start_s * 1000), round(item.end_s * 1000) or None
        start_ms = max(begin_ms, position_ms)
        if start_ms > begin_ms and end_ms is not None and start_ms >= end_ms:
            return None
        file = await self.open(choices, item.url, start_ms, on_progress)
        try:
            if start_ms > begin_ms and file.complete and start_ms >= file.duration_ms:
                file.close()
                return None
            return PreparedReader(file, start_ms, end_ms)
        except BaseException:
            file.close()
            raise

    async def wait_known(self, reader: PreparedReader, or_else: Coroutine[None, None, None]) -> None:
        """Wait until it is known how long a reader's file is, or for something else."""
        file = reader.file
        assert isinstance(file, PreparedFile)
        await until_first_ended(or_else, file.wait_complete(lambda _: None))

    async def learn_form(self, choices: ListChoices, before: Iterable[Item]) -> None:
        """Inspect the items before the one where a list begins: the form has to be the same as without a break."""
        for item in before:
            if self._form is not None or choices.normalize.copies:
                return
            with suppress(MediaError):
                (await self.open(choices, item.url)).close()


def _processing(choices: ListChoices, form: Form | None) -> Processing:
    return Processing.of_list(
        choices.normalize,
        form=form,
        silence=choices.silence,
        watermark=choices.watermark,
        only_h264=choices.codecs is Codecs.H264,
    )
