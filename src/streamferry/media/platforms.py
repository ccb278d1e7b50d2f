"""Platforms by the hosts of their servers, and the form of address that each takes, for those who leave a part out."""

from typing import NamedTuple


class Platform(NamedTuple):
    """``form``: what the platform documents, with KEY for the stream key."""

    name: str
    form: str


# By the end of the host; the first that fits. From the platforms' own pages for encoders.
_PLATFORMS = (
    ("live-video.net", Platform("Twitch, Kick or Amazon IVS", "rtmps://HOST:443/app/KEY")),
    ("twitch.tv", Platform("Twitch", "rtmp://live.twitch.tv/app/KEY")),
    ("rtmp.youtube.com", Platform("YouTube", "rtmp://a.rtmp.youtube.com/live2/KEY")),
    ("rtmps.youtube.com", Platform("YouTube", "rtmps://a.rtmps.youtube.com/live2/KEY")),
    ("facebook.com", Platform("Facebook", "rtmps://live-api-s.facebook.com:443/rtmp/KEY")),
    ("instagram.com", Platform("Instagram", "rtmps://HOST:443/rtmp/KEY")),
    ("pscp.tv", Platform("X", "rtmps://HOST:443/x/KEY")),
    ("live.cloudflare.com", Platform("Cloudflare Stream", "rtmps://live.cloudflare.com:443/live/KEY")),
    ("live.mux.com", Platform("Mux", "rtmps://global-live.mux.com:443/app/KEY")),
    ("rtmp.t.me", Platform("Telegram", "rtmps://HOST/s/KEY")),
    ("yximgs.com", Platform("Kuaishou", "rtmp://open-push.voip.yximgs.com/gifshow/KEY")),
    ("bilivideo.com", Platform("Bilibili", "rtmp://live-push.bilivideo.com/live-bvc/KEY")),
)


def platform_of(host: str) -> Platform | None:
    """The platform whose server this is; None if it is not known."""
    name = host.lower().rstrip(".")
    return next((one for end, one in _PLATFORMS if name == end or name.endswith(f".{end}")), None)
