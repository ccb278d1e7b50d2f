"""Files of a list: finding, reading and fetching them, and what is in them."""

from streamferry.reasons.code import ReasonCode


class Names:
    """What a file is called in a sentence about it."""

    NAME_IT = ReasonCode("name.it", "it", "它")
    NAME_PART = ReasonCode("name.part", "a part of {url}", "{url} 的一部分")
    NAME_PLAYLIST = ReasonCode("name.playlist", "a playlist that it names", "其引用的播放列表")
    NAME_VARIANT = ReasonCode("name.variant", "what it names as a variant", "其作为子列表引用的文件")
    NAME_SEGMENT = ReasonCode("name.segment", "what it names as a segment", "其作为分片引用的文件")
    NAME_HEADER = ReasonCode(
        "name.header", "what it names as a header (EXT-X-MAP)", "其作为文件头（EXT-X-MAP）引用的文件"
    )
    NAME_KEY = ReasonCode("name.key", "what it names as a key", "其作为密钥引用的文件")


class Files:
    """Files that are to be played."""

    FILE_FOLDER_MISSING = ReasonCode(
        "file.folder_missing",
        "{name} does not exist: there is no folder {folder} on the machine {machine}",
        "{name} 不存在：机器 {machine} 上没有目录 {folder}",
    )
    FILE_MISSING = ReasonCode("file.missing", "{name} does not exist", "{name} 不存在")
    FILE_MISSING_IN_FOLDER = ReasonCode(
        "file.missing_in_folder",
        "{name} does not exist in {folder} of the machine {machine}",
        "{name} 不存在于机器 {machine} 的目录 {folder} 中",
    )
    FILE_NOT_A_FILE = ReasonCode("file.not_a_file", "{name} is not a file", "{name} 不是文件")
    FILE_NOT_MEDIA = ReasonCode(
        "file.not_media", "{url} is not media we can read ({words})", "{url} 不是可读取的媒体（{words}）"
    )
    FILE_READ_WHOLE = ReasonCode(
        "file.read_whole",
        "{url} is interleaved badly: it is prepared again when it is there as a whole",
        "{url} 交错不良：待完整下载后重新准备",
    )
    FILE_CHANGED = ReasonCode(
        "file.changed", "{url} changed at its origin while it was fetched", "{url} 在下载期间于源端发生了变化"
    )
    FILE_DOWNLOAD_STOPPED = ReasonCode(
        "file.download_stopped", "the download of {url} was stopped", "{url} 的下载已停止"
    )
    FILE_WRONG_PART = ReasonCode(
        "file.wrong_part", "{url} sent another part of the file than it was asked for", "{url} 返回的不是所请求的部分"
    )
    FILE_NO_FRAME = ReasonCode("file.no_frame", "there is no frame in it", "其中没有任何帧")
    FILE_BAD_INTERLEAVE = ReasonCode(
        "file.bad_interleave",
        "its tracks are interleaved too badly to be read from front to back",
        "音视频轨道交错过差，无法从头顺序读取",
    )
    FILE_BROKEN_OFF = ReasonCode("file.broken_off", "{url} closed the connection in the middle", "{url} 中途关闭了连接")
    FILE_NOT_ALLOWED = ReasonCode(
        "file.not_allowed",
        "{url} leads to an address that the egress policy does not allow (setting egress)",
        "{url} 指向出口策略不允许的地址（设置项 egress）",
    )
    FILE_UNREACHABLE = ReasonCode("file.unreachable", "{url} cannot be connected to", "无法连接 {url}")
    FILE_CONNECT_TIMED_OUT = ReasonCode(
        "file.connect_timed_out", "{url} did not accept a connection in time", "{url} 未按时接受连接"
    )
    FILE_SILENT = ReasonCode(
        "file.silent", "{url} sent nothing for {seconds:.0f} s", "{url} 在 {seconds:.0f} 秒内没有发送数据"
    )
    FILE_REDIRECTS_TOO_OFTEN = ReasonCode(
        "file.redirects_too_often", "{url} redirects more than {count} times", "{url} 重定向超过 {count} 次"
    )
    FILE_OFF_WEB = ReasonCode(
        "file.off_web", "{url} leads to an address that is not http or https", "{url} 指向的地址不是 http 或 https"
    )
    FILE_UNREACHABLE_BECAUSE = ReasonCode(
        "file.unreachable_because", "{url} cannot be connected to: {why}", "无法连接 {url}：{why}"
    )
    FILE_NO_TRACKS = ReasonCode("file.no_tracks", "there is neither picture nor sound in it", "其中既无画面也无声音")
    FILE_NO_PICTURE_SIZE = ReasonCode(
        "file.no_picture_size", "the size of its picture cannot be told", "无法确定画面尺寸"
    )
    FILE_NO_SOUND = ReasonCode(
        "file.no_sound", "there is no sound in it, and the list is sound only", "其中没有声音，而此列表只有声音"
    )
    FILE_BAD_SCHEME = ReasonCode(
        "file.bad_scheme",
        "{url} cannot be prepared: only files, http, https and s3 can",
        "{url} 无法准备：只支持本地文件、http、https 和 s3",
    )
    FILE_END_BEFORE_START = ReasonCode(
        "file.end_before_start",
        "the end offset of {end_ms} ms is not after the start offset of {start_ms} ms",
        "结束位置 {end_ms} 毫秒不晚于开始位置 {start_ms} 毫秒",
    )
    FILE_START_AFTER_END = ReasonCode(
        "file.start_after_end",
        "the start offset of {start_ms} ms is not before the end at {duration_ms} ms",
        "开始位置 {start_ms} 毫秒不早于文件末尾 {duration_ms} 毫秒",
    )
    FILE_UNREADABLE = ReasonCode("file.unreadable", "{name} cannot be read: {why}", "{name} 无法读取：{why}")
    FILE_OUTSIDE_FOLDERS = ReasonCode(
        "file.outside_folders",
        "{name} lies outside of the folders from which files may be read on the machine {machine} (setting files)",
        "{name} 不在机器 {machine} 上允许读取的目录内（设置项 files）",
    )
    FILE_NOT_CARRIED = ReasonCode(
        "file.not_carried",
        "it holds {codecs:and}, which ffmpeg cannot put into FLV",
        "其含有 {codecs:and}，无法封装为 FLV",
    )
    FILE_NOT_DECODED = ReasonCode("file.not_decoded", "ffmpeg cannot decode it ({words})", "ffmpeg 无法解码（{words}）")
    FILE_NO_PARAMETER_SETS = ReasonCode(
        "file.no_parameter_sets",
        "neither its header nor its first picture has what a decoder needs (parameter sets)",
        "文件头与首个画面均缺少解码所需的参数集",
    )
    FILE_SOUND_LAYOUT = ReasonCode(
        "file.sound_layout",
        "its sound has a layout of loudspeakers of its own",
        "其音频使用自定义的声道布局",
    )
    FILE_NOT_COPIED = ReasonCode(
        "file.not_copied", "{url} cannot be copied to its end: it is encoded instead", "{url} 无法完整复制，改为转码"
    )
    FILE_IS_OTHER = ReasonCode(
        "file.is_other", "it is no film and no sound, but {kind}", "它不是影片或音频，而是 {kind}"
    )
    FILE_AND_OTHERS = ReasonCode(
        "file.and_others",
        "none of the {count} items can be played; one of them: {why}",
        "{count} 个条目均无法播放；其中一个：{why}",
    )
    FILE_ENCRYPTED = ReasonCode(
        "file.encrypted",
        "its media is encrypted ({scheme}); only AES-128 of HLS, with a key at an address, can be read",
        "其媒体已加密（{scheme}）；只能读取带密钥地址的 HLS AES-128",
    )
    FILE_IS_EMPTY = ReasonCode("file.is_empty", "it is empty", "为空")
    FILE_UNUSABLE = ReasonCode("file.unusable", "{url} cannot be used: {why}", "{url} 无法使用：{why}")
    FILE_SEGMENTS_LOST = ReasonCode(
        "file.segments_lost", "{url} could not be fetched in all its segments: {why}", "{url} 的部分分片未能取得：{why}"
    )
    FILE_ENDED_EARLY = ReasonCode(
        "file.ended_early", "it ended at {seconds:.1f} s, before its own end", "它在 {seconds:.1f} 秒处提前结束"
    )
    FILE_ENDED_BEFORE_CLAIMED = ReasonCode(
        "file.ended_before_claimed",
        "it ended at {seconds:.1f} s, before its own end: it claims to last {claimed_s:.1f} s",
        "它在 {seconds:.1f} 秒处提前结束：其标称时长为 {claimed_s:.1f} 秒",
    )
    FILE_HTTP_STATUS = ReasonCode(
        "file.http_status", "{url} answered with HTTP status {answer}", "{url} 返回 HTTP 状态 {answer}"
    )


class Warnings:
    """What is worth knowing of a file before it is played."""

    WARNING_NO_SOUND = ReasonCode(
        "warning.no_sound",
        "There is no sound: many platforms refuse that. A silent track is added unless it is turned off.",
        "没有声音，许多平台不接受。默认会补上静音轨。",
    )
    WARNING_SOUND_ENCODED = ReasonCode(
        "warning.sound_encoded",
        "The sound ({codec}) is encoded to AAC before it is played.",
        "音频（{codec}）将先转码为 AAC。",
    )
    WARNING_HIGH_RATE = ReasonCode(
        "warning.high_rate",
        "It needs {mbps:.0f} Mbps on average: more than most platforms take.",
        "平均码率 {mbps:.0f} Mbps，超过多数平台的上限。",
    )
    WARNING_INDEX_AT_END = ReasonCode(
        "warning.index_at_end",
        "The index (moov) is at the end: from servers without ranges nothing is played before all is "
        "there. ffmpeg -i IN -c copy -movflags +faststart OUT.mp4 moves it to the front.",
        "索引（moov）在文件末尾，服务器不支持 Range 请求时须先下载完整个文件。用 ffmpeg -i IN -c "
        "copy -movflags +faststart OUT.mp4 可将其移到开头。",
    )
    WARNING_INTERLEAVE = ReasonCode(
        "warning.interleave",
        "Sound and picture lie up to {seconds:.1f} s apart in the file: over a network it is played "
        "only when all of it is there.",
        "文件中音频与画面的位置最多相差 {seconds:.1f} 秒，经网络播放时须先下载完整个文件。",
    )
    WARNING_HIDDEN = ReasonCode(
        "warning.hidden",
        "Its edit list hides {seconds:.1f} s that a copy would send: it is encoded once, so that nothing of it "
        "goes out.",
        "其编辑列表隐藏了 {seconds:.1f} 秒，直接复制会将其发出：将转码一次，隐藏内容不会播出。",
    )
    WARNING_LEFT_OUT = ReasonCode(
        "warning.left_out",
        "It has more tracks than are played: {tracks:and} are left out.",
        "其轨道多于播放所需：不播放 {tracks:and}。",
    )
    WARNING_CHANNELS = ReasonCode(
        "warning.channels",
        "Its sound has {count} channels: many platforms take two at most.",
        "其音频有 {count} 个声道，许多平台最多接受两个。",
    )
    WARNING_RESTARTS = ReasonCode(
        "warning.restarts",
        "Its stamps begin anew in the midst of it ({count} times in what was looked at), as where recordings were put "
        "into one file: they are played one after the other.",
        "文件中时间戳重新开始（已检查部分中 {count} 次），如同多段录制合并为一个文件：将依次播放。",
    )
    WARNING_PICTURE_ENCODED = ReasonCode(
        "warning.picture_encoded",
        "The picture ({notes}) is encoded to H.264 once, before or while it is first played.",
        "画面（{notes}）将在首次播放前或播放时转码为 H.264 一次。",
    )
    WARNING_KEYFRAMES = ReasonCode(
        "warning.keyframes",
        "Keyframes are up to {seconds:.1f} s apart: viewers wait as long to join, offsets and "
        "returns after a break are as coarse, and platforms ask for 2 to 4 s.",
        "关键帧间隔最长 {seconds:.1f} 秒：观众进入时须等待同样时长，截取与恢复位置也同样粗略；平台一般要求 2 至 4 秒。",
    )
    WARNING_B_FRAMES = ReasonCode(
        "warning.b_frames",
        "It has B-frames: RTMP carries them, but services that play by WebRTC may stutter.",
        "含有 B 帧：RTMP 可以承载，但以 WebRTC 播放的服务可能卡顿。",
    )
    WARNING_PIXEL_ASPECT = ReasonCode(
        "warning.pixel_aspect",
        "Its pixels are not square: a platform that ignores that shows it too narrow or too wide.",
        "像素不是正方形，忽略这一点的平台会显示得过窄或过宽。",
    )
    WARNING_FRAME_RATE = ReasonCode(
        "warning.frame_rate",
        "{rate:g} frames a second are more than most platforms take.",
        "每秒 {rate:g} 帧，超过多数平台的上限。",
    )
