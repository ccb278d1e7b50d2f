"""Shelf: the items of a list as prepared files that fit each other.

The first item that can be opened, in the order of the list, decides the form of the run; all others are brought into
it. A run keeps its form to its end, also when its list is replaced: the publish session stays open, and a destination
is to see no change in it.
"""

from collections.abc import Callable
from contextlib import suppress

from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.prepare.file import PreparedFile, PrepareProgress
from streamferry.prepare.form import Form
from streamferry.prepare.processing import Processing
from streamferry.prepare.store import PreparedStore
from streamferry.relay.spec import RelaySpec


class Shelf:
    """The items of one run. Its files are the caller's to close."""

    def __init__(self, store: PreparedStore) -> None:
        self._store = store
        self._form: Form | None = None
        # What gave the form: prepared again it needs no other processing than the first time.
        self._model: tuple[str, Processing] | None = None

    async def open(
        self,
        spec: RelaySpec,
        url: MediaUrl,
        start_ms: int,
        on_progress: Callable[[PrepareProgress], None] | None = None,
    ) -> PreparedFile:
        """A file that can be played from ``start_ms``. Raises MediaError."""
        free = self._processing(spec, None)
        is_model = self._form is None or self._model == (url.reveal(), free)
        processing = free if is_model else self._processing(spec, self._form)
        file = await self._store.open(url, on_progress, start_ms, processing=processing, keep=spec.pre_download)
        if self._form is None:
            self._form, self._model = file.form, (url.reveal(), free)
        return file

    async def learn_form(self, spec: RelaySpec) -> None:
        """Look at the items before the one where the list begins: the form is to be the same as without a break."""
        for item in spec.items[: spec.playhead.item]:
            if self._form is not None or spec.normalize.copies:
                return
            with suppress(MediaError):
                (await self.open(spec, item.url, 0)).close()

    def _processing(self, spec: RelaySpec, form: Form | None) -> Processing:
        return Processing.of_list(spec.normalize, form=form, silence=spec.silence, watermark=spec.watermark)
