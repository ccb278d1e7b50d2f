"""Files behind headers, proxies and redirects: what their servers are told, and what others are not."""

import asyncio
from pathlib import Path

import pytest

from kit.http_files import HttpFiles
from kit.proxies import Proxy
from kit.unlike import make
from streamferry.media.errors import SourceError, SourceForbidden, SourceRejected
from streamferry.media.peer_options import PeerOptions, read_proxy
from streamferry.media.url import MediaUrl
from streamferry.prepare.store import PreparedStore

SECRETS = {"authorization": "Bearer planted-1", "cookie": "c=planted-2", "x-any": "planted-3"}
OPTIONS = PeerOptions(headers=(*SECRETS.items(), ("Referer", "https://site.example/"), ("User-Agent", "Player/1.0")))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    make("ordinary.mp4", folder)
    return folder / "ordinary.mp4"


@pytest.mark.parametrize("is_held", [False, True])
async def test_headers_reach_the_origin_and_secrets_no_other(clip: Path, tmp_path: Path, is_held: bool) -> None:
    """Every request to the server has them all, after a redirect to another host only those that are no secret."""
    with HttpFiles(clip.parent) as edge, HttpFiles(clip.parent) as home:
        home.redirects["/away.mp4"] = f"http://127.0.0.1:{edge.port}/{clip.name}"
        home.redirects["/here.mp4"] = f"/{clip.name}"
        allow = (lambda _: True) if is_held else None
        async with PreparedStore(tmp_path, allow=allow) as store:
            for name in ("away.mp4", "here.mp4"):
                url = MediaUrl.parse(f"http://127.0.0.1:{home.port}/{name}")
                file = await store.open(url, options=OPTIONS)
                await file.wait_complete(lambda _: None)
                file.close()
    for requests, has_all in ((home.requests, True), (edge.requests, False)):
        assert len(requests) >= 2
        for one in requests:
            assert (one.headers["referer"], one.headers["user-agent"]) == ("https://site.example/", "Player/1.0")
            assert {name: one.headers.get(name) for name in SECRETS} == (SECRETS if has_all else dict.fromkeys(SECRETS))


async def test_what_was_had_with_a_password_is_not_given_without(clip: Path, tmp_path: Path) -> None:
    """The cache does not let in whom the server would not."""
    with HttpFiles(clip.parent) as server:
        url = MediaUrl.parse(f"http://127.0.0.1:{server.port}/{clip.name}")
        async with PreparedStore(tmp_path) as store:
            file = await store.open(url, options=OPTIONS)
            await file.wait_complete(lambda _: None)
            file.close()
            server.status = 401
            (await store.open(url, options=OPTIONS)).close()
            with pytest.raises(SourceRejected, match="401"):
                await store.open(url)


@pytest.mark.parametrize("kind", ["http", "socks5"])
async def test_files_come_through_a_proxy(clip: Path, tmp_path: Path, peers, kind: str) -> None:
    """Also where no policy holds; a wrong password is told as the proxy's words."""
    proxy = Proxy(("user", "word"))
    port = await peers.serve(proxy)
    with HttpFiles(clip.parent) as server:
        url = MediaUrl.parse(f"http://127.0.0.1:{server.port}/{clip.name}")
        async with PreparedStore(tmp_path) as store:
            options = PeerOptions(proxy=read_proxy(f"{kind}://user:word@127.0.0.1:{port}"))
            file = await store.open(url, options=options)
            await file.wait_complete(lambda _: None)
            file.close()
            wrong = PeerOptions(proxy=read_proxy(f"{kind}://user:planted@127.0.0.1:{port}"))
            with pytest.raises(Exception, match="wants another user and password") as caught:
                await asyncio.wait_for(store.open(url, options=wrong), 30)
    assert proxy.asked
    assert all(one == ("127.0.0.1", server.port) for one in proxy.asked)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("status", [470, 570, 571, 572])
async def test_a_status_of_an_origin_was_taken_for_our_own_proxys(
    tmp_path: Path, peers, status: int, is_held: bool
) -> None:
    """With its words, whatever they are. It is told as that status of the server."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        own = "Streamferry-Egress: 1\r\n"
        writer.write(f"HTTP/1.1 {status} planted words\r\n{own}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    port = await peers.serve(answer)
    async with PreparedStore(tmp_path, allow=(lambda _: True) if is_held else None) as store:
        with pytest.raises(SourceError, match=f"{status}") as caught:
            await store.open(MediaUrl.parse(f"http://127.0.0.1:{port}/film.mp4"))
    assert "planted" not in str(caught.value)
    assert not isinstance(caught.value, SourceForbidden)
