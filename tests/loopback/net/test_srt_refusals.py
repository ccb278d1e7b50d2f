"""Listeners of libsrt that refuse callers, each with a reason of its own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, c_char_p, c_int, c_void_p
from ctypes.util import find_library

import pytest

from kit.waiting import free_udp_port
from streamferry.media.errors import DestinationError, PublishBusy, PublishRefusedLogin, PublishRejected
from streamferry.media.url import MediaUrl
from streamferry.net import srt
from streamferry.net.dial import Deadlines
from streamferry.push import open_session

OnCaller = CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_void_p, c_char_p)

pytestmark = pytest.mark.skipif(
    not any(map(find_library, ("srt-gnutls", "srt-openssl", "srt"))),
    reason="libsrt is not installed; run scripts/tools.sh as root",
)


@contextmanager
def listener(reason: int, passphrase: str = "") -> Iterator[int]:
    """One that refuses all callers for that reason, 0: none; gives its port."""
    library, port = srt._library(), free_udp_port()

    @OnCaller
    def refuse(_, handle, version, address, stream_id):
        if reason:
            library.srt_setrejectreason(handle, reason)
            return -1
        return 0

    handle = library.srt_create_socket()
    try:
        if passphrase:
            srt._set(library, handle, srt._PASSPHRASE, passphrase.encode(), "passphrase")
        library.srt_listen_callback(handle, refuse, None)
        address = srt._packed(socket.AF_INET, ("127.0.0.1", port))
        assert library.srt_bind(handle, address, len(address)) == 0
        assert library.srt_listen(handle, 4) == 0
        yield port
    finally:
        library.srt_close(handle)


async def refusal(port: int, query: str = "") -> DestinationError:
    url = MediaUrl.parse(f"srt://127.0.0.1:{port}?streamid=s3cret-id{query}")
    with pytest.raises(DestinationError) as caught:
        await open_session(url, deadlines=Deadlines())
    assert "s3cret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("reason", "kind", "words"),
    [
        (1401, PublishRefusedLogin, "proves nothing"),
        (1403, PublishRefusedLogin, "may not publish"),
        (1404, PublishRejected, "no such stream id"),
        (1409, PublishBusy, "publishes to this stream id already"),
        (1402, PublishRejected, "too much to do"),
        (1503, PublishRejected, "not available"),
        (1477, PublishRejected, "1477"),
        (2345, PublishRejected, "2345"),
    ],
)
async def test_reasons_that_were_all_told_as_application_defined(reason, kind, words):
    with listener(reason) as port:
        error = await refusal(port)
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("query", "words"), [("&passphrase=wr0ng-passphrase", "wrong passphrase"), ("", "one side has a passphrase")]
)
async def test_passphrases_that_do_not_fit_are_a_login_that_was_refused(query, words):
    """More tries bring nothing."""
    with listener(0, passphrase="right-passphrase") as port:
        error = await refusal(port, query)
    assert type(error) is PublishRefusedLogin
    assert words in str(error)


async def test_nobody_there_is_no_refusal():
    url = MediaUrl.parse(f"srt://127.0.0.1:{free_udp_port()}")
    with pytest.raises(DestinationError, match="nobody answered") as caught:
        await open_session(url, deadlines=Deadlines(connect=0.5))
    assert not isinstance(caught.value, PublishRejected)
