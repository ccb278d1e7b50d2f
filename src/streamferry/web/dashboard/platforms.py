"""What platforms document for those who push to them: see docs/howto/platforms. Only what is documented is here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """``server``: the same for everybody; empty where each is given another one, of the form ``shape``. Where the key
    is found is the text ``platform_key.`` and ``name``."""

    name: str
    server: str = ""
    shape: str = ""


PLATFORMS = (
    Platform("youtube", "rtmps://a.rtmps.youtube.com:443/live2"),
    Platform("youtube_backup", "rtmps://b.rtmps.youtube.com:443/live2?backup=1"),
    Platform("twitch", shape="rtmp://HOST/app"),
    Platform("facebook", "rtmps://rtmp-api.facebook.com:443/rtmp/"),
    Platform("x", shape="rtmps://HOST:443/x"),
    Platform("cloudflare", "rtmps://live.cloudflare.com:443/live/"),
    Platform("mux", "rtmps://global-live.mux.com:443/app"),
    Platform("ivs", shape="rtmps://HOST.contribute.live-video.net/app"),
    Platform("bilibili", "rtmp://live-push.bilivideo.com/live-bvc/"),
    Platform("kuaishou", "rtmp://open-push.voip.yximgs.com/gifshow/"),
)


def platform_at(server: str) -> Platform | None:
    """The one whose server this is."""
    return next((one for one in PLATFORMS if one.server and one.server == server.strip()), None)
