"""The RTMP sessions and what they tell: all that a driver imports. See ``client`` and ``server`` for how they work."""

from streamferry.wire.rtmp.client import ClientSession, Purpose
from streamferry.wire.rtmp.connect import FOURCCS
from streamferry.wire.rtmp.place import Place
from streamferry.wire.rtmp.server import ServerSession
from streamferry.wire.rtmp.session_events import (
    AuthenticationRequired,
    ClientEvent,
    ConnectRequested,
    PlayAccepted,
    PlayEnded,
    PlayRequested,
    PublishAccepted,
    PublishRequested,
    Redirected,
    Rejected,
    ServerEvent,
    StreamEnded,
    TagsReceived,
    Unpublished,
)

__all__ = [
    "FOURCCS",
    "AuthenticationRequired",
    "ClientEvent",
    "ClientSession",
    "ConnectRequested",
    "Place",
    "PlayAccepted",
    "PlayEnded",
    "PlayRequested",
    "PublishAccepted",
    "PublishRequested",
    "Purpose",
    "Redirected",
    "Rejected",
    "ServerEvent",
    "ServerSession",
    "StreamEnded",
    "TagsReceived",
    "Unpublished",
]
