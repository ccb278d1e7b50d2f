"""How runs reach their peers: deadlines, trust and egress policy, the same for all runs of a process."""

from dataclasses import dataclass, field

from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.net.dial import AllowAddress, Deadlines, DialOptions
from streamferry.net.trust import Trust, client_context


@dataclass(frozen=True, slots=True)
class Network:
    """One per process: what a TLS context has read takes 1 MiB.

    ``tls`` is used for rtmps and https addresses. ``allow`` is called with each resolved IP address; None allows all.
    """

    deadlines: Deadlines = field(default_factory=Deadlines)
    tls: Trust = field(default_factory=client_context)
    allow: AllowAddress | None = None

    @classmethod
    def trusting(cls, ca_file: str) -> "Network":
        """Trust the authorities in a PEM file in addition to the system's. Raises OSError when it is not one."""
        return cls(tls=client_context(ca_file))

    def options(self, of_peer: PeerOptions = NO_OPTIONS) -> DialOptions:
        """Keyword arguments for the openers in ``source`` and ``push``."""
        return DialOptions(deadlines=self.deadlines, tls=self.tls, allow=self.allow, options=of_peer)
