"""A small RTMP receiver: accepts any publisher, keeps nothing, measures what arrives. For demos and manual tests."""

from streamferry.receiver.meter import StreamMeter, TrackMeter
from streamferry.receiver.server import ReceivedStream, Receiver

__all__ = ["ReceivedStream", "Receiver", "StreamMeter", "TrackMeter"]
