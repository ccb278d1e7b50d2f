"""Playlists that smuggle a file into what is played: as the body of a frame whose head the segment before it holds."""

from collections.abc import Callable
from pathlib import Path

from kit import hls, programs
from streamferry.wire.flv import FLV_HEADER_BYTES

#: Folder, a clip, what to smuggle, and how the playlist names that; gives the playlist.
Smuggle = Callable[[Path, Path, bytes, str], Path]


def by_flv(folder: Path, clip: Path, secret: bytes, named: str) -> Path:
    """Two seconds of tags and the head of an audio tag as long as the secret; the secret; the rest."""
    whole = folder / "whole.flv"
    programs.run([programs.ffmpeg(), "-v", "error", "-y", "-i", clip, "-c", "copy", whole])
    data = whole.read_bytes()
    whole.unlink()
    at = FLV_HEADER_BYTES
    while int.from_bytes(data[at + 4 : at + 7]) < 2000:
        at += 11 + int.from_bytes(data[at + 1 : at + 4]) + 4
    head = b"\x08" + (2 + len(secret)).to_bytes(3) + data[at + 4 : at + 8] + bytes(3) + b"\xaf\x01"
    (folder / "a.flv").write_bytes(data[:at] + head)
    (folder / "b.flv").write_bytes((13 + len(secret)).to_bytes(4) + data[at:])
    return hls.write_playlist(folder / "flv.m3u8", hls.listed("a.flv", named, "b.flv"))


def by_adts(folder: Path, clip: Path, secret: bytes, named: str) -> Path:
    """The head of a frame of packed AAC that is as long as the secret."""
    hls.packed_sound(clip, folder)
    first = (folder / "sound0.aac").read_bytes()
    sound = first[first.index(b"\xff\xf1") :]
    size = 7 + len(secret)
    length = bytes([sound[3] & 0xFC | size >> 11, size >> 3 & 255, (size & 7) << 5 | sound[5] & 31])
    (folder / "a.aac").write_bytes(first + sound[:3] + length + sound[6:7])
    return hls.write_playlist(folder / "adts.m3u8", hls.listed("a.aac", named, "sound1.aac"))


def by_fragment(folder: Path, clip: Path, secret: bytes, named: str) -> Path:
    """A fragment of MP4 that lacks its last bytes."""
    options = ("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4")
    playlist = hls.cut(clip, folder, *options, name="fragment.m3u8", segment="film%d.m4s")
    path = folder / "film0.m4s"
    path.write_bytes(path.read_bytes()[: -len(secret)])
    playlist.write_text(playlist.read_text().replace("film1.m4s", f"{named}\n#EXTINF:1.0,\nfilm1.m4s"))
    return playlist
