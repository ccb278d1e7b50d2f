"""The egress policy holds for all that a file's address leads to: redirects, segments and keys, after resolving."""

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from kit.http_files import HttpFiles
from kit.unlike import make
from streamferry.media.errors import SourceForbidden, SourceUnreachable
from streamferry.media.url import MediaUrl
from streamferry.net.trust import Trust
from streamferry.prepare.store import PreparedStore

ALLOWED, FORBIDDEN = "127.0.0.1", "127.0.0.2"
SECRET = "planted-secret"
KEYED = """#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-KEY:METHOD=AES-128,URI="{key}"
#EXTINF:1.0,
hls0.ts
#EXT-X-ENDLIST
"""
MAPPED = """#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-MAP:URI="{address}"
#EXTINF:1.0,
hls0.ts
#EXT-X-ENDLIST
"""
SOUNDING = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{address}"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"
hls.m3u8
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, and a finished HLS of one segment."""
    folder = tmp_path_factory.mktemp("films")
    make("ordinary.mp4", folder)
    make("hls.m3u8", folder)
    return folder


@pytest.fixture
def outside(folder: Path) -> Iterator[HttpFiles]:
    """A server at an address that the policy does not allow; it would serve all that it is asked for."""
    with HttpFiles(folder, host=FORBIDDEN) as files:
        yield files


@pytest.fixture
def inside(folder: Path) -> Iterator[HttpFiles]:
    """A server at an address that it allows."""
    with HttpFiles(folder) as files:
        yield files


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PreparedStore]:
    async with PreparedStore(tmp_path / "cache", allow=lambda address: address == ALLOWED) as store:
        yield store


async def refused(store: PreparedStore, address: str) -> str:
    """In which words an address is."""
    with pytest.raises(SourceForbidden, match=r"egress policy .*setting egress") as raised:
        await store.open(MediaUrl.parse(f"{address}?token={SECRET}"))
    assert SECRET not in str(raised.value)
    return str(raised.value)


async def test_a_forbidden_address(store: PreparedStore, outside: HttpFiles) -> None:
    """Named by the task itself."""
    assert FORBIDDEN in await refused(store, outside.url("ordinary.mp4"))
    assert outside.requests == []


async def test_a_redirect_to_a_forbidden_address(store: PreparedStore, inside: HttpFiles, outside: HttpFiles) -> None:
    """It is not followed; what is told is the address of the task."""
    inside.redirects["/film.mp4"] = outside.url("ordinary.mp4")
    assert FORBIDDEN not in await refused(store, inside.url("film.mp4"))
    assert len(inside.requests) == 1
    assert outside.requests == []


@pytest.mark.parametrize("what", ["segment", "key", "map", "variant", "sound", "moved-segment"])
@pytest.mark.parametrize("local", [False, True])
async def test_a_playlist_that_names_a_forbidden_address(
    store: PreparedStore, inside: HttpFiles, outside: HttpFiles, folder: Path, what: str, local: bool
) -> None:
    """Nothing is asked for there, and trying again is not tried."""
    if what == "segment":
        text = (folder / "hls.m3u8").read_text().replace("hls", outside.url("hls"))
    elif what == "key":
        text = KEYED.format(key=outside.url("hls0.ts"))
    elif what == "map":
        text = MAPPED.format(address=outside.url("hls0.ts"))
    elif what == "sound":
        text = SOUNDING.format(address=outside.url("hls.m3u8"))
    elif what == "moved-segment":
        inside.redirects["/elsewhere.ts"] = outside.url("hls0.ts")
        text = (folder / "hls.m3u8").read_text().replace("hls0.ts", inside.url("elsewhere.ts"))
    else:
        text = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{outside.url('hls.m3u8')}\n"
    path = folder / f"{what}.m3u8"
    path.write_text(text)
    if local:
        with pytest.raises(SourceForbidden, match=r"egress policy .*setting egress"):
            await store.open(MediaUrl.parse(str(path)))
    else:
        await refused(store, inside.url(path))
    assert outside.requests == []


async def test_what_is_allowed_is_prepared(store: PreparedStore, inside: HttpFiles) -> None:
    """A file, after a redirect, and a playlist with its segments."""
    inside.redirects["/film.mp4"] = inside.url("ordinary.mp4")
    for name in ("film.mp4", "hls.m3u8"):
        file = await store.open(MediaUrl.parse(inside.url(name)))
        await file.wait_complete(lambda _: None)
        assert file.duration_ms > 900
        file.close()


async def test_https_through_the_policy(folder: Path, tmp_path: Path) -> None:
    """The certificate is the server's own, checked against the authorities that are trusted, for file and segments."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = Trust(pem=authority.cert_pem.bytes().decode())
    with HttpFiles(folder, tls=context) as files:
        addresses = [files.url(name).replace(ALLOWED, "localhost") for name in ("ordinary.mp4", "hls.m3u8")]
        for number, address in enumerate(addresses):
            url = MediaUrl.parse(address)
            async with PreparedStore(
                tmp_path / f"{number}", tls=trusting, allow=lambda address: address == ALLOWED
            ) as store:
                file = await store.open(url)
                await file.wait_complete(lambda _: None)
                file.close()
            async with PreparedStore(tmp_path / "none", tls=trusting, allow=lambda _: False) as store:
                await refused(store, address)
            async with PreparedStore(tmp_path / "stranger", allow=lambda _: True) as store:
                with pytest.raises(SourceUnreachable, match="cannot be connected to"):
                    await store.open(url)
