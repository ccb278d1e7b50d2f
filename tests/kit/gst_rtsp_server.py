"""GStreamer's RTSP server playing a clip, as a program: ``gst_rtsp_server.py CLIP CODEC SOUND USER PASSWORD WAYS``.

It runs in the system's Python, which has the bindings of GStreamer, and prints its port. CODEC: h264 or h265 of the
clip, or jpeg or vp8, for which a picture is made; SOUND: aac or latm of the clip, or opus, which is made; WAYS: tcp,
udp or both; an empty USER lets anyone in. The clip is played to its end for each player; what is made has none.
"""

import sys

import gi  # type: ignore[import-not-found]  # Of the system's Python.

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

_SMALL = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1"
_PICTURES = {
    "h264": "file.video_0 ! queue ! rtph264pay",
    "h265": "file.video_0 ! queue ! rtph265pay",
    "jpeg": f"{_SMALL},format=I420 ! jpegenc ! rtpjpegpay",
    "vp8": f"{_SMALL} ! vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay",
}
_SOUNDS = {
    "aac": "file.audio_0 ! queue ! rtpmp4gpay",
    "latm": "file.audio_0 ! queue ! rtpmp4apay",
    "opus": "audiotestsrc is-live=true ! opusenc ! rtpopuspay",
}
_WAYS = {"tcp": GstRtsp.RTSPLowerTrans.TCP, "udp": GstRtsp.RTSPLowerTrans.UDP}


def main() -> None:
    clip, codec, sound, user, password, ways = sys.argv[1:]
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    tracks = f"{_PICTURES[codec]} name=pay0 pt=96 {_SOUNDS[sound]} name=pay1 pt=97"
    source = f'filesrc location="{clip}" ! qtdemux name=file' if "file." in tracks else ""
    factory.set_launch(f"( {source} {tracks} )")
    allowed = GstRtsp.RTSPLowerTrans(0)
    for way in ways.split(","):
        allowed |= _WAYS[way]
    factory.set_protocols(allowed)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    if user:
        auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
        auth.add_digest(user, password, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
        permissions.add_permission_for_role("viewer", GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
