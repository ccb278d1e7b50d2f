"""Twins of platforms: destinations that do what a platform documents. See ``loopback/relay/test_platforms.py``."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

from scripted.camera import Camera
from scripted.destination import KEY, Caller, Destination, Manner
from streamferry.media.enhanced import tag_kind
from streamferry.media.tag import AUDIO, KEYFRAME, VIDEO, Tag
from streamferry.media.url import MediaUrl
from streamferry.wire.rtmp.session import ConnectRequested, PublishRequested


class Platform(Destination):
    """Its address is the server and the key that it shows. ``server``: what follows host and port."""

    def __init__(self, server: str = "/app", key: str = KEY, manner: Manner | None = None) -> None:
        super().__init__()
        self.server, self.key = server, key
        self.manner = manner or self.take_its_own
        #: Applications and keys that were asked for, oldest first.
        self.asked: list[tuple[str, str]] = []
        #: Keys that are refused.
        self.spent: set[str] = set()
        #: Set while a publish may be answered.
        self.answers = asyncio.Event()
        self.answers.set()

    def url(self) -> MediaUrl:
        """As somebody gives it who copies both fields."""
        return MediaUrl.of_server(f"rtmp://127.0.0.1:{self.port}{self.server}", self.key)

    async def take_its_own(self, caller: Caller) -> None:
        """Take what is published to the application and the key that it has shown; refuse all else."""
        while await self.listen(caller):
            pass

    async def listen(self, caller: Caller) -> bool:
        """Hear what comes once, and answer it; False once the client has closed."""
        if caller.publish is not None:
            return await caller.listen()
        loop = asyncio.get_running_loop()
        data = await loop.sock_recv(caller.sock, 65536)
        for event in caller.session.receive(data):
            match event:
                case ConnectRequested():
                    caller.session.accept()
                case PublishRequested(app, key):
                    self.asked.append((app, key))
                    await self.answers.wait()
                    shown = (self.server.strip("/"), self.key)
                    if (app, key) == shown and key not in self.spent:
                        caller.session.accept()
                        caller.accept_publish(key)
                    else:
                        caller.session.reject("NetStream.Publish.BadName", "unknown stream")
        await loop.sock_sendall(caller.sock, caller.session.data_to_send())
        return bool(data)

    def until(self, is_enough: Callable[[list[Tag]], bool], then: Callable[[Caller], None] = lambda _: None) -> Manner:
        """Take what comes until there is enough of it; then do that and close."""

        async def manner(caller: Caller) -> None:
            while await self.listen(caller):
                if caller.publish is not None and is_enough(caller.publish.tags):
                    then(caller)
                    await asyncio.get_running_loop().sock_sendall(caller.sock, caller.session.data_to_send())
                    return

        return manner


class MuteCamera(Camera):
    """One without a microphone."""

    def headers(self) -> list[Tag]:
        return [tag for tag in super().headers() if tag[0] != AUDIO]

    def shoot(self) -> list[Tag]:
        return [tag for tag in super().shoot() if tag[0] != AUDIO]


def pictures(tags: list[Tag]) -> list[Tag]:
    """The frames of the picture."""
    return [tag for tag in tags if tag[0] == VIDEO and tag_kind(VIDEO, tag[2]) <= KEYFRAME]


def apart_ms(tags: list[Tag]) -> int:
    """How far apart the keyframes are at most, the last picture included."""
    seen = pictures(tags)
    stamps = [tag[1] for tag in seen if tag_kind(VIDEO, tag[2]) == KEYFRAME] + [tag[1] for tag in seen[-1:]]
    return max((later - earlier for earlier, later in pairwise(stamps)), default=0)
