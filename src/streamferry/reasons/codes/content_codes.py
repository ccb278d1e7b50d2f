"""What is wrong with the content of a stream, for those that have it watched."""

from streamferry.reasons.code import ReasonCode


class Contents:
    """What is seen and heard, or not."""

    CONTENT_BLACK = ReasonCode("content.black", "the picture is black", "画面全黑")
    CONTENT_FROZEN = ReasonCode("content.frozen", "the picture does not change", "画面静止不变")
    CONTENT_SILENT = ReasonCode("content.silent", "nothing can be heard", "没有声音")
    CONTENT_PICTURE_UNSEEN = ReasonCode(
        "content.picture_unseen", "the picture cannot be watched: {why}", "无法检测画面：{why}"
    )
    CONTENT_SOUND_UNSEEN = ReasonCode(
        "content.sound_unseen", "the sound cannot be watched: {why}", "无法检测声音：{why}"
    )
    CONTENT_DAMAGED = ReasonCode("content.damaged", "it is damaged", "数据已损坏")
    CONTENT_DECODER_ENDED = ReasonCode("content.decoder_ended", "the decoder has ended", "解码程序已退出")
    CONTENT_NO_AAC = ReasonCode("content.no_aac", "no AAC", "不是 AAC")
    CONTENT_NO_ANSWER = ReasonCode(
        "content.no_answer", "there was no answer in {seconds:g} s", "{seconds:g} 秒内没有结果"
    )
    CONTENT_NO_STILL = ReasonCode(
        "content.no_still",
        "no keyframe of H.264 or HEVC that stands by itself",
        "没有可独立解码的 H.264 或 HEVC 关键帧",
    )
    CONTENT_LOW_BITRATE = ReasonCode(
        "content.low_bitrate", "only {kbps:.0f} kbps are sent", "发送码率仅 {kbps:.0f} kbps"
    )
    CONTENT_LOW_FPS = ReasonCode(
        "content.low_fps", "only {fps:.1f} frames a second are sent", "每秒仅发送 {fps:.1f} 帧"
    )
    CONTENT_KEYFRAMES_FAR_APART = ReasonCode(
        "content.keyframes_far_apart",
        "there are {seconds:.1f} s from one keyframe to the next",
        "关键帧间隔达 {seconds:.1f} 秒",
    )
