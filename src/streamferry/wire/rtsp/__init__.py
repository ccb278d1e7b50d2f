"""RTSP and RTP, read: messages, descriptions, packets and what they carry, as tags. Sans-IO.

Specification: RFC 2326 (RTSP), RFC 3550 (RTP); the formats of the payloads are named where they are read.
"""
