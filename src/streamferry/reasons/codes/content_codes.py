"""What is wrong with the content of a stream, for those that have it watched."""

from streamferry.reasons.code import ReasonCode


class Contents:
    """What is seen and heard, or not."""

    CONTENT_BLACK = ReasonCode("content.black", "the picture is black", "画面全黑")
    CONTENT_FROZEN = ReasonCode("content.frozen", "the picture does not change", "画面静止不变")
    CONTENT_SILENT = ReasonCode("content.silent", "nothing can be heard", "没有声音")
    CONTENT_LOW_BITRATE = ReasonCode(
        "content.low_bitrate", "only {kbps:.0f} kbps are sent", "发送码率仅 {kbps:.0f} kbps"
    )
    CONTENT_KEYFRAMES_FAR_APART = ReasonCode(
        "content.keyframes_far_apart",
        "there are {seconds:.1f} s from one keyframe to the next",
        "关键帧间隔达 {seconds:.1f} 秒",
    )
