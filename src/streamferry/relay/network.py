"""How runs reach their peers: deadlines, trust and egress policy, the same for all runs of a process."""

import ssl
from dataclasses import dataclass, field

from streamferry.net.dial import AllowAddress, Deadlines, DialOptions, client_context


@dataclass(frozen=True, slots=True)
class Network:
    """One for a process: a TLS context takes 20 ms to make and 1 MiB to keep.

    ``tls`` is used for rtmps and https addresses. ``allow`` is asked for each resolved IP address; None allows all.
    """

    deadlines: Deadlines = field(default_factory=Deadlines)
    tls: ssl.SSLContext = field(default_factory=client_context)
    allow: AllowAddress | None = None

    @classmethod
    def trusting(cls, ca_file: str) -> "Network":
        """Trust the authorities in a PEM file beside the system's. Raises OSError when it cannot be read as such."""
        return cls(tls=client_context(ca_file))

    @property
    def options(self) -> DialOptions:
        """As keyword arguments of the openers of ``source`` and ``push``."""
        return DialOptions(deadlines=self.deadlines, tls=self.tls, allow=self.allow)
