"""Live sources."""

from streamferry.reasons.code import ReasonCode


class Sources:
    """Live sources."""

    SOURCE_SILENT = ReasonCode(
        "source.silent",
        "the source is connected but has sent no media for {seconds:.0f} s",
        "来源已连接，但 {seconds:.0f} 秒内没有发送媒体数据",
    )
    SOURCE_NO_KEYFRAME = ReasonCode(
        "source.no_keyframe",
        "the source sends media, but no keyframe to begin with came in {seconds:.0f} s",
        "来源有数据，但 {seconds:.0f} 秒内没有可供开始的关键帧",
    )
    SOURCE_PICTURE_LOST = ReasonCode(
        "source.picture_lost",
        "the source sends sound, but no picture any more for {seconds:.0f} s",
        "来源只有声音，已有 {seconds:.0f} 秒没有画面",
    )
    SOURCE_NEW_TRACK = ReasonCode(
        "source.new_track", "the source has a track that it did not begin with", "来源中出现了开始时没有的轨道"
    )
    SOURCE_NOT_H264 = ReasonCode(
        "source.not_h264",
        "the source sends other codecs than H.264 and AAC, which its task has encoded",
        "来源的编码不是 H.264 和 AAC，将按任务设置转码",
    )
    SOURCE_OTHER_FORM = ReasonCode(
        "source.other_form",
        "the source has another codec, size or sound than what is on air, and its task has it encoded",
        "来源的编码、尺寸或声音与播出内容不同，将按任务设置转码",
    )
    SOURCE_BAD_SCHEME = ReasonCode(
        "source.bad_scheme",
        "a live source cannot be read from {scheme}: addresses",
        "无法从 {scheme}: 地址读取直播来源",
    )
    SOURCE_NOT_READ = ReasonCode(
        "source.not_read",
        "the relay fell {seconds:g} s behind the pull that it shares with others",
        "转推落后于共享拉流 {seconds:g} 秒",
    )
    SOURCE_CLOSED = ReasonCode("source.closed", "the source closed the stream", "来源关闭了流")
    SOURCE_REFUSED = ReasonCode("source.refused", "{url}: {why}", "{url}：{why}")
    SOURCE_FFMPEG_KILLED = ReasonCode(
        "source.ffmpeg_killed",
        "ffmpeg, which reads the source, was ended by signal {signal}",
        "读取来源的 ffmpeg 被信号 {signal} 终止",
    )
    SOURCE_NOT_MEDIA = ReasonCode(
        "source.not_media", "{url} gives nothing that can be read as media: {words}", "{url} 没有可读取的媒体：{words}"
    )
    SOURCE_TIME_WENT_BACK = ReasonCode(
        "source.time_went_back",
        "the source's time went back, as if it had started anew",
        "来源的时间戳倒退，似乎已重新开始",
    )
    SOURCE_NO_MEDIA = ReasonCode(
        "source.no_media", "{url} gave no media within {seconds:g} s", "{url} 在 {seconds:g} 秒内没有媒体数据"
    )
    SOURCE_NOT_STREAM = ReasonCode(
        "source.not_stream",
        "{url} answered with something that is no stream. Its type and first bytes are {type}: {begin}",
        "{url} 返回的不是流。其类型和开头为 {type}：{begin}",
    )
    SOURCE_NO_TYPE = ReasonCode("source.no_type", "no type", "无类型")
    SOURCE_NOTHING_CAME = ReasonCode("source.nothing_came", "nothing", "无内容")
    SOURCE_HLS_FINISHED = ReasonCode(
        "source.hls_finished",
        "{url} is a finished HLS playlist, a file and not a live source",
        "{url} 是已结束的 HLS 播放列表，是文件而非直播来源",
    )
    SOURCE_HLS_NO_SEGMENT = ReasonCode(
        "source.hls_no_segment",
        "{url} is a playlist to which no segment was added since the last was played",
        "{url} 的播放列表在播完之后没有新的分片",
    )
    SOURCE_HLS_EMPTY = ReasonCode(
        "source.hls_empty", "{peer} answered with an empty playlist", "{peer} 返回了空的播放列表"
    )
    SOURCE_HLS_OFF_WEB = ReasonCode(
        "source.hls_off_web",
        "{url} names an address that is neither http:// nor https://",
        "{url} 引用了非 http://、https:// 的地址",
    )
    SOURCE_HLS_BAD_VARIANT = ReasonCode(
        "source.hls_bad_variant", "{url} names a variant that is no address: {why}", "{url} 的子列表地址无效：{why}"
    )
    SOURCE_HLS_BAD_ADDRESS = ReasonCode(
        "source.hls_bad_address", "{url} names something that is no address", "{url} 引用了无效的地址"
    )
    SOURCE_NEEDS_ENCODING = ReasonCode(
        "source.needs_encoding",
        "the source has {codec}, which has to be encoded",
        "来源含有需要转码的 {codec}",
    )
    SOURCE_TS_NO_PROGRAM = ReasonCode(
        "source.ts_no_program",
        "there is no table of a program in {count} bytes of it",
        "其 {count} 字节中没有节目表",
    )
    SOURCE_SCRAMBLED = ReasonCode(
        "source.scrambled", "the source is encrypted: its media cannot be read", "来源已加密，无法读取其媒体"
    )
    SOURCE_UNREADABLE = ReasonCode(
        "source.unreadable", "the source sent what cannot be read: {why}", "来源发送的数据无法读取：{why}"
    )
    SOURCE_ENDED_STREAM = ReasonCode(
        "source.ended_stream", "the source ended the stream: {words}", "来源结束了流：{words}"
    )
    SOURCE_DEAF = ReasonCode("source.deaf", "the source sends but no longer reads", "来源在发送，但不再接收")
    SOURCE_PORT_UNUSABLE = ReasonCode(
        "source.port_unusable", "nothing can be received at {url}: {why}", "无法在 {url} 接收数据：{why}"
    )
    SOURCE_CONNECTION_BROKE = ReasonCode(
        "source.connection_broke", "the connection to the source broke: {why}", "与来源的连接中断：{why}"
    )
    SOURCE_BROKE_OFF = ReasonCode("source.broke_off", "the source broke off: {words}", "来源中断：{words}")
    SOURCE_NOT_OPENED = ReasonCode("source.not_opened", "{url} cannot be opened: {words}", "{url} 无法打开：{words}")
    SOURCE_NOT_READY = ReasonCode("source.not_ready", "the source was not ready in time", "来源未能按时就绪")
    SOURCE_NOT_BEGUN = ReasonCode(
        "source.not_begun",
        "the source sends media, but none of it can be sent on yet: it begins with a keyframe of its picture",
        "来源正在发送媒体数据，但尚无可转推的内容：须从其画面的关键帧开始",
    )
    SOURCE_SENDS_NOTHING = ReasonCode(
        "source.sends_nothing", "the source is connected but sends no media", "来源已连接，但没有发送媒体数据"
    )
