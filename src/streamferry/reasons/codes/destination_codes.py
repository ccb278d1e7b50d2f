"""Destinations, and the watermark on the way there."""

from streamferry.reasons.code import ReasonCode


class Destinations:
    """Destinations."""

    DESTINATION_FFMPEG_ENDED = ReasonCode(
        "destination.ffmpeg_ended",
        "ffmpeg, which feeds the destination, ended: {words}",
        "为推流目标供流的 ffmpeg 已结束：{words}",
    )
    DESTINATION_NEW_TRACK = ReasonCode(
        "destination.new_track", "the stream has a track now that it did not begin with", "流中出现了开始时没有的轨道"
    )
    DESTINATION_SESSION_TOO_LONG = ReasonCode(
        "destination.session_too_long",
        "the session lasts for 49.7 days now, as long as its stamps can tell, so another one begins",
        "会话已持续 49.7 天，达到时间戳可表示的上限，将开始新的会话",
    )
    DESTINATION_TALKS_TOO_MUCH = ReasonCode(
        "destination.talks_too_much",
        "the destination sends far more than a server has to say to a publisher",
        "推流目标发送的数据远多于服务器需要告知推流端的内容",
    )
    DESTINATION_STALLED = ReasonCode(
        "destination.stalled",
        "the destination is connected but has taken no bytes for {seconds:.0f} s",
        "推流目标已连接，但 {seconds:.0f} 秒内没有接收数据",
    )
    DESTINATION_TOO_SLOW = ReasonCode(
        "destination.too_slow",
        "the destination takes less than the stream needs, and no keyframe came to skip to",
        "推流目标的接收速度跟不上，且没有可跳到的关键帧",
    )
    DESTINATION_CONNECTION_BROKE = ReasonCode(
        "destination.connection_broke", "the connection to the destination broke: {why}", "与推流目标的连接中断：{why}"
    )
    DESTINATION_ENDED_STREAM = ReasonCode(
        "destination.ended_stream", "the destination ended the stream: {words}", "推流目标结束了流：{words}"
    )
    DESTINATION_NOT_RTMP = ReasonCode(
        "destination.not_rtmp", "the destination does not speak RTMP: {why}", "推流目标不支持 RTMP：{why}"
    )
    DESTINATION_CLOSED = ReasonCode("destination.closed", "the destination closed the connection", "推流目标关闭了连接")
    DESTINATION_BAD_RTMP = ReasonCode(
        "destination.bad_rtmp",
        "the destination sent what RTMP does not allow: {why}",
        "推流目标发送了 RTMP 不允许的内容：{why}",
    )
    DESTINATION_DEAF = ReasonCode(
        "destination.deaf", "the destination asks for answers and does not take them", "推流目标要求应答却不接收应答"
    )
    DESTINATION_SRT_BROKE = ReasonCode(
        "destination.srt_broke", "the SRT connection to {peer} broke", "与 {peer} 的 SRT 连接中断"
    )
    DESTINATION_CLOSES_AT_ONCE = ReasonCode(
        "destination.closes_at_once",
        "the destination closes each stream soon after its publish: the key is refused, the broadcast is over, another"
        " publisher takes the key, or a limit such as the bit rate is exceeded",
        "推流目标每次在推流开始后不久即关闭：密钥被拒绝、直播已结束、密钥被其他推流端占用，或超出码率等限制",
    )
    DESTINATION_TAKEN_OVER = ReasonCode(
        "destination.taken_over",
        "somebody else publishes to this key: the destination ends each session of ours for another publisher",
        "有其他推流端正在使用此密钥：推流目标每次都因其他推流端而结束会话",
    )
    DESTINATION_LIMITS_SESSIONS = ReasonCode(
        "destination.limits_sessions",
        "the destination ends each session after {minutes:g} minutes, which is a limit of its platform; another begins",
        "推流目标每次在 {minutes:g} 分钟后结束会话，这是平台的限制；将开始新的会话",
    )
    DESTINATION_MOVED = ReasonCode(
        "destination.moved",
        "the destination asked for another session: the stream goes on at {peer}, without a break",
        "推流目标要求使用新的会话：推流将在 {peer} 继续，不会中断",
    )
    DESTINATION_MOVED_LATE = ReasonCode(
        "destination.moved_late",
        "the destination asked for another session at {peer}, which could not be opened beside the first: {why}; it is"
        " opened after the first has ended",
        "推流目标要求在 {peer} 使用新的会话，但无法与原会话同时打开：{why}；将在原会话结束后再打开",
    )
    DESTINATION_SILENT_BESIDE = ReasonCode(
        "destination.silent_beside", "no answer within {seconds:g} s", "{seconds:g} 秒内没有响应"
    )
    DESTINATION_STILL_BUSY = ReasonCode(
        "destination.still_busy",
        "the destination still holds our last session, or somebody else publishes to this key: {why}",
        "推流目标仍保留着上一次会话，或有其他推流端正在使用此密钥：{why}",
    )
    DESTINATION_NOT_READY = ReasonCode(
        "destination.not_ready", "the destination was not ready in time", "推流目标未能按时就绪"
    )
    DESTINATION_TAKES_NOTHING = ReasonCode(
        "destination.takes_nothing", "the destination is connected but takes no bytes", "推流目标已连接，但不接收数据"
    )
    DESTINATION_CONNECTION_CLOSED = ReasonCode("destination.connection_closed", "closed", "已关闭")


class Watermarks:
    """Watermarks on live streams."""

    WATERMARK_FFMPEG_ENDED = ReasonCode(
        "watermark.ffmpeg_ended",
        "ffmpeg, which encodes for the watermark or the codecs, ended: {words}",
        "转码（水印或编码格式）的 ffmpeg 已结束：{words}",
    )
    WATERMARK_LOOK_KILLED = ReasonCode(
        "watermark.look_killed",
        "ffmpeg, which looks at the source, was ended by signal {signal}",
        "探测来源的 ffmpeg 被信号 {signal} 终止",
    )
    WATERMARK_NOTHING_TO_MARK = ReasonCode(
        "watermark.nothing_to_mark",
        "{url} gives nothing that ffmpeg can encode",
        "{url} 没有 ffmpeg 可转码的内容",
    )
    WATERMARK_TOO_SLOW = ReasonCode(
        "watermark.too_slow",
        "encoding for the watermark or the codecs is slower than the stream: ffmpeg is {behind_s:.1f} s late",
        "转码（水印或编码格式）跟不上流的速度：ffmpeg 已落后 {behind_s:.1f} 秒",
    )
    WATERMARK_NO_BEGINNING = ReasonCode(
        "watermark.no_beginning",
        "{url} gave no beginning of a stream within {seconds:g} s",
        "{url} 在 {seconds:g} 秒内没有给出流的开头",
    )
