"""Bytes to values and back, for AMF0, FLV, RTMP, HLS, TS and fragmented MP4. Sans-IO: no socket, no clock, no source of random bytes."""
