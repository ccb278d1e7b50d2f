"""Addresses that cannot be used."""

from streamferry.reasons.code import ReasonCode


class Addresses:
    """Addresses that cannot be used."""

    ADDRESS_SRT_WITHOUT_PORT = ReasonCode(
        "address.srt_without_port", "an SRT address needs a port: srt://host:9000", "SRT 地址需要端口：srt://host:9000"
    )
    ADDRESS_UDP_WITHOUT_PORT = ReasonCode(
        "address.udp_without_port",
        "a UDP address needs a port: udp://239.1.1.1:5000",
        "UDP 地址需要端口：udp://239.1.1.1:5000",
    )
    ADDRESS_NOT_UTF8 = ReasonCode(
        "address.not_utf8", "the address holds bytes that are not UTF-8", "地址含有非 UTF-8 的字节"
    )
    ADDRESS_UNPRINTABLE = ReasonCode(
        "address.unprintable", "the address holds white space or control characters", "地址含有空白或控制字符"
    )
    ADDRESS_NO_HOST = ReasonCode("address.no_host", "the address has no host", "地址缺少主机")
    ADDRESS_RTMP_PARTS = ReasonCode(
        "address.rtmp_parts",
        "an RTMP address needs an application and a stream key: rtmp://host/app/key. If a platform shows a server "
        "and a key, give them as two fields",
        "须含应用名和推流密钥：rtmp://host/app/key。如平台分别给出服务器和密钥，请分两项填写",
    )
    ADDRESS_OF_PLATFORM = ReasonCode(
        "address.of_platform",
        "{platform} takes {form}, and here the application or the stream key is missing. If it shows a server and "
        "a key, give them as two fields",
        "{platform} 的地址形如 {form}，此处缺少应用名或推流密钥。如平台分别给出服务器和密钥，请分两项填写",
    )
    ADDRESS_SERVER_SCHEME = ReasonCode(
        "address.server_scheme",
        "a server with a key apart must start with rtmp:// or rtmps://",
        "分项填写时，服务器须以 rtmp:// 或 rtmps:// 开头",
    )
    ADDRESS_EMPTY = ReasonCode("address.empty", "the address is empty", "地址为空")
    ADDRESS_MALFORMED = ReasonCode(
        "address.malformed", "the address has a malformed host or port", "地址的主机或端口有误"
    )
    ADDRESS_SRT_MODE = ReasonCode(
        "address.srt_mode",
        "mode of an SRT address must be caller or listener, and stand there once",
        "SRT 地址的 mode 须为 caller 或 listener，且仅一次",
    )
    ADDRESS_KIND_SCHEME = ReasonCode(
        "address.kind_scheme",
        "{kind} sources cannot be read from {scheme}: addresses",
        "{kind} 来源不能从 {scheme}: 地址读取",
    )
    ADDRESS_PUSH_SCHEME = ReasonCode(
        "address.push_scheme",
        "the address must start with rtmp://, rtmps://, srt://, http:// or https://",
        "地址须以 rtmp://、rtmps://、srt://、http:// 或 https:// 开头",
    )
    ADDRESS_PUSH_PLAYLIST = ReasonCode(
        "address.push_playlist",
        "HLS is pushed to the address of a playlist: its path, or its query, must end in .m3u8",
        "HLS 须推往播放列表地址：其路径或查询须以 .m3u8 结尾",
    )
    ADDRESS_UDP_INTERFACE = ReasonCode(
        "address.udp_interface",
        "localaddr of a UDP address must be the address of an interface, of the same version of IP as the host",
        "UDP 地址的 localaddr 须为网络接口的地址，且与主机的 IP 版本相同",
    )
    ADDRESS_UDP_SENDERS = ReasonCode(
        "address.udp_senders",
        "sources of a UDP address must be up to {count} addresses, separated by commas, and its host a multicast group "
        "of the same version of IP",
        "UDP 地址的 sources 须为最多 {count} 个以逗号分隔的地址，且主机须为相同 IP 版本的组播组",
    )
    ADDRESS_NO_PORT = ReasonCode(
        "address.no_port",
        "an address of this kind needs a port: {scheme}://host:9000",
        "此类地址需要端口：{scheme}://host:9000",
    )
    ADDRESS_OPENS_PORT = ReasonCode(
        "address.opens_port",
        "would open port {port} of a worker, which is not allowed (setting listen_ports)",
        "会在工作进程上打开端口 {port}，未被允许（设置项 listen_ports）",
    )
    ADDRESS_ON_THIS_MACHINE = ReasonCode(
        "address.on_this_machine",
        "is on this machine, which the egress policy {policy} does not allow (setting egress)",
        "位于本机，出口策略 {policy} 不允许（设置项 egress）",
    )
    ADDRESS_NOT_ALLOWED = ReasonCode(
        "address.not_allowed",
        "leads to an address that the egress policy {policy} does not allow (setting egress)",
        "指向的地址不被出口策略 {policy} 允许（设置项 egress）",
    )
    ADDRESS_REFUSED = ReasonCode("address.refused", "{url} {why}", "{url} {why}")
