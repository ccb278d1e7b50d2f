"""All tags of a whole FLV file."""

from pathlib import Path

from streamferry.media.tag import Tag
from streamferry.wire.flv import FLV_HEADER_BYTES, parse_flv_header, scan_tags


def read_tags(path: Path) -> list[Tag]:
    """The file's tags, with bodies of their own."""
    data = path.read_bytes()
    parse_flv_header(data)
    tags: list[Tag] = []
    end = scan_tags(memoryview(data), FLV_HEADER_BYTES, len(data), tags)
    assert end == len(data), "the file ends inside a tag"
    return [(tag_type, stamp_ms, bytes(body)) for tag_type, stamp_ms, body in tags]
