"""How a preparation reaches origins: through which proxy, trusting whom. Light, because the child imports it."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.ffmpeg_options import OWN_ANSWER, own_mark
from streamferry.net.s3 import Buckets, Signer

if TYPE_CHECKING:
    import httpx

#: Among the extensions of an answer: whether our own proxy has given it.
FROM_PROXY = "from_our_proxy"


@dataclass(frozen=True, slots=True)
class Route:
    """``proxy``: address of an egress proxy, empty for none. ``authorities``: PEM, trusted beside the system's.

    ``headers`` of requests, which were given for the address ``given_for``: see ``PeerOptions``. ``buckets``: of an
    ``s3:`` address, how its bucket is reached, as JSON of ``Buckets``; requests for what lies in it are signed.
    """

    proxy: str = ""
    authorities: str = ""
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    given_for: str = field(default="", repr=False)
    buckets: dict[str, Any] | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """As part of a job."""
        return asdict(self)

    def client_options(self, *, is_async: bool = False) -> dict[str, Any]:
        """Keyword arguments for a client of httpx."""
        from streamferry.net.trust import Trust

        # Called for each request and answer, those after redirects included.
        hooks: dict[str, Callable[..., object]] = {"response": self._mark_answer}
        if self.headers:
            hooks["request"] = self._teller()
        called = {name: [_as_async(hook) if is_async else hook] for name, hook in hooks.items()}
        if self.buckets is not None:
            called.setdefault("request", []).append(self._signer(is_async=is_async))
        return {"proxy": self.proxy or None, "verify": Trust(pem=self.authorities), "event_hooks": called}

    def address(self, url: MediaUrl) -> str:
        """What a request for ``url`` is for: of an ``s3:`` address where its server has it."""
        if url.scheme != "s3" or self.buckets is None:
            return url.reveal()
        return Buckets.from_json(self.buckets).address(url)

    def _signer(self, *, is_async: bool) -> Callable[..., Any]:
        """Signs each request when it is made, those after redirects and of a playlist's segments included."""
        assert self.buckets is not None
        import httpx

        signer = Signer(Buckets.from_json(self.buckets), MediaUrl.parse(self.given_for), self.authorities)

        def sign(request: httpx.Request) -> None:
            request.url = httpx.URL(signer.sign(request.method, str(request.url)))

        async def sign_async(request: httpx.Request) -> None:
            request.url = httpx.URL(await signer.sign_async(request.method, str(request.url)))

        return sign_async if is_async else sign

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
    def to(
        cls,
        url: MediaUrl,
        options: PeerOptions = NO_OPTIONS,
        *,
        proxy: str = "",
        authorities: str = "",
        buckets: Buckets | None = None,
    ) -> "Route":
        """The route of one address. ``buckets`` are for an ``s3:`` one."""
        of_s3 = buckets.to_json() if buckets is not None and url.scheme == "s3" else None
        given_for = url.reveal() if options.headers or of_s3 else ""
        return cls(proxy, authorities, dict(options.headers), given_for, of_s3)


def _as_async(hook: Callable[..., object]) -> Callable[..., Awaitable[None]]:
    async def call(about: object) -> None:
        hook(about)

    return call


#: Straight, trusting the system's authorities.
STRAIGHT = Route()
