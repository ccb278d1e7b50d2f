"""Deciding by a look whether an address is live or a file, for users who do not say."""

from streamferry.media.errors import MediaError
from streamferry.media.url import MediaUrl
from streamferry.net.http import open_get
from streamferry.relay.network import Network


async def looks_live(url: MediaUrl, network: Network) -> bool:
    """True for RTMP, and for HTTP that answers with FLV of no stated length. Other addresses are taken for files.

    A server that cannot be asked decides nothing: False, and the relay will meet and report the same trouble.
    """
    if url.is_rtmp:
        return True
    if url.scheme not in ("http", "https"):
        return False
    try:
        stream = await open_get(url, **network.options)
    except MediaError:
        return url.path.endswith(".flv")
    stream.connection.close()
    return stream.content_length is None and ("flv" in stream.content_type or url.path.endswith(".flv"))
