"""A small RTMP receiver: accepts any publisher, keeps nothing, measures what arrives. For demos and manual tests."""

from streamferry.receiver.listener import ReceivedStream, Receiver
from streamferry.receiver.meter import StreamMeter, TrackMeter

__all__ = ["ReceivedStream", "Receiver", "StreamMeter", "TrackMeter"]
