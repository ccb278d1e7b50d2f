"""Everything that can end a session, as one tree. Policy reads ``fault`` and ``retryable``, never the text."""

import errno
import os
from enum import StrEnum
from typing import Self

from streamferry.reasons import Code, Reason, Reasoned

# What this machine, and no peer, lacks or forbids (errno(3)). ENETUNREACH means that our own kernel has no route;
# EHOSTUNREACH means that there is a route but no host, which is the peer's fault.
_OWN_LACKS = {
    errno.EMFILE: Code.LACK_OPEN_FILES,
    errno.ENFILE: Code.LACK_MACHINE_FILES,
    errno.ENOBUFS: Code.LACK_MEMORY,
    errno.ENOMEM: Code.LACK_MEMORY,
    errno.EAGAIN: Code.LACK_PROCESSES,
    errno.EADDRNOTAVAIL: Code.LACK_PORTS,
    errno.ENOSPC: Code.LACK_DISK,
    errno.EDQUOT: Code.LACK_QUOTA,
    errno.ENETUNREACH: Code.LACK_ROUTE,
    errno.ENETDOWN: Code.LACK_NETWORK,
}


def own_lack(error: BaseException) -> Reason | None:
    """What this machine lacks, if that caused the error directly or indirectly."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            break
        if isinstance(seen, OSError) and (code := _OWN_LACKS.get(seen.errno or 0)):
            return Reason.of(code)
        if isinstance(seen, PermissionError):  # By its class: errors of TLS have numbers of their own, and EPERM is 1.
            return Reason.of(Code.LACK_PERMISSION)
        seen = seen.__cause__ or seen.__context__
    return None


def tells_own_lack(words: str) -> bool:
    """The same for a program's message, which has no error number."""
    return any(os.strerror(number) in words for number in _OWN_LACKS)


class Fault(StrEnum):
    """Who has to act: the values are what status lines, callbacks and the exit status are made from."""

    USER_SOURCE = "user_source"
    USER_DESTINATION = "user_destination"
    SERVICE = "service"


class MediaError(Reasoned):
    """Base of the tree: made from a code and its parameters, which never hold a secret, or from another's reason."""

    fault: Fault = Fault.SERVICE
    retryable: bool = True
    #: For how long the peer asked not to be asked again (Retry-After, RFC 9110 10.2.3), in s; bounded.
    retry_after_s: float = 0.0

    def because_of(self, error: BaseException) -> Self:
        """The same error, but as the service's fault if ``error`` was caused by something this machine lacks."""
        if own_lack(error) is not None or (isinstance(error, PeerUnreachable) and error.is_own):
            self.fault = Fault.SERVICE
        return self

    def forget_trace(self) -> None:
        """Drop the traceback's frames, and with them their buffers: for errors that are kept to be reported."""
        self.__traceback__ = self.__cause__ = self.__context__ = None


class ProtocolError(MediaError):
    """Bytes that break a protocol. ``source`` and ``push`` decide the fault, since they know whose session it was."""


class LocalProtocolError(ProtocolError):
    """We were about to send what the protocol does not allow: a bug of ours."""

    retryable = False


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow."""


class PeerError(MediaError):
    """A connection failed. Raised by ``net``, which does not know the side; ``source`` and ``push`` set the fault."""


class PeerUnreachable(PeerError):
    """No connection: name not resolved, refused, timed out, reset or closed before it was set up."""

    #: Whether the cause is something that this machine lacks.
    is_own = False


class PeerLacking(PeerUnreachable):
    """No connection, because this machine lacks what it takes."""

    is_own = True


class PeerClosed(PeerUnreachable):
    """The peer spoke its protocol, then ended the connection without a word."""


class PeerUntrusted(PeerUnreachable):
    """The peer is there, but its certificate is not good."""


class PeerForbidden(PeerUnreachable):
    """No connection, because the egress policy allows none of the peer's addresses."""

    retryable = False


class PeerRejected(PeerError):
    """The peer answered and refused."""

    #: The HTTP status that said so, 0 if none did.
    status = 0


class PeerLacksCodecs(PeerRejected):
    """It does not list what the stream is encoded in, and was asked before it got any."""


class PeerBusy(PeerRejected):
    """The peer says that somebody publishes this stream already."""


class PeerRefusedLogin(PeerRejected):
    """Because of user and password, wrong or missing. Each further try with them brings a lock-out closer."""

    retry_after_s = 60.0


class SourceError(MediaError):
    """The source ended or could not be used."""

    fault = Fault.USER_SOURCE


class SourceNeedsEncoding(SourceError):
    """The source sends what its task has encoded: codecs that the destination takes none of, or another form."""


class SourceUnreachable(SourceError):
    """No connection: name not resolved, refused, timed out, reset."""


class SourceRejected(SourceError):
    """The source answered and refused: HTTP status, NetStream.Play failure, missing file."""


class SourceMissing(SourceRejected):
    """A file that does not exist on this machine: an immediate retry would find the same."""

    retryable = False


class SourceForbidden(SourceRejected):
    """The settings of this machine do not allow reading it: a retry would find the same."""

    retryable = False


class SourceStalled(SourceError):
    """The source is connected but sends nothing."""


class SourceEnded(SourceError):
    """The source closed a live stream."""


class SourceCutShort(SourceError):
    """A file is shorter than it claims."""


class SourceCorrupt(SourceError):
    """The source sent bytes that break its own protocol."""


class SourceUnsupported(SourceError):
    """What came is not media, or media that cannot be carried."""

    retryable = False


class SourceReaderFailed(SourceError):
    """Our program that reads the source is missing, or ended through no fault of the source."""

    fault = Fault.SERVICE


class DestinationError(MediaError):
    """The destination ended or could not be used."""

    fault = Fault.USER_DESTINATION


class DestinationUnreachable(DestinationError):
    """No connection: name not resolved, refused, timed out, reset."""


class DestinationAbsent(DestinationUnreachable):
    """Nobody answers there, or nobody yet: no connection, or no handshake."""


class DestinationClosed(DestinationUnreachable):
    """The destination spoke RTMP, then ended the connection without a word."""


class DestinationForbidden(DestinationError):
    """The settings of this machine do not allow reaching it: a retry would find the same."""

    retryable = False


class PublishRejected(DestinationError):
    """The destination answered and refused the stream."""


class PublishLacksCodecs(PublishRejected):
    """The destination does not list what the stream is encoded in."""


class PublishBusy(PublishRejected):
    """The destination says that somebody publishes this stream already, which may be our last session."""


class PublishRefusedLogin(PublishRejected):
    """Because of user and password, wrong or missing."""


class PublishEvicted(PublishRejected):
    """The destination ended the stream as it does when another publisher takes the key."""


class DestinationStalled(DestinationError):
    """The destination is connected but takes nothing."""


class DestinationUnsupported(DestinationError):
    """The address is of a kind that this machine cannot push to."""

    retryable = False


class DestinationSenderFailed(DestinationError):
    """Our program that feeds the destination is missing, or ended through no fault of the destination."""

    fault = Fault.SERVICE
