"""A live source in datagrams of MPEG-TS."""

import errno
from typing import Unpack

from streamferry.media.errors import SourceUnreachable, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.dial import DialOptions
from streamferry.net.listening import DatagramPlace
from streamferry.net.udp import DatagramReceiver
from streamferry.reasons import Code, InvalidValue, said_by
from streamferry.source.live import LiveInlet
from streamferry.source.memory import SourceMemory
from streamferry.source.ts import open_ts


async def open_udp(url: MediaUrl, memory: SourceMemory, **network: Unpack[DialOptions]) -> LiveInlet:
    """MPEG-TS in datagrams to a port, or to a multicast group; RTP may be around it. Raises SourceError.

    ``udp://:5000`` receives on the port of any address, ``udp://239.1.1.1:5000`` joins the group: on the interface
    with the address ``localaddr`` of the query, and from the senders ``sources``, if these are given.
    """
    if not url.port:
        raise SourceUnsupported(Code.ADDRESS_UDP_WITHOUT_PORT)
    try:
        place = DatagramPlace.of(url)
    except InvalidValue as error:
        raise SourceUnsupported(error.why) from None
    try:
        receiver = DatagramReceiver(place)
    except OSError as error:
        refusal = SourceUnreachable(Code.SOURCE_PORT_UNUSABLE, url=url.redacted, why=said_by(error))
        # The address belongs to another machine.
        raise refusal if error.errno == errno.EADDRNOTAVAIL else refusal.because_of(error) from None
    return await open_ts(url, receiver, memory, can_wait=False)
