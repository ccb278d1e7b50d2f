"""MPEG-TS, read: packets to tags. ``wire.ts`` cuts what ffmpeg writes into segments.

Specification: ISO/IEC 13818-1.
"""

from streamferry.wire.mpegts.demuxer import TsDemuxer

__all__ = ["TsDemuxer"]
