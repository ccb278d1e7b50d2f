"""Preparing a file: the playlists that name its parts, and the cache that keeps it."""

from streamferry.reasons.code import ReasonCode


class Playlists:
    """HLS playlists of files."""

    PLAYLIST_TOO_LARGE = ReasonCode(
        "playlist.too_large", "it leads to a playlist of more than {size_mib} MiB", "其播放列表超过 {size_mib} MiB"
    )
    PLAYLIST_STRANGE_SEGMENT = ReasonCode(
        "playlist.strange_segment",
        "{url} names a segment that is neither MPEG-TS nor MP4 nor AAC, AC-3 or MP3",
        "{url} 的某个分片既非 MPEG-TS、MP4，也非 AAC、AC-3 或 MP3",
    )
    PLAYLIST_BAD_KEY = ReasonCode(
        "playlist.bad_key", "{url} names a key that has not {size_bytes} bytes", "{url} 的密钥不是 {size_bytes} 字节"
    )
    PLAYLIST_PART_MISSING = ReasonCode(
        "playlist.part_missing",
        "{url} names a part of a file that the server does not have",
        "{url} 引用了服务器上不存在的文件部分",
    )
    PLAYLIST_NOT_HLS = ReasonCode(
        "playlist.not_hls", "it leads to something that is no HLS playlist", "其指向的不是 HLS 播放列表"
    )
    PLAYLIST_NO_ADDRESS = ReasonCode(
        "playlist.no_address", "it names something that is no address", "其中引用了无效的地址"
    )
    PLAYLIST_BAD_SCHEME = ReasonCode(
        "playlist.bad_scheme",
        "it names an address that begins with {scheme!a}; only http:// and https:// may be",
        "其中引用了以 {scheme!a} 开头的地址，只允许 http:// 和 https://",
    )
    PLAYLIST_NAMES_LOCAL_FILE = ReasonCode(
        "playlist.names_local_file",
        "it comes from the network and names a file of this machine",
        "来自网络的播放列表引用了本机文件",
    )
    PLAYLIST_OFF_WEB = ReasonCode(
        "playlist.off_web",
        "it names an address that is neither http:// nor https://",
        "其中引用了非 http://、https:// 的地址",
    )
    PLAYLIST_LIVE = ReasonCode(
        "playlist.live",
        "it is a live HLS playlist; only finished ones, with EXT-X-ENDLIST, can be prepared",
        "是直播 HLS 播放列表，只能准备带 EXT-X-ENDLIST 的已结束列表",
    )
    PLAYLIST_EMPTY = ReasonCode("playlist.empty", "it is an HLS playlist without segments", "是没有分片的 HLS 播放列表")
    PLAYLIST_NESTED = ReasonCode("playlist.nested", "its variants are playlists of playlists", "其子列表又指向播放列表")
    PLAYLIST_ENCRYPTED = ReasonCode(
        "playlist.encrypted",
        "its media is encrypted ({kind}); only AES-128 with a key at an address can be read",
        "其媒体已加密（{kind}）；只能读取带密钥地址的 AES-128",
    )
    PLAYLIST_BAD_RANGE = ReasonCode("playlist.bad_range", "it has a byte range that is none", "字节范围无效")
    PLAYLIST_TOO_MANY_SEGMENTS = ReasonCode(
        "playlist.too_many_segments", "it has more than {count} segments", "分片超过 {count} 个"
    )


class Cache:
    """The cache of prepared files."""

    CACHE_FULL = ReasonCode(
        "cache.full",
        "the disk of the cache is full: {room_mb:.0f} MB may be used, and to play this file takes "
        "{needed_mb:.0f} MB (setting cache_dir)",
        "缓存磁盘已满：可用 {room_mb:.0f} MB，播放此文件需 {needed_mb:.0f} MB（设置项 cache_dir）",
    )
    CACHE_DOWNLOAD_UNWRITABLE = ReasonCode(
        "cache.download_unwritable", "the download cannot be written to the cache: {why}", "下载内容无法写入缓存：{why}"
    )
    CACHE_PREPARATION_BROKEN_OFF = ReasonCode(
        "cache.preparation_broken_off",
        "the preparation of the file was broken off and begins anew",
        "文件的准备被中断，正在重新开始",
    )
    CACHE_NO_ROOM = ReasonCode(
        "cache.no_room",
        "the disk of the cache has no room for {name} (setting cache_dir)",
        "缓存磁盘放不下 {name}（设置项 cache_dir）",
    )
    CACHE_PREPARATION_DIED = ReasonCode(
        "cache.preparation_died",
        "the preparation process ended unexpectedly (status {status})",
        "准备进程意外结束（状态 {status}）",
    )
    CACHE_FAULT = ReasonCode(
        "cache.fault",
        "the file cannot be prepared: {kind} inside streamferry, see the log",
        "无法准备文件：streamferry 内部错误 {kind}，详见日志",
    )
    CACHE_UNUSABLE = ReasonCode("cache.unusable", "the cache cannot be used: {why}", "缓存无法使用：{why}")
    CACHE_UNWRITABLE = ReasonCode(
        "cache.unwritable", "the prepared file cannot be written: {why}", "准备好的文件无法写入：{why}"
    )
    CACHE_DISK_FULL = ReasonCode(
        "cache.disk_full",
        "the prepared file cannot be written: {why} (setting cache_dir)",
        "准备好的文件无法写入：{why}（设置项 cache_dir）",
    )
