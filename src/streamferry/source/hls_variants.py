"""Which variant of a live HLS source is played: the best that its server gives, within the limit of the task.

One that is refused makes room for the next lower, and is not asked for again for a while. What has its sound in a
playlist that is refused is played without it, before what has no picture at all is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from streamferry.media.errors import (
    MediaError,
    PeerRejected,
    PeerUnreachable,
    RemoteProtocolError,
    SourceUnreachable,
)
from streamferry.source.memory import SourceMemory
from streamferry.wire.hls import Variant

#: What says that one variant cannot be had; another may.
REFUSALS = (PeerRejected, PeerUnreachable, RemoteProtocolError)
# What is in nobody's way; the server of all is asked no more often at one opening.
_MOST_TRIES = 6
_NOT_AGAIN_S = 60.0
_MOST_REMEMBERED = 64


@dataclass(slots=True)
class Offer:
    """What a master playlist at ``base`` offers, the best first; nothing if it is a media playlist itself.

    ``max_bits_per_s``: what needs more is tried after all others, the lowest first; 0: there is no limit.
    """

    base: str
    variants: list[Variant]
    max_bits_per_s: int = 0
    #: Why the best of them cannot be had.
    _error: MediaError | None = None
    _tries: int = 0
    #: Whether one of them failed by a fault of its server.
    _may_pass: bool = False
    #: Servers that cannot be reached.
    _away: set[str] = field(default_factory=set)

    @property
    def error(self) -> MediaError:
        """Why the best could not be had. Raises LookupError if nothing was tried."""
        if self._error is None:
            raise LookupError
        return self._error

    def in_order(self, memory: SourceMemory, now: float) -> Iterator[Variant]:
        """What to try, until one is there; ``note`` is told of the others."""
        # Those that were refused a while ago come last of their kind.
        ranked = sorted(
            self.variants,
            key=lambda one: (self._excess_bits_per_s(one), memory.poor_variants.get(_path(one), now) > now),
        )
        pictures = [variant for variant in ranked if variant.has_picture][:_MOST_TRIES]
        alone = [replace(variant, audio_url=None) for variant in pictures[:1] if variant.audio_url is not None]
        for variant in (*pictures, *alone, *(one for one in ranked if not one.has_picture)):
            self._tries += 1
            if self._tries > _MOST_TRIES + 2:
                return
            # A fault of the server that may pass is no reason to go on without sound.
            if _server(variant) not in self._away and not (variant in alone and self._may_pass):
                yield variant

    def _excess_bits_per_s(self, variant: Variant) -> int:
        return max(0, variant.bits_per_s - self.max_bits_per_s) if self.max_bits_per_s else 0

    def note(self, variant: Variant, error: MediaError, memory: SourceMemory, now: float) -> None:
        """It cannot be had."""
        if self._error is None:
            self._error = error
        self._may_pass |= isinstance(error, PeerRejected) and error.status >= 500
        if isinstance(error, PeerUnreachable | SourceUnreachable):
            self._away.add(_server(variant))
            return
        if len(memory.poor_variants) >= _MOST_REMEMBERED:
            memory.poor_variants.clear()
        memory.poor_variants[_path(variant)] = now + _NOT_AGAIN_S


def _path(variant: Variant) -> str:
    """What stays the same of it from session to session: tokens do not."""
    return urlsplit(variant.url).path


def _server(variant: Variant) -> str:
    return urlsplit(variant.url).netloc
