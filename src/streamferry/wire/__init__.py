"""Bytes to values and back: AMF0, FLV, RTMP, HLS, TS, fragmented MP4. Sans-IO: no socket, clock or random bytes."""
