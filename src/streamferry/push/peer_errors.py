"""Turns a peer's errors into errors of the destination."""

from collections.abc import Iterator
from contextlib import contextmanager

from streamferry.media.errors import (
    DestinationAbsent,
    DestinationClosed,
    DestinationForbidden,
    DestinationUnreachable,
    PeerBusy,
    PeerClosed,
    PeerForbidden,
    PeerLacksCodecs,
    PeerRefusedLogin,
    PeerRejected,
    PeerUnreachable,
    PeerUntrusted,
    PublishBusy,
    PublishLacksCodecs,
    PublishRefusedLogin,
    PublishRejected,
)


@contextmanager
def as_destination_errors() -> Iterator[None]:
    """Turn a peer's errors into the destination's, and lacks of this machine into the service's."""
    try:
        yield
    except PeerForbidden as error:
        raise DestinationForbidden(error.why) from None
    except PeerClosed as error:
        raise DestinationClosed(error.why) from None
    except PeerUntrusted as error:
        raise DestinationUnreachable(error.why) from None
    except PeerUnreachable as error:
        raise DestinationAbsent(error.why).because_of(error) from None
    except PeerLacksCodecs as error:
        raise PublishLacksCodecs(error.why) from None
    except PeerBusy as error:
        raise PublishBusy(error.why) from None
    except PeerRefusedLogin as error:
        raise PublishRefusedLogin(error.why) from None
    except PeerRejected as error:
        rejected = PublishRejected(error.why)
        rejected.retry_after_s = error.retry_after_s
        raise rejected from None
