"""Peers, whether source or destination: what was being done with them, and how it failed."""

from streamferry.reasons.code import ReasonCode


class Steps:
    """What was being done; part of other sentences."""

    STEP_CONNECTING = ReasonCode("step.connecting", "connecting to {peer}", "连接 {peer} ")
    STEP_TLS = ReasonCode("step.tls", "TLS handshake with {peer}", "与 {peer} 的 TLS 握手")
    STEP_RESOLVING = ReasonCode("step.resolving", "resolving {host}", "解析 {host} ")
    STEP_ANSWER = ReasonCode("step.answer", "waiting for the answer of {peer}", "等待 {peer} 应答")
    STEP_MEDIA = ReasonCode("step.media", "waiting for media of {peer}", "等待 {peer} 的媒体数据")
    STEP_PLAYLIST = ReasonCode("step.playlist", "reading a playlist of {peer}", "读取 {peer} 的播放列表")
    STEP_UPLOAD = ReasonCode("step.upload", "{method} to {peer}", "向 {peer} 发送 {method} ")
    STEP_PROXY = ReasonCode("step.proxy", "asking the proxy {proxy} for {host}", "请求代理 {proxy} 连接 {host} ")
    STEP_RTMP_HANDSHAKE = ReasonCode("step.rtmp_handshake", "RTMP handshake with {peer}", "与 {peer} 的 RTMP 握手")
    STEP_RTMP_HANDSHAKE_443 = ReasonCode(
        "step.rtmp_handshake_443",
        "RTMP handshake with {peer} (at port 443 most servers want rtmps://)",
        "与 {peer} 的 RTMP 握手（端口 443 的服务器大多要求 rtmps://）",
    )
    STEP_RTMP_SESSION = ReasonCode("step.rtmp_session", "RTMP {purpose} at {peer}", "在 {peer} 的 RTMP {purpose} ")
    STEP_SRT_LISTENING = ReasonCode("step.srt_listening", "listening on port {port}", "监听端口 {port} ")
    STEP_SRT_ACCEPTING = ReasonCode("step.srt_accepting", "accepting on port {port}", "在端口 {port} 接受连接")
    STEP_SRT_HANDSHAKE = ReasonCode("step.srt_handshake", "SRT handshake with {peer}", "与 {peer} 的 SRT 握手")


class Peers:
    """A peer, before it is known whether it is the source or the destination."""

    PEER_NOT_ALLOWED = ReasonCode(
        "peer.not_allowed",
        "{host} resolves to no address that the egress policy allows (setting egress)",
        "{host} 解析到的地址均不被出口策略允许（设置项 egress）",
    )
    PEER_TIMED_OUT = ReasonCode(
        "peer.timed_out", "{step} timed out after {seconds:g} s", "{step}超时（{seconds:g} 秒）"
    )
    PEER_REDIRECTS_TOO_OFTEN = ReasonCode(
        "peer.redirects_too_often",
        "{url} is one redirect too many: {count} were followed",
        "{url} 重定向次数过多：已跟随 {count} 次",
    )
    PEER_NOT_ON_WEB = ReasonCode("peer.not_on_web", "{url} is no web address", "{url} 不是网址")
    PEER_REDIRECTS_OFF_WEB = ReasonCode(
        "peer.redirects_off_web", "{url} redirects to something that is no web address", "{url} 重定向到的不是网址"
    )
    PEER_REDIRECTS_NOWHERE = ReasonCode(
        "peer.redirects_nowhere", "{url} redirects to something that is no address", "{url} 重定向到的不是有效地址"
    )
    PEER_CLOSED_UNANSWERED = ReasonCode(
        "peer.closed_unanswered", "{peer} closed the connection before it answered", "{peer} 未应答便关闭了连接"
    )
    PEER_ASKS_AUTH_AGAIN = ReasonCode(
        "peer.asks_auth_again", "{peer} asks for authentication over and over", "{peer} 一再要求身份验证"
    )
    PEER_REFUSED_LOGIN = ReasonCode(
        "peer.refused_login",
        "{peer} refuses the user and password of the address: {words} (asked again only after a minute, because more"
        " tries may lock the account)",
        "{peer} 拒绝了地址中的用户名和密码：{words}（一分钟后才会重试，以免账号被锁定）",
    )
    PEER_WANTS_LOGIN = ReasonCode(
        "peer.wants_login",
        "{peer} wants a user and a password: write them into the address, rtmp://user:password@host/app/key",
        "{peer} 需要用户名和密码：请写入地址，rtmp://用户:密码@主机/应用/密钥",
    )
    PEER_RTSP_WANTS_LOGIN = ReasonCode(
        "peer.rtsp_wants_login",
        "{peer} wants a user and a password: write them into the address, rtsp://user:password@host/path",
        "{peer} 需要用户名和密码：请写入地址，rtsp://用户:密码@主机/路径",
    )
    PEER_RTSP_NO_TRACK = ReasonCode(
        "peer.rtsp_no_track",
        "{url} describes neither a picture nor sound",
        "{url} 的描述中既没有画面也没有声音",
    )
    PEER_REDIRECTS_OFF_RTSP = ReasonCode(
        "peer.redirects_off_rtsp",
        "{peer} redirects to something that is no RTSP address, or from rtsps to rtsp",
        "{peer} 重定向到的不是 RTSP 地址，或从 rtsps 重定向到 rtsp",
    )
    PEER_REDIRECT_FORBIDDEN = ReasonCode(
        "peer.redirect_forbidden",
        "{peer} redirects to {host}, which the egress policy does not allow (setting egress)",
        "{peer} 重定向到 {host}，出口策略不允许（设置项 egress）",
    )
    PEER_REDIRECTS_OFF_RTMP = ReasonCode(
        "peer.redirects_off_rtmp",
        "{peer} redirects to something that is no RTMP address",
        "{peer} 重定向到的不是 RTMP 地址",
    )
    PEER_REDIRECTS_TO_PLAIN = ReasonCode(
        "peer.redirects_to_plain",
        "{peer} redirects from rtmps to rtmp, where the stream key could be read on the way",
        "{peer} 从 rtmps 重定向到 rtmp，推流密钥可能在途中被读取",
    )
    PEER_REDIRECTS_TO_HTTP = ReasonCode(
        "peer.redirects_to_http",
        "{url} redirects from https to http, where the stream could be read on the way",
        "{url} 从 https 重定向到 http，内容可能在途中被读取",
    )
    PEER_REDIRECTS_IN_A_CIRCLE = ReasonCode(
        "peer.redirects_in_a_circle", "{peer} redirects in a circle", "{peer} 循环重定向"
    )
    PEER_REFUSED = ReasonCode("peer.refused", "{peer} refused: {words}", "{peer} 拒绝：{words}")
    PEER_LACKS_CODECS = ReasonCode(
        "peer.lacks_codecs",
        "{peer} does not list {codecs} among the codecs that it takes",
        "{peer} 声明支持的编码中不包括 {codecs}",
    )
    PEER_ENDED_AT_ONCE = ReasonCode(
        "peer.ended_at_once", "{peer} ended the stream at once: {words}", "{peer} 立即结束了流：{words}"
    )
    PEER_NOT_A_PROXY = ReasonCode("peer.not_a_proxy", "what answers is no proxy of this kind", "应答方不是这种代理")
    PEER_PROXY_CREDENTIALS = ReasonCode(
        "peer.proxy_credentials",
        "the proxy {proxy} wants another user and password ({words}): give them in its address",
        "代理 {proxy} 需要其他用户名和密码（{words}）：请在其地址中填写",
    )
    PEER_PROXY_REFUSED = ReasonCode(
        "peer.proxy_refused", "the proxy {proxy} does not connect: {words}", "代理 {proxy} 未能连接：{words}"
    )
    PEER_PROXY_SPEAKS_OTHERWISE = ReasonCode(
        "peer.proxy_speaks_otherwise",
        "the proxy {proxy} does not answer as a proxy for {kind} does: check its kind and port",
        "代理 {proxy} 的应答不符合 {kind} 代理：请检查其类型和端口",
    )
    PEER_PROXY_CLOSED = ReasonCode(
        "peer.proxy_closed",
        "the proxy {proxy} closed the connection before it had connected",
        "代理 {proxy} 在连接成功前关闭了连接",
    )
    PEER_BIND = ReasonCode(
        "peer.bind",
        "cannot connect from {bind}: {why} (it must be an address of the machine that runs the task)",
        "无法从 {bind} 连接：{why}（须为运行该任务的机器的地址）",
    )
    PEER_BIND_FAMILY = ReasonCode(
        "peer.bind_family",
        "its name has no address that {bind} can connect to: one of IPv4, the other of IPv6",
        "域名没有 {bind} 可连接的地址：一方为 IPv4，另一方为 IPv6",
    )
    PEER_STEP_FAILED = ReasonCode("peer.step_failed", "{step} failed: {why}", "{step}失败：{why}")
    PEER_NO_NAME_SERVER = ReasonCode(
        "peer.no_name_server", "no name server of this machine answers", "本机的域名服务器均无应答"
    )
    PEER_CERTIFICATE_REFUSED = ReasonCode(
        "peer.certificate_refused", "certificate refused: {words}", "证书被拒绝：{words}"
    )
    PEER_CLOSED_IN_HANDSHAKE = ReasonCode("peer.closed_in_handshake", "closed by the peer", "对方关闭了连接")
    PEER_CLOSED = ReasonCode("peer.closed", "the peer closed the connection", "对方关闭了连接")
    PEER_NOT_TLS = ReasonCode(
        "peer.not_tls",
        "the peer does not speak TLS: its address may begin with rtmp, http or rtsp, without the s",
        "对方不使用 TLS：地址可能应以不带 s 的 rtmp、http 或 rtsp 开头",
    )
    PEER_NOT_A_HOST_NAME = ReasonCode("peer.not_a_host_name", "not a host name", "不是主机名")
    PEER_ANSWERED = ReasonCode("peer.answered", "{url} answered {answer}", "{url} 返回 {answer}")
    PEER_NO_REASON = ReasonCode("peer.no_reason", "no reason given", "未说明原因")
    PEER_REASON_NUMBER = ReasonCode("peer.reason_number", "reason {number}", "原因 {number}")
    PEER_SILENT = ReasonCode("peer.silent", "nobody answered", "无人应答")


class Srt:
    """SRT and its library."""

    SRT_NO_SOCKET = ReasonCode("srt.no_socket", "there is no socket for SRT: {words}", "无法建立 SRT 套接字：{words}")
    SRT_BAD_PASSPHRASE = ReasonCode("srt.bad_passphrase", "wrong passphrase", "口令错误")
    SRT_NO_PASSPHRASE = ReasonCode(
        "srt.no_passphrase", "one side has a passphrase and the other has none", "只有一方设置了口令"
    )
    SRT_UNAUTHORIZED = ReasonCode(
        "srt.unauthorized", "the stream id or what it holds proves nothing (1401)", "流 ID 未通过身份验证（1401）"
    )
    SRT_FORBIDDEN = ReasonCode("srt.forbidden", "this stream id may not publish (1403)", "此流 ID 无权推流（1403）")
    SRT_CONFLICT = ReasonCode(
        "srt.conflict", "somebody publishes to this stream id already (1409)", "此流 ID 已有推流（1409）"
    )
    SRT_BAD_REQUEST = ReasonCode(
        "srt.bad_request", "the stream id is not written as this server expects (1400)", "流 ID 格式不符合要求（1400）"
    )
    SRT_OVERLOADED = ReasonCode("srt.overloaded", "the server has too much to do (1402)", "服务器过载（1402）")
    SRT_NOT_FOUND = ReasonCode("srt.not_found", "there is no such stream id (1404)", "流 ID 不存在（1404）")
    SRT_BAD_MODE = ReasonCode(
        "srt.bad_mode",
        "this stream id is not for publishing; a stream id with m=publish may be (1405)",
        "此流 ID 不用于推流；可尝试 m=publish 的流 ID（1405）",
    )
    SRT_UNACCEPTABLE = ReasonCode(
        "srt.unacceptable", "the server does not take such a stream (1406, 1415)", "服务器不接受此类流（1406、1415）"
    )
    SRT_SERVER_FAILED = ReasonCode("srt.server_failed", "the server failed inside (1500)", "服务器内部错误（1500）")
    SRT_SERVER_DOWN = ReasonCode("srt.server_down", "the service is not available (1503)", "服务不可用（1503）")
    SRT_BAD_OPTION = ReasonCode("srt.bad_option", "SRT does not take this {name}", "SRT 不接受此 {name}")
    SRT_NOT_LOADED = ReasonCode(
        "srt.not_loaded", "the library libsrt cannot be loaded: {words}", "无法加载 libsrt 库：{words}"
    )
    SRT_BAD_NUMBER = ReasonCode(
        "srt.bad_number",
        "latency and pbkeylen of an SRT address must be whole numbers",
        "SRT 地址的 latency 和 pbkeylen 须为整数",
    )
    SRT_PORT_UNUSABLE = ReasonCode(
        "srt.port_unusable", "nobody can call port {port}: {why}", "无人能呼叫端口 {port}：{why}"
    )
    SRT_NO_LIBRARY = ReasonCode(
        "srt.no_library",
        "an SRT destination needs the library libsrt (Debian: apt-get install libsrt1.5-gnutls)",
        "SRT 推流目标需要 libsrt 库（Debian：apt-get install libsrt1.5-gnutls）",
    )
