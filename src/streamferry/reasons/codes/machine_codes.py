"""The machine and the service on it: what the system says, what it lacks, programs that fail."""

from streamferry.reasons.code import ReasonCode


class System:
    """What the operating system and its resolver say."""

    SYSTEM_REFUSED = ReasonCode("system.refused", "Connection refused", "连接被拒绝")
    SYSTEM_RESET = ReasonCode("system.reset", "Connection reset by peer", "连接被对方重置")
    SYSTEM_BROKEN_PIPE = ReasonCode("system.broken_pipe", "Broken pipe", "连接已断开")
    SYSTEM_NO_ROUTE = ReasonCode("system.no_route", "No route to host", "没有到主机的路由")
    SYSTEM_NETWORK_UNREACHABLE = ReasonCode("system.network_unreachable", "Network is unreachable", "网络不可达")
    SYSTEM_TIMED_OUT = ReasonCode("system.timed_out", "Connection timed out", "连接超时")
    SYSTEM_NO_PERMISSION = ReasonCode("system.no_permission", "Permission denied", "没有权限")
    SYSTEM_NOT_PERMITTED = ReasonCode("system.not_permitted", "Operation not permitted", "不允许的操作")
    SYSTEM_NO_FILE = ReasonCode("system.no_file", "No such file or directory", "没有此文件或目录")
    SYSTEM_IS_FOLDER = ReasonCode("system.is_folder", "Is a directory", "是目录")
    SYSTEM_DISK_FULL = ReasonCode("system.disk_full", "No space left on device", "磁盘已满")
    SYSTEM_QUOTA = ReasonCode("system.quota", "Disk quota exceeded", "超出磁盘配额")
    SYSTEM_READ_ONLY = ReasonCode("system.read_only", "Read-only file system", "文件系统只读")
    SYSTEM_IO = ReasonCode("system.io", "Input/output error", "输入输出错误")
    SYSTEM_ADDRESS_IN_USE = ReasonCode("system.address_in_use", "Address already in use", "地址已被占用")
    SYSTEM_NO_SUCH_HOST = ReasonCode("system.no_such_host", "Name or service not known", "无此主机名")
    SYSTEM_NAME_SERVER_SILENT = ReasonCode(
        "system.name_server_silent", "Temporary failure in name resolution", "暂时无法解析主机名"
    )
    SYSTEM_NO_ADDRESS = ReasonCode("system.no_address", "No address associated with hostname", "主机名没有对应的地址")
    SYSTEM_OTHER = ReasonCode("system.other", "{words}", "{words}")


class Lacks:
    """What this machine, and no peer, is short of or forbids."""

    LACK_OPEN_FILES = ReasonCode(
        "lack.open_files",
        "this process has too many files open (raise its limit of open files)",
        "本进程打开的文件过多（请提高打开文件数上限）",
    )
    LACK_MACHINE_FILES = ReasonCode("lack.machine_files", "this machine has too many files open", "本机打开的文件过多")
    LACK_MEMORY = ReasonCode("lack.memory", "this machine has no memory left for it", "本机没有可用的内存")
    LACK_PROCESSES = ReasonCode("lack.processes", "this machine has no room for another process", "本机无法再启动进程")
    LACK_PORTS = ReasonCode(
        "lack.ports", "this machine has no local port or address left for it", "本机没有可用的端口或地址"
    )
    LACK_DISK = ReasonCode("lack.disk", "the disk of this machine is full", "本机磁盘已满")
    LACK_QUOTA = ReasonCode("lack.quota", "the quota of the disk is used up", "磁盘配额已用尽")
    LACK_ROUTE = ReasonCode("lack.route", "this machine has no route there", "本机没有到该处的路由")
    LACK_NETWORK = ReasonCode("lack.network", "the network of this machine is down", "本机网络不可用")
    LACK_PERMISSION = ReasonCode("lack.permission", "this machine does not allow it", "本机不允许此操作")
    LACK_CONNECTION = ReasonCode(
        "lack.connection", "this machine lacks what a connection takes", "本机缺少建立连接所需的资源"
    )


class Programs:
    """Programs of ours, and what they were told."""

    PROGRAM_NOT_STARTED = ReasonCode("program.not_started", "a program cannot be started: {why}", "无法启动程序：{why}")
    PROGRAM_ANSWERED = ReasonCode("program.answered", "it answered {words}", "其返回 {words}")
    PROGRAM_REDIRECTS = ReasonCode(
        "program.redirects",
        "it redirects, which is not followed under an egress policy",
        "其重定向，而出口策略下不跟随重定向",
    )
    PROGRAM_REFUSED = ReasonCode("program.refused", "it refused the connection ({words})", "其拒绝连接（{words}）")
    PROGRAM_SILENT = ReasonCode("program.silent", "ffmpeg ended without a word", "ffmpeg 未作说明便结束了")


class Service:
    """The service itself."""

    SERVICE_NO_FFMPEG = ReasonCode(
        "service.no_ffmpeg",
        "there is no ffmpeg program; name one in STREAMFERRY_FFMPEG",
        "找不到 ffmpeg 程序，请用 STREAMFERRY_FFMPEG 指定",
    )
    SERVICE_PREPARATION_BUG = ReasonCode(
        "service.preparation_bug",
        "the preparation failed by a fault of streamferry: {place}",
        "准备文件时 streamferry 自身出错：{place}",
    )
    SERVICE_FFMPEG_NOT_STARTED = ReasonCode(
        "service.ffmpeg_not_started", "ffmpeg cannot be started: {why}", "无法启动 ffmpeg：{why}"
    )
    SERVICE_INTERNAL = ReasonCode("service.internal", "an internal error; see the log", "内部错误，详见日志")
    SERVICE_CANNOT_RUN = ReasonCode("service.cannot_run", "it cannot be run", "无法运行")
