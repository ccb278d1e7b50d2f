"""Finished HLS of every shape that is in use, made of one clip by ffmpeg and by hand."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from kit import programs


def cut(clip: Path, folder: Path, *options: str, name: str = "film.m3u8", segment: str = "film%d.ts") -> Path:
    """A media playlist of ``clip`` in segments of a second."""
    folder.mkdir(exist_ok=True)
    hls = ("-hls_time", "1", "-hls_playlist_type", "vod", "-hls_segment_filename", str(folder / segment))
    copying = ("-i", str(clip), "-c", "copy", *options, "-f", "hls", *hls)
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", *copying, folder / name])
    return folder / name


def write_playlist(path: Path, lines: Sequence[str], *, seconds: int = 2) -> Path:
    """A finished media playlist of these lines."""
    head = ("#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{seconds}")
    path.write_text("\n".join([*head, *lines, "#EXT-X-ENDLIST", ""]))
    return path


def listed(*names: str) -> list[str]:
    """The lines of segments of a second."""
    return [line for name in names for line in ("#EXTINF:1.0,", name)]


def encrypt(playlist: Path, *, named_iv: bool) -> Path:
    """The segments of a playlist encrypted by AES-128, each under a key of its own."""
    out: list[str] = []
    number = 0
    for line in playlist.read_text().splitlines():
        if line.startswith("#EXTINF"):
            iv = (77 + number if named_iv else number).to_bytes(16)
            key = bytes([number]) * 16
            (playlist.parent / f"{number}.key").write_bytes(key)
            named = f",IV=0x{iv.hex()}" if named_iv else ""
            out.append(f'#EXT-X-KEY:METHOD=AES-128,URI="{number}.key"{named}')
        if not line.startswith("#"):
            path = playlist.parent / line
            padder = PKCS7(128).padder()
            encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
            data = encryptor.update(padder.update(path.read_bytes()) + padder.finalize()) + encryptor.finalize()
            path.write_bytes(data)
            number += 1
        out.append(line)
    playlist.write_text("\n".join([*out, ""]))
    return playlist


def join(playlist: Path, *, name: str = "all.bin") -> Path:
    """All segments of a playlist in one file, named by byte ranges; every second range says where it begins."""
    out: list[str] = []
    data = b""
    count = 0
    for line in playlist.read_text().splitlines():
        if line.startswith("#") or not line:
            out.append(line)
            continue
        segment = (playlist.parent / line).read_bytes()
        place = "" if count % 2 else f"@{len(data)}"
        out += [f"#EXT-X-BYTERANGE:{len(segment)}{place}", name]
        data += segment
        count += 1
    (playlist.parent / name).write_bytes(data)
    playlist.write_text("\n".join(out) + "\n")
    return playlist


def with_separate_sound(clip: Path, folder: Path, *options: str, suffix: str = "ts") -> Path:
    """A master whose picture and sound are playlists of their own; ``options`` with ``{}`` for the name of either."""
    for name, left_out in (("picture", "-an"), ("sound", "-vn")):
        own = [option.format(name) for option in options]
        cut(clip, folder, left_out, *own, name=f"{name}.m3u8", segment=f"{name}%d.{suffix}")
    master = folder / "master.m3u8"
    master.write_text(
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one",DEFAULT=YES,URI="sound.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"\npicture.m3u8\n'
    )
    return master


def timestamp_tag(pts: int) -> bytes:
    """The ID3 tag with which a segment of packed audio begins (RFC 8216, 3.4)."""
    frame = b"com.apple.streaming.transportStreamTimestamp\0" + pts.to_bytes(8)
    body = b"PRIV" + len(frame).to_bytes(4) + b"\0\0" + frame
    size = len(body)
    return b"ID3\x04\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127]) + body


def packed_sound(clip: Path, folder: Path, *, seconds: float = 1.0, begin_pts: int = 126000) -> list[str]:
    """The sound of a clip as ADTS segments with their stamps; the lines that list them."""
    folder.mkdir(exist_ok=True)
    adts = folder / "sound.adts"
    programs.run([programs.ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", clip, "-vn", "-c", "copy", adts])
    data, frames, at = adts.read_bytes(), list[bytes](), 0
    while at < len(data):
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        frames.append(data[at : at + size])
        at += size
    each = round(seconds * 48000 / 1024)
    names = []
    for number, first in enumerate(range(0, len(frames), each)):
        pts = begin_pts + first * 1024 * 90000 // 48000
        (folder / f"sound{number}.aac").write_bytes(timestamp_tag(pts) + b"".join(frames[first : first + each]))
        names.append(f"sound{number}.aac")
    return listed(*names)
