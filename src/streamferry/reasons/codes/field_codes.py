"""Values of fields."""

from streamferry.reasons.code import ReasonCode


class Fields:
    """Values of fields; said after the name of the field."""

    FIELD_REQUIRED = ReasonCode("field.required", "is required", "必填")
    FIELD_MARK_PARTS = ReasonCode("field.mark_parts", "must have picture, x, y and ratio", "须有图片、x、y 和 ratio")
    FIELD_ONE_LIVE_ADDRESS = ReasonCode(
        "field.one_live_address", "must hold one address for a live task", "直播任务须为一个地址"
    )
    FIELD_LIVE_WITHOUT_OFFSETS = ReasonCode(
        "field.live_without_offsets", "a live source has no start and no end", "直播来源没有开始和结束位置"
    )
    FIELD_NAME = ReasonCode(
        "field.name", "must be 1 to 20 Chinese characters, letters and digits", "须为 1 至 20 个汉字、字母或数字"
    )
    FIELD_YEAR = ReasonCode("field.year", "must be a time of the years 1970 to 9998", "须为 1970 至 9998 年的时间")
    FIELD_NOT_AFTER = ReasonCode("field.not_after", "must be later than {field}", "须晚于{field}")
    FIELD_WINDOW_TOO_LONG = ReasonCode(
        "field.window_too_long", "must be at most 7 days after {field}", "距{field}不能超过 7 天"
    )
    FIELD_IN_THE_PAST = ReasonCode("field.in_the_past", "must be later than now", "须晚于当前时间")
    FIELD_INSERT_TOO_EARLY = ReasonCode(
        "field.insert_too_early",
        "nothing of the task is on air at that time: it must be in one of its windows",
        "该时间任务不在播出，须在任务的播出时段内",
    )
    FIELD_INSERT_TOO_LATE = ReasonCode(
        "field.insert_too_late",
        "must be before the task ends, and at most 7 days ahead",
        "须早于任务的结束时间，且距当前不超过 7 天",
    )
    FIELD_HOST_NAME = ReasonCode(
        "field.host_name", "must be a host name, with a port if it is not 1935", "须为主机名，端口不是 1935 时须带端口"
    )
    FIELD_TOO_LONG = ReasonCode("field.too_long", "must be at most {count} characters", "最多 {count} 个字符")
    FIELD_LABEL = ReasonCode(
        "field.label",
        "must be name=value, as region=eu: letters, digits and . _ - in the name, also : and / in the value",
        "须为“名称=值”的形式，如 region=eu：名称可用字母、数字及 . _ -，值还可用 : 和 /",
    )
    FIELD_TOO_MANY_LABELS = ReasonCode("field.too_many_labels", "must be at most {count} labels", "最多 {count} 个标签")
    FIELD_PRIORITY = ReasonCode(
        "field.priority", "must be a whole number of {lowest} to {highest}", "须为 {lowest} 至 {highest} 的整数"
    )
    FIELD_ITEM_COUNT = ReasonCode("field.item_count", "must hold 1 to {count} addresses", "须为 1 至 {count} 个地址")
    FIELD_END_BEFORE_START = ReasonCode(
        "field.end_before_start",
        "must be greater than the start offset, or 0 for the file's end",
        "须大于开始位置，或为 0 表示文件末尾",
    )
    FIELD_LOOPS_OR_PLAY_TIMES = ReasonCode(
        "field.loops_or_play_times",
        "must be -1 (endless), 0 (as {field} says) or the number of loops",
        "须为 -1（无限循环）、0（由{field}决定）或循环次数",
    )
    FIELD_LOOP_COUNT = ReasonCode("field.loop_count", "must be a number of loops, 1 or more", "须为不小于 1 的循环次数")
    FIELD_PLAY_TIMES_NEEDED = ReasonCode(
        "field.play_times_needed", "must be 1 or more when {field} is 0", "{field}为 0 时须不小于 1"
    )
    FIELD_REDACTED_ADDRESS = ReasonCode(
        "field.redacted_address",
        "is an address as lists show it, with {stars} for its secrets: give the whole address",
        "密钥已隐去（{stars}），请填完整",
    )
    FIELD_HIDDEN_KEY = ReasonCode(
        "field.hidden_key",
        "is {stars}, which stands for the key that another server had: give the key itself",
        "为 {stars}，仅代表原服务器的密钥：请重新填写密钥",
    )
    FIELD_HOST_NOT_ASCII = ReasonCode(
        "field.host_not_ascii", "the host must be written in ASCII (xn--...)", "主机名须以 ASCII 书写（xn--...）"
    )
    FIELD_REQUIRED_WITHOUT = ReasonCode(
        "field.required_without", "is required when {field} is empty", "{field}为空时必填"
    )
    FIELD_STREAM_PART = ReasonCode(
        "field.stream_part", "must be made of letters, digits and _ . - /", "须由字母、数字和 _ . - / 组成"
    )
    FIELD_SECONDS = ReasonCode("field.seconds", "must be a number of seconds, 0 or more", "须为不小于 0 的秒数")
    FIELD_GROUP_FIXED = ReasonCode("field.group_fixed", "the group of a task cannot be changed", "任务的分组不能更改")
    FIELD_TOO_MANY_MB = ReasonCode(
        "field.too_many_mb", "must have at most {size_mb:.0f} MB", "不能超过 {size_mb:.0f} MB"
    )
    FIELD_FILE_NAME_LENGTH = ReasonCode(
        "field.file_name_length",
        "must have 1 to {count} bytes and not begin with a dot",
        "须为 1 至 {count} 字节，且不能以点开头",
    )
    FIELD_FILE_NAME = ReasonCode(
        "field.file_name", "must be the name of a file, without a folder", "须为不含目录的文件名"
    )
    FIELD_NOT_WHOLE = ReasonCode("field.not_whole", "did not arrive whole", "未完整到达")
    FIELD_EMPTY = ReasonCode("field.empty", "is empty", "为空")
    FIELD_PAGE_TOO_LARGE = ReasonCode(
        "field.page_too_large",
        "the addresses of these tasks are too long for one answer: ask for at most {count}",
        "这些任务的地址过长，一次最多请求 {count} 个",
    )
    FIELD_TOO_LONG_AGO = ReasonCode("field.too_long_ago", "must be at most {days} days ago", "最多为 {days} 天前")
    FIELD_STEPS_TOO_LONG_AGO = ReasonCode(
        "field.steps_too_long_ago",
        "must be at most {days} days ago for this {field}; longer ones go back further",
        "使用此 {field} 时最多为 {days} 天前；较长的间隔可查询更早的数据",
    )
    FIELD_API_TIME = ReasonCode(
        "field.api_time", "must be a time as 2026-01-31T00:00:00+08:00", "须为形如 2026-01-31T00:00:00+08:00 的时间"
    )
    FIELD_APP_AND_STREAM = ReasonCode(
        "field.app_and_stream", "App and Stream must be given together", "App 和 Stream 须同时给出"
    )
    FIELD_OTHER_GROUP = ReasonCode("field.other_group", "the task is in another group", "任务在另一个分组中")
    FIELD_REQUIRED_FOR_LIVE = ReasonCode("field.required_for_live", "is required when Type is 0", "Type 为 0 时必填")
    FIELD_REQUIRED_FOR_VOD = ReasonCode(
        "field.required_for_vod", "is required when Type is 1, or VodSrcAddrs", "Type 为 1 时必填，或给出 VodSrcAddrs"
    )
    FIELD_OFFSET_COUNT = ReasonCode(
        "field.offset_count",
        "must hold as many offsets as there are addresses ({count})",
        "位置的个数须与地址的个数相同（{count}）",
    )
    FIELD_DESTINATION_NEEDED = ReasonCode(
        "field.destination_needed", "is required, or Domain, App and Stream", "必填，或给出 Domain、App 和 Stream"
    )
    FIELD_UNIX_TIME = ReasonCode("field.unix_time", "must be a Unix time in seconds", "须为以秒为单位的 Unix 时间")
    FIELD_API_SWITCH = ReasonCode("field.api_switch", "must be 0 or 1", "须为 0 或 1")
    FIELD_CLEARED_AND_GIVEN = ReasonCode(
        "field.cleared_and_given", "{name} is to be cleared and is given at once", "{name} 同时被清除和给出"
    )
    FIELD_TWO_LISTS = ReasonCode(
        "field.two_lists", "must not be given together with SrcAddrS or OffsetS", "不能与 SrcAddrS 或 OffsetS 同时给出"
    )
    FIELD_OFFSETS_ELSEWHERE = ReasonCode(
        "field.offsets_elsewhere",
        "the task's list was given in VodSrcAddrs: give the offsets there",
        "任务的列表由 VodSrcAddrs 给出，请在其中给出位置",
    )
    FIELD_API_KIND = ReasonCode("field.api_kind", "must be 0 (live) or 1 (VOD)", "须为 0（直播）或 1（点播）")
    FIELD_TYPED_SECONDS = ReasonCode(
        "field.typed_seconds", "must be seconds, or a time as 1:30 or 0:01:30", "须为秒数，或形如 1:30、0:01:30 的时间"
    )
    FIELD_SKIPPED_TIME = ReasonCode(
        "field.skipped_time",
        "is no time in {zone} on that day: clocks go forward over it",
        "{zone} 当天没有此时刻：时钟在此拨快",
    )
    FIELD_DATE_AND_TIME = ReasonCode("field.date_and_time", "must be a date and a time", "须为日期和时间")
    FIELD_NAMED = ReasonCode("field.named", "{field}: {why}", "{field}：{why}")
    FIELD_MARK_POSITION = ReasonCode("field.mark_position", "must be at least 0 and less than 1", "须不小于 0 且小于 1")
    FIELD_MARK_RATIO = ReasonCode("field.mark_ratio", "must be greater than 0 and at most 1", "须大于 0 且不超过 1")
    FIELD_SLATE_WORDS = ReasonCode(
        "field.slate_words", "must have at most {count} characters, in one line", "最多 {count} 个字符，且只能有一行"
    )
    FIELD_SLATE_COLOR = ReasonCode("field.slate_color", "must be a colour such as #101826", "须为颜色，例如 #101826")
    FIELD_SLATE_CLIP = ReasonCode(
        "field.slate_clip",
        "must be the address of a file (file, http or https) for a slate of kind clip, and absent for any other",
        "kind 为 clip 时须为文件地址（file、http 或 https），否则须省略",
    )
    FIELD_SLATE_PICTURE = ReasonCode(
        "field.slate_picture",
        "must be given for a slate of kind picture, and be absent for any other",
        "kind 为 picture 时必填，否则须省略",
    )
    FIELD_SLATE_PICTURE_SIZE = ReasonCode(
        "field.slate_picture_size", "must have at most {size} KiB", "不得超过 {size} KiB"
    )
    FIELD_TASK_UNREADABLE = ReasonCode(
        "field.task_unreadable",
        "names a task that cannot be read any more: give it all its fields anew",
        "该任务已无法读取，请重新填写全部字段",
    )
    FIELD_ORDER_COUNT = ReasonCode(
        "field.order_count", "at most {count} orders can wait for their time", "最多可有 {count} 个待执行的指令"
    )
    FIELD_AFTER_ITEM = ReasonCode(
        "field.after_item", "only a list has a present item; a live source has none", "只有列表才有当前项，直播来源没有"
    )
    FIELD_AFTER_ITEM_AT = ReasonCode(
        "field.after_item_at",
        "must not be given together with {field}: the file plays when the present item ends",
        "不能与{field}同时给出：文件在当前项结束时播放",
    )
    FIELD_NO_SUCH_INSERT = ReasonCode(
        "field.no_such_insert",
        "no file with this number waits to be inserted: it has begun, was cancelled, or never was",
        "没有此编号的待插播文件：可能已开始播放、已取消或不存在",
    )
    FIELD_NO_INPUTS = ReasonCode(
        "field.no_inputs",
        "the task has neither further inputs nor a slate: give it one of them first",
        "任务既没有其他输入也没有垫片，请先添加",
    )
    FIELD_INPUT_COUNT = ReasonCode(
        "field.input_count", "at most {count} more inputs are possible", "最多可再加 {count} 个输入"
    )
    FIELD_BETWEEN = ReasonCode("field.between", "must be from {least:g} to {most:g}", "须为 {least:g} 至 {most:g}")
    FIELD_SWITCH_SECONDS = ReasonCode(
        "field.switch_seconds", "must be from {least:g} to {most:g} seconds", "须为 {least:g} 至 {most:g} 秒"
    )
    FIELD_NORMALIZE = ReasonCode(
        "field.normalize",
        "must be copy, first, or a size with even sides such as 1280x720",
        "须为 copy、first，或边长为偶数的尺寸，如 1280x720",
    )
    FIELD_WATCH_SWITCHES = ReasonCode(
        "field.watch_switches",
        "can be set for black, frozen and silent only",
        "仅可用于 black、frozen 与 silent",
    )
    FIELD_NO_SUCH_INPUT = ReasonCode(
        "field.no_such_input",
        "must be the number of an input, 0 to {count}, or the slate if the task has one",
        "须为输入的编号（0 至 {count}）；任务有垫片时也可为垫片",
    )
    FIELD_SOURCE_COUNT = ReasonCode(
        "field.source_count", "1 to {count} addresses are needed", "须为 1 至 {count} 个地址"
    )
    FIELD_ONE_LIVE_SOURCE = ReasonCode(
        "field.one_live_source", "a live relay takes one address", "直播转推只能有一个地址"
    )
    FIELD_DESTINATION_COUNT = ReasonCode(
        "field.destination_count", "at most {count} destinations are possible", "最多 {count} 个推流目标"
    )
    FIELD_DESTINATION_TWICE = ReasonCode("field.destination_twice", "{name} is there twice", "{name} 出现了两次")
    FIELD_DESTINATION_OR_LIST = ReasonCode(
        "field.destination_or_list",
        "the first destination is given alone or in destinations, not both",
        "第一个推流目标单独给出或在 destinations 中给出，不能同时",
    )
    FIELD_DESTINATIONS_OFF = ReasonCode(
        "field.destinations_off",
        "at least one has to be switched on; stop the task to end them all",
        "至少须启用一个；如需全部结束，请停止任务",
    )
    FIELD_DESTINATION_SAME = ReasonCode(
        "field.destination_same", "is the same as destination {name}", "与推流目标 {name} 相同"
    )
    FIELD_NO_DESTINATION = ReasonCode(
        "field.no_destination", "the task has no destination {name}", "任务没有推流目标 {name}"
    )
    FIELD_BACKUP_OF = ReasonCode(
        "field.backup_of",
        "{name} can only be the backup of a destination before it, and both must be RTMP or RTMPS",
        "{name} 只能是其前面某个推流目标的备份，且两者都须为 RTMP 或 RTMPS",
    )
    FIELD_OFFSET = ReasonCode("field.offset", "must be a number of seconds, not negative", "须为不小于 0 的秒数")
    FIELD_END_OFFSET = ReasonCode("field.end_offset", "must be greater than the start offset", "须大于开始位置")
    FIELD_LOOPS = ReasonCode("field.loops", "must be -1 (endless) or at least 1", "须为 -1（无限循环）或不小于 1")
    FIELD_PLAYHEAD = ReasonCode("field.playhead", "the item is not in the list", "列表中没有此项")
    FIELD_POSITIVE_SECONDS = ReasonCode(
        "field.positive_seconds", "must be a number of seconds greater than 0", "须为大于 0 的秒数"
    )
    FIELD_NO_FOLDERS = ReasonCode(
        "field.no_folders",
        "no files may be read: no folder is set for them (setting files)",
        "未设置可读取文件的目录（设置项 files）",
    )
    FIELD_OUTSIDE_FOLDERS = ReasonCode(
        "field.outside_folders",
        "is not in a folder from which files may be read: {folders} (setting files)",
        "不在允许读取的目录内：{folders}（设置项 files）",
    )
    FIELD_NO_SUCH_FILE = ReasonCode("field.no_such_file", "there is no such file", "没有此文件")
    FIELD_NOT_A_FILE = ReasonCode("field.not_a_file", "is not a file", "不是文件")
    FIELD_REQUIRED_WITH_OTHER_KIND = ReasonCode(
        "field.required_with_other_kind", "are required with another kind", "更改类型时必填"
    )
    FIELD_SCHEME = ReasonCode("field.scheme", "must start with {schemes:or}", "须以 {schemes:or} 开头")
    FIELD_RANGE_TOO_LARGE = ReasonCode(
        "field.range_too_large",
        "the range {why}: ask for a shorter one, or for fewer groups",
        "该时间段{why}：请缩短时间段或减少分组",
    )
    FIELD_RANGE_MANY_MINUTES = ReasonCode(
        "field.range_many_minutes",
        "holds more than {count} measured minutes of tasks",
        "包含超过 {count} 个任务计量分钟",
    )
    FIELD_RANGE_MANY_SUMS = ReasonCode(
        "field.range_many_sums", "has more than {count} sums", "包含超过 {count} 个汇总值"
    )
    FIELD_RANGE_MANY_POINTS = ReasonCode(
        "field.range_many_points",
        "the range has {points} points at this {field}, and an answer at most {count}: ask for fewer "
        "groups, a shorter range or a longer {field}",
        "该时间段在此{field}下有 {points} 个点，一次最多 {count} 个：请减少分组、缩短时间段或增大{field}",
    )
    FIELD_STEP = ReasonCode("field.step", "must be one of {steps}", "须为 {steps} 之一")
    FIELD_RANGE_TOO_LONG = ReasonCode(
        "field.range_too_long",
        "must be at most {days} days after {field} at this {other_field}",
        "在此{other_field}下距{field}不能超过 {days} 天",
    )
    FIELD_DETAIL_FIELDS = ReasonCode(
        "field.detail_fields", "must be of {names}; {count} are not", "须为 {names} 之内；其中 {count} 个不是"
    )
    FIELD_API_STRATEGY = ReasonCode(
        "field.api_strategy",
        "must be 0 (from the break) or 1 (from the break plus the time that passed)",
        "须为 0（从中断处）或 1（从中断处加上经过的时间）",
    )
    FIELD_CONTROL_CHARACTERS = ReasonCode("field.control_characters", "holds control characters", "含有控制字符")
    FIELD_PROXY = ReasonCode(
        "field.proxy",
        "must be http://host:port, socks5://host:port or socks5h://host:port, with user:password@ if it wants them",
        "须为 http://主机:端口、socks5://主机:端口或 socks5h://主机:端口，必要时带 用户:密码@",
    )
    FIELD_PROXY_CREDENTIALS = ReasonCode(
        "field.proxy_credentials",
        "user and password must be at most {count} bytes each",
        "用户名和密码各最多 {count} 字节",
    )
    FIELD_BIND = ReasonCode(
        "field.bind",
        "must be an IP address of the machine that runs the task, such as 192.0.2.7",
        "须为运行该任务的机器的 IP 地址，例如 192.0.2.7",
    )
    FIELD_NOT_FOR_DATAGRAMS = ReasonCode(
        "field.not_for_datagrams",
        "does not work for srt:// and udp:// addresses, which are not TCP: leave it empty",
        "不适用于 srt:// 和 udp:// 地址（并非 TCP）：请留空",
    )
    FIELD_HEADERS_AGAIN = ReasonCode(
        "field.headers_again",
        "must be given again, because the server or the proxy is another one than that which it was given for",
        "服务器或代理已更换，须重新填写",
    )
    FIELD_PROXY_AND_ADDRESS = ReasonCode(
        "field.proxy_and_address",
        "is another proxy, which could read the address: give the address again, too",
        "更换代理后代理可读取地址，须同时重新填写地址",
    )
    FIELD_HEADER_HIDDEN = ReasonCode(
        "field.header_hidden",
        "the value of {name} is {stars}, and there is none that this could stand for: give the whole value",
        "{name} 的值为 {stars}，但没有可对应的现有值：请填完整",
    )
    FIELD_ROTATE = ReasonCode(
        "field.rotate", "must be 0, or {least} to {most} seconds", "必须为 0，或 {least} 至 {most} 秒"
    )
    FIELD_OF_LIVE_SOURCES = ReasonCode("field.of_live_sources", "is for live sources", "仅用于直播来源")
    FIELD_OF_DESTINATIONS = ReasonCode("field.of_destinations", "is for destinations", "仅用于推流目标")
    FIELD_NO_EFFECT = ReasonCode(
        "field.no_effect",
        "has no effect on an address of this kind ({schemes}): leave it empty",
        "对此类地址（{schemes}）无效：请留空",
    )
    FIELD_HEADER_COUNT = ReasonCode("field.header_count", "must hold at most {count} headers", "最多 {count} 个请求头")
    FIELD_HEADER_NAME = ReasonCode(
        "field.header_name",
        "holds a name that no HTTP header can have: letters, digits and hyphens only",
        "含有无效的请求头名称：只能用字母、数字和连字符",
    )
    FIELD_HEADER_OURS = ReasonCode(
        "field.header_ours", "{name} cannot be given: it is set for each request", "不能填写 {name}：每次请求自动设置"
    )
    FIELD_HEADER_TWICE = ReasonCode("field.header_twice", "{name} is given twice", "{name} 重复")
    FIELD_HEADER_VALUE = ReasonCode(
        "field.header_value",
        "the value of {name} must be 1 to {count} printable ASCII characters",
        "{name} 的值须为 1 至 {count} 个可打印的 ASCII 字符",
    )
