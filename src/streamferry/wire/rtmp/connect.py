"""What a client says of itself in ``connect``, which decides how servers treat it.

Specification: Adobe RTMP 1.0, section 7.2.1.1; Enhanced RTMP v2, "Enhancing NetConnection connect Command";
GoAway of Facebook's ingest servers.
"""

from collections.abc import Collection

from streamferry.media.peer_options import PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.wire.amf0 import Amf0Value
from streamferry.wire.rtmp.place import Place

#: Codecs carried, as Enhanced RTMP names them. Bodies pass through untouched, so the list is what FLV players know.
FOURCCS = ("avc1", "hvc1", "av01", "vp09", "mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3")

# Enhanced RTMP v2, "capsEx", a bit mask.
_CAN_RECONNECT = 0x01
# Names in ``flashVer``. FMSc/1.0 is what Akamai asks of encoders, as OBS says; FMLE makes some servers ask for
# a user and a password, which they do not ask of players.
_ENCODER, _PLAYER = "FMLE/3.0 (compatible; FMSc/1.0)", "LNX 9,0,124,2"

#: What a server lists that takes everything.
EVERYTHING = "*"


def is_taken(needed: Collection[str], listed: Collection[str]) -> bool:
    """Whether a server that lists these takes all those codecs. H.264 and AAC, which each takes, are not among them."""
    return EVERYTHING in listed or all(one in listed for one in needed)


def connect_fields(
    url: MediaUrl,
    place: Place,
    *,
    is_publisher: bool,
    auth: str,
    options: PeerOptions,
    lists_codecs: bool,
    is_encoder: bool,
) -> dict[str, Amf0Value]:
    """The command object, in the order in which encoders and players send it.

    ``place``: of the server that is asked, which a redirect may have named. ``auth``: what ``wire.rtmp.auth`` has
    answered, or nothing. Without ``is_encoder`` a publisher calls itself a player.
    """
    fields: dict[str, Amf0Value] = {"app": place.app + auth}
    if is_publisher:
        fields["type"] = "nonprivate"
    our_name = _ENCODER if is_publisher and is_encoder else _PLAYER
    fields["flashVer"] = options.flash_ver or our_name
    # What was given is for the server of the address, not for where that redirects to.
    is_home = place == Place.of(url)
    tc_url = (options.tc_url or url.tc_url) if is_home else place.tc_url
    if options.swf_url and is_home:
        fields["swfUrl"] = options.swf_url
    elif is_publisher:
        # As OBS does, by which servers are tried out; ffmpeg sends none.
        fields["swfUrl"] = tc_url
    fields["tcUrl"] = tc_url + auth
    if not is_publisher:
        # Bit masks of what the player decodes, as Flash Player and ffmpeg send them: everything.
        fields |= {"fpad": False, "capabilities": 15, "audioCodecs": 4071, "videoCodecs": 252, "videoFunction": 1}
    if options.page_url and is_home:
        fields["pageUrl"] = options.page_url
    if lists_codecs:
        fields["fourCcList"] = list(FOURCCS)
        if is_publisher:
            # Without these no server asks a publisher to go on in another session.
            fields |= {"capsEx": _CAN_RECONNECT, "supportsGoAway": True}
    return fields
