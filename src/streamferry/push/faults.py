"""A peer's errors, said of the destination."""

from collections.abc import Iterator
from contextlib import contextmanager

from streamferry.media.errors import (
    DestinationForbidden,
    DestinationUnreachable,
    PeerForbidden,
    PeerRejected,
    PeerUnreachable,
    PublishRejected,
)


@contextmanager
def as_destination_errors() -> Iterator[None]:
    """Say of a peer's errors that the peer is the destination; of this machine's lacks that they are the service's."""
    try:
        yield
    except PeerForbidden as error:
        raise DestinationForbidden(error.why) from None
    except PeerUnreachable as error:
        raise DestinationUnreachable(error.why).because_of(error) from None
    except PeerRejected as error:
        raise PublishRejected(error.why) from None
