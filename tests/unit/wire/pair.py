"""A client and a server session wired together without sockets."""

from dataclasses import dataclass, field

from streamferry.media.tag import Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.rtmp.session import (
    ClientEvent,
    ClientSession,
    ConnectRequested,
    PlayRequested,
    PublishRequested,
    Purpose,
    ServerEvent,
    ServerSession,
    TagsReceived,
)

REQUESTS = (ConnectRequested, PublishRequested, PlayRequested)


@dataclass
class Pair:
    """Moves bytes both ways until nothing is left to send, accepting requests unless told otherwise."""

    purpose: Purpose
    url: str = "rtmp://example.com/live/cam"
    auth: str | None = None
    accepts: bool = True
    client_events: list[ClientEvent] = field(default_factory=list)
    server_events: list[ServerEvent] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = ClientSession(MediaUrl.parse(self.url), self.purpose, random=b"client", auth=self.auth)
        self.server = ServerSession(random=b"server")

    def run(self) -> "Pair":
        """Until both are silent."""
        while True:
            to_server = self.client.data_to_send()
            for event in self.server.receive(to_server):
                if isinstance(event, TagsReceived):
                    self.tags += event.tags
                    continue
                self.server_events.append(event)
                if self.accepts and isinstance(event, REQUESTS):
                    self.server.accept()
            to_client = self.server.data_to_send()
            self.client_events += self.client.receive(to_client)
            if not to_server and not to_client:
                return self
