"""What the service says is wrong, in Chinese. A test holds the English to what the code says."""

# ``{}`` stands for a value, which is put in again, itself translated. The first one that fits counts.
_FIELDS = {
    "is required": "必填",
    "must be 1 to 20 Chinese characters, letters and digits": "须为 1 至 20 个汉字、字母或数字",
    "must be later than start_at": "须晚于开始时间",
    "must be at most 7 days after start_at": "距开始时间不能超过 7 天",
    "must be later than now": "须晚于当前时间",
    "must be a date and a time": "须为日期和时间",
    "is no time in {} on that day: clocks go forward over it": "{} 当天没有这一时刻：时钟在此拨快",
    "is not in a folder from which files may be read: {} (setting files)": "不在允许读取的目录内：{}（设置项 files）",
    "no files may be read: no folder is set for them (setting files)": "未设置可读取文件的目录（设置项 files）",
    "must be at most {} characters": "最多 {} 个字符",
    "must hold 1 to {} addresses": "须为 1 至 {} 个地址",
    "must be a number of seconds, 0 or more": "须为不小于 0 的秒数",
    "must be seconds, or a time as 1:30 or 0:01:30": "须为秒数，或形如 1:30、0:01:30 的时间",
    "must be greater than the start offset, or 0 for the file's end": "须大于开始位置，或为 0 表示文件末尾",
    "must be a number of loops, 1 or more": "须为不小于 1 的循环次数",
    "must be at least 0 and less than 1": "须不小于 0 且小于 1",
    "must be greater than 0 and at most 1": "须大于 0 且不超过 1",
    "must have 100 bytes to 2 MB": "图片大小须为 100 字节至 2 MB",
    "must be at most {} x {} pixels": "最大 {} x {} 像素",
    "must be data:image/<png|jpg|jpeg>;base64,<data>": "须为 PNG 或 JPEG 图片",
    "holds no valid base64": "图片数据无效",
    "the host must be written in ASCII (xn--...)": "主机名须以 ASCII 书写（xn--...）",
    "must start with {}": "须以 {} 开头",
    "holds control characters": "含有控制字符",
    "the address holds white space or control characters": "地址含有空白或控制字符",
    "the address has a malformed host or port": "地址的主机或端口有误",
    "the address has no host": "地址缺少主机",
    "the address is empty": "地址为空",
    "is an address as lists show it, with *** for its secrets: give the whole address": "密钥已隐去（***），请填完整",
    "an RTMP address needs an application and a stream key: rtmp://host/app/key": "须含应用名和推流密钥：rtmp://host/app/key",
    "must have at most {} MB": "不能超过 {} MB",
    "must have 1 to {} bytes and not begin with a dot": "须为 1 至 {} 字节，且不能以点开头",
    "must be the name of a file, without a folder": "须为不含目录的文件名",
    "did not arrive whole": "未完整到达",
    "is empty": "为空",
    "there is no such file": "没有此文件",
    "the disk of the library is full: it takes {} MB more at most": "素材库磁盘已满，最多还可放入 {} MB",
    "is on this machine, which the egress policy {} does not allow (setting egress)": "位于本机，出口策略 {} 不允许"
    "（设置项 egress）",
    "leads to an address that the egress policy {} does not allow (setting egress)": "指向的地址不被出口策略 {} 允许"
    "（设置项 egress）",
    "the group of a task cannot be changed": "任务的分组不能更改",
}
_PICTURES = {
    "the data is neither a PNG nor a JPEG picture": "图片不是 PNG 或 JPEG",
    "the PNG picture is damaged: a checksum in it is wrong": "PNG 图片已损坏：校验和不符",
    "the PNG picture does not begin with its header": "PNG 图片缺少文件头",
    "the PNG picture is cut short": "PNG 图片不完整",
    "the JPEG picture is damaged: a segment does not begin where it should": "JPEG 图片已损坏",
    "the JPEG picture is cut short": "JPEG 图片不完整",
}
_DEEDS = {
    "the task was changed meanwhile: it has version {} now": "任务已被他人修改，当前版本为 {}，请重新载入后再改",
    "task {} pushes to the same destination at an overlapping time; stop it or change a window first": "任务 {} "
    "在重叠的时间段内推往同一目标，请先停止它或更改时间段",
    "task {} is {}, which {} is not for": "任务的当前状态不允许此操作",
    "there is no task {}": "没有任务 {}",
    "there is no group {}": "没有分组 {}",
    "there is no callback {}": "没有回调 {}",
    "callback {} waits for its delivery already": "该回调已在等待投递",
    "task {} has no CallbackURL any more": "任务已没有回调地址",
    "too many addresses are being looked at": "正在探测的地址过多，请稍后再试",
    "{} could not be looked at within {} s": "{} 未能在 {} 秒内完成探测",
}
_VIEWS = {
    "the task is not running: there is nothing to be seen": "任务未在运行，没有画面",
    "{} previews are open already, and more are not served": "已有 {} 路预览，暂不能再打开",
    "the worker that has the task cannot be asked for a preview": "无法向运行该任务的工作进程请求预览",
    "no thumbnail can be made: the stream has no picture": "无法生成缩略图：该流没有画面",
    "the stream ended before its first picture": "流在第一帧画面之前已结束",
}
_CALLBACKS = {
    "{} did not answer within {} s": "{} 未在 {} 秒内应答",
    "the address cannot be used": "地址无法使用",
    "{} answered {}, and redirects are not followed": "{} 返回 {}，不跟随重定向",
    "certificate of {} refused: {}": "{} 的证书被拒绝：{}",
    "TLS with {} failed": "与 {} 的 TLS 连接失败",
    "{} cannot be connected to": "无法连接 {}",
    "{} closed the connection without an answer": "{} 未应答便关闭了连接",
}
_ENDS = {
    "the source is connected but sends no media": "来源已连接，但没有发送媒体数据",
    "the destination is connected but takes no bytes": "推流目标已连接，但不接收数据",
    "the source is connected but has sent no media for {} s": "来源已连接，但 {} 秒内没有发送媒体数据",
    "the source sends sound, but no picture any more for {} s": "来源只有声音，已有 {} 秒没有画面",
    "{} is a playlist to which no segment was added since the last was played": "{} 的播放列表在播完之后没有新的分片",
    "the stream has a track now that it did not begin with": "流中出现了开始时没有的轨道",
    "the source sends media, but no keyframe to begin with came in {} s": "来源有数据，但 {} 秒内没有可供开始的关键帧",
    "the destination is connected but has taken no bytes for {} s": "推流目标已连接，但 {} 秒内没有接收数据",
    "the destination takes less than the stream needs, and no keyframe came to skip to": "推流目标的接收速度跟不上，"
    "且没有可跳到的关键帧",
    "the {} was not ready in time": "{}未能按时就绪",
    "the source closed the stream": "来源关闭了流",
    "the source ended the stream: {}": "来源结束了流：{}",
    "the connection to the source broke: {}": "与来源的连接中断：{}",
    "the source sent what cannot be read: {}": "来源发送的数据无法读取：{}",
    "the source answered with something that is not FLV": "来源返回的不是 FLV",
    "the source's time went back, as if it had started anew": "来源的时间戳倒退，似乎已重新开始",
    "the destination closed the connection": "推流目标关闭了连接",
    "the destination ended the stream: {}": "推流目标结束了流：{}",
    "the destination does not speak RTMP: {}": "推流目标不支持 RTMP：{}",
    "the connection to the destination broke: {}": "与推流目标的连接中断：{}",
    "no worker has room": "没有工作进程有空位",
    "its worker has not been heard of for {} s": "其工作进程已有 {} 秒没有消息",
    "was never started: no worker took it in its time": "从未启动：在其时间段内没有工作进程接手",
    "{} refused: {}": "{} 拒绝：{}",
    "{} ended the stream at once: {}": "{} 立即结束了流：{}",
    "{} resolves to no address that the egress policy allows (setting egress)": "{} 解析到的地址均不被出口策略允许"
    "（设置项 egress）",
    "{} leads to an address that the egress policy does not allow (setting egress)": "{} 指向出口策略不允许的地址"
    "（设置项 egress）",
    "{} did not accept a connection in time": "{} 未按时接受连接",
    "{} sent nothing for {} s": "{} 在 {} 秒内没有发送数据",
    "{} closed the connection in the middle": "{} 中途关闭了连接",
    "{} closed the connection before it answered": "{} 未应答便关闭了连接",
    "{} answered with HTTP status {} {}": "{} 返回 HTTP 状态 {} {}",
    "{} answered {}": "{} 返回 {}",
    "{} does not exist": "{} 不存在",
    "{} does not exist in {} of the machine {}": "{0} 不存在于机器 {2} 的目录 {1} 中",
    "{} does not exist: there is no folder {} on the machine {}": "{0} 不存在：机器 {2} 上没有目录 {1}",
    "{} is not a file": "{} 不是文件",
    "is not a file": "不是文件",
    "{} cannot be used: {}": "{} 无法使用：{}",
    "{} lies outside of the folders {} (setting files)": "{} 不在目录内：{}（设置项 files）",
    "from which files may be read on the machine {}": "机器 {} 上允许读取的目录",
    "would open port {} of a worker, which is not allowed (setting listen_ports)": "会在工作进程上打开端口 {}"
    "，未被允许（设置项 listen_ports）",
    "{} would open port {} of a worker, which is not allowed (setting listen_ports)": "{} 会打开端口 {}"
    "，未被允许（设置项 listen_ports）",
    "mode of an SRT address must be caller or listener, and stand there once": "SRT 地址的 mode 须为 caller 或 "
    "listener，且仅一次",
    "{} cannot be read: {}": "{} 无法读取：{}",
    "{} is not media we can read ({})": "{} 不是可读取的媒体（{}）",
    "{} holds {}, which ffmpeg cannot put into FLV": "{} 含有 {}，无法封装为 FLV",
    "{} gives nothing that can be read as media: {}": "{} 没有可读取的媒体：{}",
    "{} cannot be opened: {}": "{} 无法打开：{}",
    "{} gave no media within {} s": "{} 在 {} 秒内没有媒体数据",
    "{} timed out after {} s": "{}超时（{} 秒）",
    "{} failed: {}": "{}失败：{}",
    "connecting to {}": "连接 {} ",
    "resolving {}": "解析 {} ",
    "TLS handshake with {}": "与 {} 的 TLS 握手",
    "waiting for the answer of {}": "等待 {} 应答",
    "waiting for media of {}": "等待 {} 的媒体数据",
    "the peer closed the connection": "对方关闭了连接",
    "closed by the peer": "对方关闭了连接",
    "the disk of the cache has no room for {} (setting cache_dir)": "缓存磁盘放不下 {}（设置项 cache_dir）",
    "the disk of the cache is full: {} MB may be used, and to play this file takes {} MB (setting cache_dir)": ""
    "缓存磁盘已满：可用 {} MB，播放此文件需 {} MB（设置项 cache_dir）",
    "it is empty": "为空",
    "source": "来源",
    "destination": "推流目标",
}
_WARNINGS = {
    "There is no sound: many platforms refuse that. A silent track is added unless it is turned off.": "没有声音，"
    "许多平台不接受。默认会补上静音轨。",
    "The sound ({}) is encoded to AAC before it is played.": "音频（{}）将先转码为 AAC。",
    "It needs {} Mbps on average: more than most platforms take.": "平均码率 {} Mbps，超过多数平台的上限。",
    "The index (moov) is at the end: from servers without ranges nothing is played before all is there. "
    "ffmpeg -i IN -c copy -movflags +faststart OUT.mp4 moves it to the front.": "索引（moov）在文件末尾，"
    "服务器不支持 Range 请求时须先下载完整个文件。"
    "用 ffmpeg -i IN -c copy -movflags +faststart OUT.mp4 可将其移到开头。",
    "Sound and picture lie up to {} s apart in the file: over a network it is "
    "played only when all of it is there.": "文件中音频与画面的位置最多相差 {} 秒，经网络播放时须先下载完整个文件。",
    "The picture ({}) is encoded to H.264 once, before or while it is first played.": "画面（{}）将在首次播放前或播放时"
    "转码为 H.264 一次。",
    "Keyframes are up to {} s apart: viewers wait as long to join, offsets and returns after a "
    "break are as coarse, and platforms ask for 2 to 4 s.": "关键帧间隔最长 {} 秒：观众进入时须等待同样时长，"
    "截取与恢复位置也同样粗略；平台一般要求 2 至 4 秒。",
    "It has B-frames: RTMP carries them, but services that play by WebRTC may stutter.": "含有 B 帧：RTMP 可以承载，"
    "但以 WebRTC 播放的服务可能卡顿。",
    "Its pixels are not square: a platform that ignores that shows it too narrow or too wide.": "像素不是正方形，"
    "忽略这一点的平台会显示得过窄或过宽。",
    "{} frames a second are more than most platforms take.": "每秒 {} 帧，超过多数平台的上限。",
}
#: What operating systems and resolvers say, which is in no source of ours.
SYSTEM = {
    "Connection refused": "连接被拒绝",
    "Connection reset by peer": "连接被对方重置",
    "Broken pipe": "连接已断开",
    "No route to host": "没有到主机的路由",
    "Network is unreachable": "网络不可达",
    "Permission denied": "没有权限",
    "Name or service not known": "无此主机名",
    "Temporary failure in name resolution": "暂时无法解析主机名",
    "No address associated with hostname": "主机名没有对应的地址",
}

REASONS = _FIELDS | _PICTURES | _DEEDS | _VIEWS | _CALLBACKS | _ENDS | _WARNINGS | SYSTEM
