"""A finished HLS playlist, read by us: which variant is played, with each address checked.

ffmpeg never sees a playlist of others: whatever one names, segments, headers and keys, is resolved here and opened by
``parts``. What may be named is what may be a source by itself: http and https, where the egress policy has its word
when they are dialled, and, by a playlist of this machine only, files in the folders that may be read.

At most two playlists deep (a master, its variants), and bounded in size and in segments. Live playlists are refused
(RFC 8216, section 4.3.3.4: without EXT-X-ENDLIST more segments may come).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.prepare.stretch import MAX_STRETCHES
from streamferry.reasons import Code, InvalidValue, Reason, ReasonCode
from streamferry.wire.hls import Playlist, joined, scheme_of
from streamferry.wire.hls_segments import Key, Piece, parse_segments

#: What web servers take of an address at most.
_MAX_REFERENCE_CHARS = 8192
_REMOTE = ("http", "https")

#: Gives what is at the address of a playlist, and its final address.
ReadPlaylist = Callable[[MediaUrl], tuple[bytes, MediaUrl]]


@dataclass(frozen=True, slots=True)
class PartKey:
    """See ``wire.hls_segments.Key``."""

    url: MediaUrl
    iv: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """See ``wire.hls_segments.Piece``: what it names as an address that may be opened."""

    url: MediaUrl
    begin: int = 0
    size_bytes: int | None = None
    key: PartKey | None = None


@dataclass(frozen=True, slots=True)
class FilmSegment:
    """See ``wire.hls_segments.Segment``."""

    media: Part
    seconds: float
    header: Part | None
    is_break: bool


@dataclass(frozen=True, slots=True)
class Film:
    """What is played: the segments of a variant, and of its sound's playlist if that is separate."""

    tracks: tuple[tuple[FilmSegment, ...], ...]

    @property
    def seconds(self) -> float:
        """How long its segments are together, by the playlist's word."""
        return sum(segment.seconds for segment in self.tracks[0])

    def stretches(self) -> "list[Film]":
        """It, divided where stamps restart and the form may change.

        As a whole if its tracks do not agree on where, or if that is too often.
        """
        divided = [_divide(track) for track in self.tracks]
        if len({len(stretches) for stretches in divided}) > 1 or len(divided[0]) > MAX_STRETCHES:
            return [self]
        return [Film(tracks) for tracks in zip(*divided, strict=True)]


def _divide(track: tuple[FilmSegment, ...]) -> list[tuple[FilmSegment, ...]]:
    begins = [0, *(number for number, segment in enumerate(track) if segment.is_break and number)]
    return [track[begin:end] for begin, end in zip(begins, [*begins[1:], len(track)], strict=True)]


def read_film(url: MediaUrl, read: ReadPlaylist, folders: Folders) -> Film:
    """The best variant of the finished HLS at ``url``: the highest bandwidth whose codecs FLV can carry.

    Raises SourceUnsupported, SourceForbidden and SourceMissing, whose messages follow the source's address, and what
    ``read`` raises.
    """
    data, base = read(url)
    playlist = _parse(data)
    variant = playlist.best_variant("")
    if variant is None:
        return Film((_Track(base, folders).read(playlist),))
    tracks = []
    for reference in (variant.url, variant.audio_url):
        if reference is not None:
            named = resolve(base, reference)
            if named.scheme == "file":
                folders.check(named.path, Reason.of(Code.NAME_VARIANT))
            data, media_base = read(named)
            playlist = _parse(data)
            if playlist.best_variant("") is not None:
                raise SourceUnsupported(Code.PLAYLIST_NESTED)
            tracks.append(_Track(media_base, folders).read(playlist))
    return Film(tuple(tracks))


def _parse(data: bytes) -> Playlist:
    try:
        return Playlist.parse(data)
    except ValueError:
        raise SourceUnsupported(Code.PLAYLIST_NOT_HLS) from None


class _Track:
    """One media playlist, read from ``base``."""

    def __init__(self, base: MediaUrl, folders: Folders) -> None:
        self._base = base
        self._folders = folders
        # Headers and keys are named again and again.
        self._known: dict[str, MediaUrl] = {}

    def read(self, playlist: Playlist) -> tuple[FilmSegment, ...]:
        """Its segments, with every address judged."""
        if not playlist.is_finished:
            raise SourceUnsupported(Code.PLAYLIST_LIVE)
        try:
            listed = parse_segments(playlist)
        except InvalidValue as error:
            raise SourceUnsupported(error.why) from None
        if not listed:
            raise SourceUnsupported(Code.PLAYLIST_EMPTY)
        return tuple(
            FilmSegment(
                self._part(one.media, Code.NAME_SEGMENT),
                one.seconds,
                None if one.header is None else self._part(one.header, Code.NAME_HEADER),
                one.is_break,
            )
            for one in listed
        )

    def _part(self, piece: Piece, what: ReasonCode) -> Part:
        return Part(self._judge(piece.uri, what), piece.begin, piece.size_bytes, self._key(piece.key))

    def _key(self, key: Key | None) -> PartKey | None:
        return None if key is None else PartKey(self._judge(key.uri, Code.NAME_KEY), key.iv)

    def _judge(self, reference: str, what: ReasonCode) -> MediaUrl:
        if (url := self._known.get(reference)) is None:
            url = self._known[reference] = resolve(self._base, reference)
            if url.scheme == "file":
                try:
                    self._folders.check(url.path, Reason.of(what))
                except SourceMissing:
                    # A gap, not an error: it is found when it is played.
                    if not os.path.lexists(url.path):
                        return url
                    raise
        return url


def resolve(base: MediaUrl, reference: str) -> MediaUrl:
    """What a playlist at ``base`` means by a reference: an http, https or file address, not opened yet.

    Raises SourceForbidden for what it must not name, and SourceUnsupported for what is no address.
    """
    if not reference or len(reference) > _MAX_REFERENCE_CHARS:
        raise SourceUnsupported(Code.PLAYLIST_NO_ADDRESS)
    scheme = scheme_of(reference)
    if scheme in _REMOTE or (not scheme and base.scheme in _REMOTE):
        return _remote(base, reference)
    if scheme not in ("", "file"):
        # Not the whole word: of something long it may be a secret.
        raise SourceForbidden(Code.PLAYLIST_BAD_SCHEME, scheme=scheme[:20])
    if base.scheme in _REMOTE:
        raise SourceForbidden(Code.PLAYLIST_NAMES_LOCAL_FILE)
    return _local(base, reference[len("file:") :] if scheme else reference, is_address=bool(scheme))


def _remote(base: MediaUrl, reference: str) -> MediaUrl:
    try:
        url = MediaUrl.parse(joined(base.reveal() if base.scheme in _REMOTE else "", reference))
    except ValueError:
        raise SourceUnsupported(Code.PLAYLIST_NO_ADDRESS) from None
    if url.scheme not in _REMOTE:
        raise SourceForbidden(Code.PLAYLIST_OFF_WEB)
    return url


def _local(base: MediaUrl, name: str, *, is_address: bool) -> MediaUrl:
    """A path, relative to the playlist's own folder. Names are written as they are, or escaped as in an address."""
    if is_address and name.startswith("//"):
        name = "/" + name[2:].partition("/")[2]
    path = os.path.join(os.path.dirname(base.path), name)
    if "%" in name and "\0" not in path and not os.path.lexists(path):
        path = os.path.join(os.path.dirname(base.path), unquote(name))
    return MediaUrl("file", "", 0, path, "", None, None)
