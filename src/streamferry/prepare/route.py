"""How a preparation reaches origins: through which proxy, trusting whom. Light, because the child imports it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Route:
    """``proxy``: address of an egress proxy, empty for none. ``authorities``: PEM, trusted beside the system's.

    ``headers`` of requests, which were given for the address ``given_for``: see ``PeerOptions``.
    """

    proxy: str = ""
    authorities: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    given_for: str = field(default="", repr=False)

    def to_json(self) -> dict[str, Any]:
        """As part of a job."""
        return asdict(self)

    def client_options(self, *, is_async: bool = False) -> dict[str, Any]:
        """Keyword arguments for a client of httpx. Reads the system's authorities: 20 ms."""
        import ssl

        context = ssl.create_default_context()
        if self.authorities:
            context.load_verify_locations(cadata=self.authorities)
        told: dict[str, Any] = {"proxy": self.proxy or None, "verify": context}
        if self.headers:
            tell = self._teller()

            async def tell_async(request: "httpx.Request") -> None:
                tell(request)

            # Called for each request, those after redirects included.
            told["event_hooks"] = {"request": [tell_async if is_async else tell]}
        return told

    def _teller(self) -> Callable[["httpx.Request"], None]:
        options, home = PeerOptions(headers=tuple(self.headers.items())), MediaUrl.parse(self.given_for)
        names = [name.lower() for name in self.headers]

        def tell(request: "httpx.Request") -> None:
            try:
                url = MediaUrl.parse(f"{request.url.scheme}://{request.url.netloc.decode('ascii')}/")
                told = options.headers_for(url, home)
            except ValueError:  # No address that can be connected to, nor that of the headers.
                told = {}
            for name in names:
                # What an earlier request was told goes on to where it redirects.
                if name not in told and name in request.headers:
                    del request.headers[name]
            request.headers.update(told)

        return tell

    @classmethod
    def to(cls, url: MediaUrl, options: PeerOptions = NO_OPTIONS, *, proxy: str = "", authorities: str = "") -> "Route":
        """The route of one address."""
        return cls(proxy, authorities, dict(options.headers), url.reveal() if options.headers else "")


#: Straight, trusting the system's authorities.
STRAIGHT = Route()
