"""All tags of an FLV file."""

from pathlib import Path

from streamferry.media.tag import Tag
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags


def read_tags(path: Path, *, growing: bool = False) -> list[Tag]:
    """The file's tags, with bodies of their own. ``growing``: it is being written, so its end may be inside one."""
    data = path.read_bytes()
    if growing and len(data) < FLV_HEADER_BYTES:
        return []
    parse_flv_header(data)
    tags: list[Tag] = []
    end = scan_tags(memoryview(data), FLV_HEADER_BYTES, len(data), tags)
    assert growing or end == len(data), "the file ends inside a tag"
    return [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags]
