"""Bytes to values and back, for AMF0, FLV and RTMP. Sans-IO: no socket, no clock, no source of random bytes."""
