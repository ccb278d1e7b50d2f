"""The form that all inputs of a run are brought into, where its task asks for that (``Switching.normalize``).

It is that of the first input that is on air: not of the slate, nor of a file that is inserted. It stays to the run's
end. Frame rates are no part of it, see ``prepare.form``.
"""

from collections.abc import Sequence

from streamferry.media.tag import SEQUENCE_HEADER, Tag
from streamferry.prepare.form import AudioForm, Form, VideoForm
from streamferry.prepare.processing import AS_THEY_ARE, Normalize
from streamferry.relay.header_forms import check_form, form_of
from streamferry.timeline import Timeline


class RunForm:
    """``form``: None while nothing is known, or asked for. Of a form without sound the sound is not known yet."""

    def __init__(self) -> None:
        self.form: Form | None = None
        self._normalize = AS_THEY_ARE
        self._seen_changes = -1

    @property
    def is_asked_for(self) -> bool:
        """Whether inputs are brought into one form."""
        return not self._normalize.copies

    @property
    def is_known(self) -> bool:
        """Whether all of it is known that is asked for."""
        return not self.is_asked_for or (self.form is not None and self.form.audio is not None)

    @property
    def sound(self) -> AudioForm | None:
        """The form of the sound, if it is known."""
        return None if self.form is None else self.form.audio

    def forget(self) -> None:
        """What was on air is no model any more."""
        self.form, self._normalize, self._seen_changes = None, AS_THEY_ARE, -1

    def follow(self, normalize: Normalize) -> None:
        """What the task asks for now."""
        if normalize != self._normalize:
            self._normalize, self._seen_changes = normalize, -1
            size = normalize.size
            self.form = None if size is None else Form(VideoForm("h264", *size))

    def learn(self, timeline: Timeline) -> bool:
        """Look at what is on air of an input; whether more of the form is known now."""
        if self.is_known:
            return False
        if timeline.is_joining or timeline.header_changes == self._seen_changes:
            return False
        self._seen_changes = timeline.header_changes
        found = form_of((tag[0], bytes(tag[2])) for tag in timeline.headers if tag[3] == SEQUENCE_HEADER)
        video = self.form.video if self.form is not None else found.video
        if video is None or (self.form is not None and found.audio is None):
            return False
        self.form = Form(video, found.audio)
        return True

    def check(self, tags: Sequence[Tag]) -> None:
        """See ``relay.header_forms``."""
        if self.form is not None:
            check_form(tags, self.form)
