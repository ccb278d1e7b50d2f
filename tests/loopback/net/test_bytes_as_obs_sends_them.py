"""What an RTMP server is told between the handshake and the first media, byte for byte.

The order of the commands and of what they hold is that of OBS 30's librtmp (``SendConnectPacket`` and what answers its
``_result``), with the list of codecs after it, which is ours (decision 0057). AMF0 is written by the test itself.
"""

import asyncio
import struct
from dataclasses import dataclass

import pytest

from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.dial import Deadlines
from streamferry.net.rtmp import open_publish
from streamferry.wire.rtmp.handshake import HELLO_BYTES, PACKET_BYTES, server_hello_and_answer

COMMAND = 0x14


def text(value: str) -> bytes:
    """A string with its marker."""
    raw = value.encode()
    return b"\x02" + struct.pack(">H", len(raw)) + raw


def number(value: float) -> bytes:
    """A number with its marker."""
    return b"\x00" + struct.pack(">d", value)


NULL, END = b"\x05", b"\x00\x00\x09"


def named(name: str, value: bytes) -> bytes:
    """A property of an object."""
    raw = name.encode()
    return struct.pack(">H", len(raw)) + raw + value


def connect(
    app: str, tc_url: str, codecs: bytes, flash_ver: str = "FMLE/3.0 (compatible; FMSc/1.0)", **more: str
) -> bytes:
    """The connect command as OBS sends it."""
    fields = [("app", app), ("type", "nonprivate"), ("flashVer", flash_ver)]
    fields += [("swfUrl", more.get("swf_url", tc_url)), ("tcUrl", tc_url)]
    fields += [("pageUrl", more["page_url"])] if "page_url" in more else []
    told = b"".join(named(name, text(value)) for name, value in fields)
    return text("connect") + number(1) + b"\x03" + told + codecs + END


@dataclass
class Heard:
    """Type and stream of a message, and its body."""

    type_id: int
    stream_id: int
    body: bytes


class Server:
    """Answers as the first RTMP servers did, and keeps what it hears. Reads chunks of the forms that a client begins
    with: whole headers, or none for what continues."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._chunk_size = 128

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(server_hello_and_answer(await reader.readexactly(HELLO_BYTES), b"seed"))
        await reader.readexactly(PACKET_BYTES)
        while not self.heard or not self.heard[-1].body.startswith(text("publish")):
            one = await self._read(reader)
            self.heard.append(one)
            if one.type_id == 1:
                self._chunk_size = int.from_bytes(one.body, "big")
            elif one.body.startswith(text("connect")):
                writer.write(
                    self._command(text("_result") + number(1) + NULL + b"\x03" + named("code", text("x")) + END)
                )
            elif one.body.startswith(text("createStream")):
                writer.write(self._command(text("_result") + number(4) + NULL + number(1)))
        status = named("level", text("status")) + named("code", text("NetStream.Publish.Start"))
        writer.write(self._command(text("onStatus") + number(0) + NULL + b"\x03" + status + END))
        await reader.read()

    async def _read(self, reader: asyncio.StreamReader) -> Heard:
        first = (await reader.readexactly(1))[0]
        assert first >> 6 == 0, "a message that begins without a whole header"
        header = await reader.readexactly(11)
        length, type_id = int.from_bytes(header[3:6], "big"), header[6]
        body = await reader.readexactly(min(length, self._chunk_size))
        while len(body) < length:
            assert await reader.readexactly(1) == bytes([0xC0 | first & 0x3F])
            body += await reader.readexactly(min(length - len(body), self._chunk_size))
        return Heard(type_id, int.from_bytes(header[7:11], "little"), body)

    @staticmethod
    def _command(body: bytes) -> bytes:
        head = b"\x03\0\0\0" + len(body).to_bytes(3, "big") + bytes([COMMAND]) + bytes(4)
        pieces = [body[at : at + 128] for at in range(0, len(body), 128)]
        return head + b"\xc3".join(pieces)

    @property
    def commands(self) -> list[tuple[int, bytes]]:
        """Their streams and bodies."""
        return [(one.stream_id, one.body) for one in self.heard if one.type_id == COMMAND]


async def told(peers, url, **options):
    """What a server is told by who publishes to it."""
    server = Server()
    port = await peers.serve(server)
    given = url(port)
    link = await open_publish(given, deadlines=Deadlines(), options=PeerOptions(**options))
    link.connection.close()
    return port, server


def codecs_of(body: bytes) -> bytes:
    """The list of codecs in a connect command: all that follows its name up to the end."""
    at = body.find(named("fourCcList", b""))
    return body[at : -len(END)] if at >= 0 else b""


#: Server and key as they are given, with {at} for host and port; application, ``tcUrl`` and key as they are sent.
FORMS = {
    "as most do": ("rtmp://{at}/app", "KEY", "app", "rtmp://{at}/app", "KEY"),
    "a slash at the end": ("rtmp://{at}/app/", "KEY", "app", "rtmp://{at}/app", "KEY"),
    "a query in the server": (
        "rtmp://{at}/live2?backup=1",
        "KEY",
        "live2?backup=1",
        "rtmp://{at}/live2?backup=1",
        "KEY",
    ),
    "a query in the key": (
        "rtmp://{at}/rtmp/",
        "FB-1-0-Ab?s_bl=1&a=Ab",
        "rtmp",
        "rtmp://{at}/rtmp",
        "FB-1-0-Ab?s_bl=1&a=Ab",
    ),
    "a key that is a query": (
        "rtmp://{at}/live-bvc/",
        "?streamname=live_1_2&key=ab&schedule=rtmp&pflag=1",
        "live-bvc",
        "rtmp://{at}/live-bvc",
        "?streamname=live_1_2&key=ab&schedule=rtmp&pflag=1",
    ),
    "slashes in the key": ("rtmp://{at}/app", "2024/a/KEY", "app", "rtmp://{at}/app", "2024/a/KEY"),
    "an application of two parts": ("rtmp://{at}/app/inst", "KEY", "app/inst", "rtmp://{at}/app/inst", "KEY"),
    "no application": ("rtmp://{at}", "KEY", "", "rtmp://{at}", "KEY"),
    "no application, with a slash": ("rtmp://{at}/", "KEY", "", "rtmp://{at}/", "KEY"),
    "all in the server": ("rtmp://{at}/app/KEY", "", "app/KEY", "rtmp://{at}/app/KEY", ""),
    "white space from a page": ("  rtmp://{at}/app \n", "\tKEY ", "app", "rtmp://{at}/app", "KEY"),
    "percent signs": ("rtmp://{at}/app", "a%2Fb%20c", "app", "rtmp://{at}/app", "a%2Fb%20c"),
    "a space within the key": ("rtmp://{at}/app", "my key", "app", "rtmp://{at}/app", "my key"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_a_server_and_a_key_reach_the_server_as_from_obs(peers, form):
    """Commands, their order, numbers and streams, and every byte in them."""
    server_form, key_given, app, tc_url, key = FORMS[form]
    port, server = await told(
        peers, lambda port: MediaUrl.of_server(server_form.format(at=f"127.0.0.1:{port}"), key_given)
    )
    codecs = codecs_of(server.commands[0][1])
    assert codecs.startswith(named("fourCcList", b"\x0a"))
    assert server.commands == [
        (0, connect(app, tc_url.format(at=f"127.0.0.1:{port}"), codecs)),
        (0, text("releaseStream") + number(2) + NULL + text(key)),
        (0, text("FCPublish") + number(3) + NULL + text(key)),
        (0, text("createStream") + number(4) + NULL),
        (1, text("publish") + number(5) + NULL + text(key) + text("live")),
    ]


#: One address, as people paste it; application, ``tcUrl`` and key as they are sent.
ADDRESSES = {
    "as most do": ("rtmp://{at}/app/KEY", "app", "rtmp://{at}/app", "KEY"),
    "a query": ("rtmp://{at}/app/KEY?sign=a/b", "app", "rtmp://{at}/app", "KEY?sign=a/b"),
    "a key that is a query": (
        "rtmp://{at}/live-bvc/?streamname=a&key=b",
        "live-bvc",
        "rtmp://{at}/live-bvc",
        "?streamname=a&key=b",
    ),
    "an application of two parts": ("rtmp://{at}/app/inst/KEY", "app/inst", "rtmp://{at}/app/inst", "KEY"),
    "a query before the key": ("rtmp://{at}/app?vhost=x/KEY", "app?vhost=x", "rtmp://{at}/app?vhost=x", "KEY"),
    "no application": ("rtmp://{at}//KEY", "", "rtmp://{at}/", "KEY"),
    "a hash in the key": ("rtmp://{at}/app/a#b", "app", "rtmp://{at}/app", "a#b"),
}


@pytest.mark.parametrize("form", ADDRESSES)
async def test_one_address_reaches_the_server_as_server_and_key_do(peers, form):
    """The same commands, whichever way it was given."""
    address, app, tc_url, key = ADDRESSES[form]
    port, server = await told(peers, lambda port: MediaUrl.parse(address.format(at=f"127.0.0.1:{port}")))
    sent = dict(enumerate(server.commands))
    assert sent[0][1] == connect(app, tc_url.format(at=f"127.0.0.1:{port}"), codecs_of(sent[0][1]))
    assert sent[4] == (1, text("publish") + number(5) + NULL + text(key) + text("live"))
    assert len(sent) == 5


async def test_parameters_of_connect_take_the_place_of_ours(peers):
    """Where they stand does not change; the application and the key stay those of the address."""
    given = {"flash_ver": "FMLE/3.0", "tc_url": "rtmp://cdn.example/live", "page_url": "https://a.example/"}
    _, server = await told(peers, lambda port: MediaUrl.parse(f"rtmp://127.0.0.1:{port}/app/KEY"), **given)
    first = server.commands[0][1]
    assert first == connect(
        "app", "rtmp://cdn.example/live", codecs_of(first), "FMLE/3.0", page_url="https://a.example/"
    )
    _, server = await told(
        peers, lambda port: MediaUrl.parse(f"rtmp://127.0.0.1:{port}/app/KEY"), swf_url="https://b.example/p.swf"
    )
    first = server.commands[0][1]
    assert named("swfUrl", text("https://b.example/p.swf")) in first
    assert first.count(b"swfUrl") == 1


async def test_nothing_but_known_messages_comes_before_the_publish(peers):
    """Besides commands: our chunk size, and the window of acknowledgements, as ffmpeg sends it."""
    _, server = await told(peers, lambda port: MediaUrl.parse(f"rtmp://127.0.0.1:{port}/app/KEY"))
    assert [one.type_id for one in server.heard] == [COMMAND, 1, COMMAND, COMMAND, 5, COMMAND, COMMAND]
