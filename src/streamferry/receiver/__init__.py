"""A small RTMP receiver: takes any publisher, keeps nothing, measures what arrives. For trying things and the demo."""

from streamferry.receiver.meter import StreamMeter, TrackMeter
from streamferry.receiver.server import ReceivedStream, Receiver

__all__ = ["ReceivedStream", "Receiver", "StreamMeter", "TrackMeter"]
