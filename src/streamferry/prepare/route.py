"""How a preparation reaches origins: through which proxy, trusting whom. Light, because the child imports it."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.ffmpeg_options import OWN_ANSWER, own_mark

if TYPE_CHECKING:
    import httpx

#: Among the extensions of an answer: whether our own proxy has given it.
FROM_PROXY = "from_our_proxy"


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
        # Called for each request and answer, those after redirects included.
        hooks: dict[str, Callable[..., object]] = {"response": self._mark_answer}
        if self.headers:
            hooks["request"] = self._teller()
        return {
            "proxy": self.proxy or None,
            "verify": context,
            "event_hooks": {name: [_as_async(hook) if is_async else hook] for name, hook in hooks.items()},
        }

    def _mark_answer(self, response: "httpx.Response") -> None:
        """Note whether it is from our own proxy: an origin may answer with its statuses, too."""
        said = response.headers.get(OWN_ANSWER, "")
        response.extensions[FROM_PROXY] = self.proxy != "" and said == own_mark(self.proxy)

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


def _as_async(hook: Callable[..., object]) -> Callable[..., Awaitable[None]]:
    async def call(about: object) -> None:
        hook(about)

    return call


#: Straight, trusting the system's authorities.
STRAIGHT = Route()
