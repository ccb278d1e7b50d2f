"""Fragmented MP4, read: boxes to tags. ``wire.fmp4`` writes it, ``wire.mp4_index`` reads the index of files.

Specification: ISO/IEC 14496-12; ISO/IEC 23000-19 (CMAF).
"""

from streamferry.wire.mp4.demuxer import Mp4Demuxer

__all__ = ["Mp4Demuxer"]
