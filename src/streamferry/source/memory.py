"""What is known of a live source over all its sessions, so that each goes on where the one before it ended."""

from dataclasses import dataclass, field

from streamferry.media.url import MediaUrl
from streamferry.net.rtsp import Way
from streamferry.source.ffmpeg_inlet import FfmpegMemory
from streamferry.source.hls_follower import HlsFollower
from streamferry.source.hls_played_segments import HlsPlayedSegments
from streamferry.source.sound_child import SoundStarts


@dataclass(slots=True)
class RtspMemory:
    """Of an RTSP source: how media came last, and where the server sent its players while it played."""

    ways: tuple[Way, ...] = ()
    moved_to: MediaUrl | None = None


@dataclass(slots=True)
class SourceMemory:
    """Of one source. What is of HLS: none of its sessions plays again what another has played."""

    children: FfmpegMemory = field(default_factory=FfmpegMemory)
    #: Of the playlist with the picture, and of that with its sound.
    followers: tuple[HlsFollower, HlsFollower] = field(default_factory=lambda: (HlsFollower(), HlsFollower()))
    played_segments: HlsPlayedSegments = field(default_factory=HlsPlayedSegments)
    #: Variants that were refused, and until when they are not asked for first.
    poor_variants: dict[str, float] = field(default_factory=dict)
    rtsp: RtspMemory = field(default_factory=RtspMemory)
    sound_starts: SoundStarts = field(default_factory=SoundStarts)
    #: Whether its last session that was long enough to tell had no sound.
    is_mute: bool = False
    #: Whether it is to be had as early as its server gives it: by parts of segments, where HLS has them.
    is_low_latency: bool = False
    #: Whether it has something that only ffmpeg reads.
    needs_ffmpeg: bool = False
