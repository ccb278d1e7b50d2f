"""Bytes that break a protocol."""

from streamferry.reasons.code import ReasonCode


class Protocols:
    """Bytes that break a protocol."""

    PROTOCOL_BAD_CHUNK = ReasonCode(
        "protocol.bad_chunk", "the chunked body holds something that is no chunk", "分块传输的内容中有不是分块的数据"
    )
    PROTOCOL_ANSWER_TOO_LONG = ReasonCode(
        "protocol.answer_too_long",
        "{peer} answers with more than {max_bytes} bytes",
        "{peer} 的应答超过 {max_bytes} 字节",
    )
    PROTOCOL_NOT_HTTP = ReasonCode("protocol.not_http", "{peer} does not answer in HTTP", "{peer} 的应答不是 HTTP")
    PROTOCOL_NOT_HLS = ReasonCode("protocol.not_hls", "it is no HLS playlist", "不是 HLS 播放列表")
    PROTOCOL_AMF_CUT_SHORT = ReasonCode(
        "protocol.amf_cut_short", "an AMF0 value ends before its data does", "AMF0 值不完整"
    )
    PROTOCOL_AMF_TOO_DEEP = ReasonCode(
        "protocol.amf_too_deep", "AMF0 values are nested more than {depth} deep", "AMF0 值嵌套超过 {depth} 层"
    )
    PROTOCOL_AMF_TOO_MANY = ReasonCode(
        "protocol.amf_too_many", "an AMF0 message holds more than {count} values", "AMF0 消息含有超过 {count} 个值"
    )
    PROTOCOL_AMF_ARRAY_LIES = ReasonCode(
        "protocol.amf_array_lies",
        "an AMF0 array announces more values than its message can hold",
        "AMF0 数组声明的值多于消息所能容纳",
    )
    PROTOCOL_AMF_NO_TYPE = ReasonCode("protocol.amf_no_type", "AMF0 has no type for {type}", "AMF0 没有 {type} 的类型")
    PROTOCOL_AMF_LONG_NAME = ReasonCode("protocol.amf_long_name", "a name is too long for AMF0", "名称超出 AMF0 的长度")
    PROTOCOL_AMF3 = ReasonCode(
        "protocol.amf3", "an AMF0 message switches to AMF3, which is not supported", "AMF0 消息切换到不支持的 AMF3"
    )
    PROTOCOL_AMF_REFERENCE = ReasonCode(
        "protocol.amf_reference",
        "an AMF0 message holds a reference, which is not supported",
        "AMF0 消息含有不支持的引用",
    )
    PROTOCOL_AMF_UNKNOWN_TYPE = ReasonCode(
        "protocol.amf_unknown_type",
        "an AMF0 value has the unknown type {marker:#04x}",
        "AMF0 值的类型未知：{marker:#04x}",
    )
    PROTOCOL_AMF_LARGE_NUMBER = ReasonCode(
        "protocol.amf_large_number", "a number is too large for AMF0", "数字超出 AMF0 的范围"
    )
    PROTOCOL_FLV_LARGE_TAG = ReasonCode(
        "protocol.flv_large_tag",
        "the FLV stream holds a tag of {size_bytes} bytes, more than {max_bytes}",
        "FLV 流中有 {size_bytes} 字节的标签，超过 {max_bytes}",
    )
    PROTOCOL_FLV_ENCRYPTED = ReasonCode("protocol.flv_encrypted", "the FLV stream is encrypted", "FLV 流已加密")
    PROTOCOL_FLV_UNKNOWN_TAG = ReasonCode(
        "protocol.flv_unknown_tag",
        "the FLV stream holds a tag of unknown type {type}",
        "FLV 流中有未知类型 {type} 的标签",
    )
    PROTOCOL_FLV_HEADER_CUT_SHORT = ReasonCode(
        "protocol.flv_header_cut_short", "the stream ended inside the FLV header", "流在 FLV 文件头内结束"
    )
    PROTOCOL_NOT_FLV = ReasonCode("protocol.not_flv", "the stream is not FLV", "流不是 FLV")
    PROTOCOL_FLV_BAD_HEADER = ReasonCode(
        "protocol.flv_bad_header",
        "the FLV header has an unexpected length of {size_bytes} bytes",
        "FLV 文件头长度异常：{size_bytes} 字节",
    )
    PROTOCOL_RTMP_NO_HEADER = ReasonCode(
        "protocol.rtmp_no_header",
        "the RTMP chunk stream {chunk_stream_id} begins without a full header",
        "RTMP 块流 {chunk_stream_id} 未以完整头部开始",
    )
    PROTOCOL_RTMP_MANY_STREAMS = ReasonCode(
        "protocol.rtmp_many_streams",
        "the peer uses more than {count} RTMP chunk streams",
        "对方使用了超过 {count} 个 RTMP 块流",
    )
    PROTOCOL_RTMP_MUCH_TALK = ReasonCode(
        "protocol.rtmp_much_talk",
        "more than {count} RTMP messages without media came at once",
        "一次收到超过 {count} 条不含媒体的 RTMP 消息",
    )
    PROTOCOL_RTMP_SHORT_CONTROL = ReasonCode(
        "protocol.rtmp_short_control", "an RTMP control message is too short", "RTMP 控制消息过短"
    )
    PROTOCOL_RTMP_NESTED_MESSAGE = ReasonCode(
        "protocol.rtmp_nested_message",
        "a new RTMP message begins inside an unfinished one of its chunk stream",
        "在同一块流的未完消息中开始了新的 RTMP 消息",
    )
    PROTOCOL_RTMP_MANY_LARGE = ReasonCode(
        "protocol.rtmp_many_large", "too many large RTMP messages are under way at once", "同时传输的大型 RTMP 消息过多"
    )
    PROTOCOL_RTMP_CHUNK_SIZE = ReasonCode(
        "protocol.rtmp_chunk_size",
        "the peer sets an RTMP chunk size of {size_bytes}",
        "对方设置的 RTMP 块大小为 {size_bytes}",
    )
    PROTOCOL_RTMP_LARGE_MESSAGE = ReasonCode(
        "protocol.rtmp_large_message",
        "an RTMP message of {size_bytes} bytes is larger than {max_bytes}",
        "{size_bytes} 字节的 RTMP 消息超过 {max_bytes}",
    )
    PROTOCOL_RTMP_NO_STREAM_ID = ReasonCode(
        "protocol.rtmp_no_stream_id",
        "the server's answer to createStream holds no stream id",
        "服务器对 createStream 的应答中没有流 ID",
    )
    PROTOCOL_NOT_RTSP = ReasonCode("protocol.not_rtsp", "the peer does not answer in RTSP", "对方的应答不是 RTSP")
    PROTOCOL_RTSP_LARGE = ReasonCode(
        "protocol.rtsp_large",
        "an RTSP message has more than {max_bytes} bytes",
        "RTSP 消息超过 {max_bytes} 字节",
    )
    PROTOCOL_NOT_RTMP = ReasonCode(
        "protocol.not_rtmp",
        "the peer does not speak RTMP: its first byte is {first_byte}, not {version}",
        "对方不使用 RTMP：首字节为 {first_byte}，而非 {version}",
    )
    PROTOCOL_RTMPS = ReasonCode(
        "protocol.rtmps",
        "the peer speaks TLS: this server wants an address that begins with rtmps://",
        "对方使用 TLS：此服务器的地址应以 rtmps:// 开头",
    )
    PROTOCOL_RTMP_NO_NAME = ReasonCode("protocol.rtmp_no_name", "an RTMP command has no name", "RTMP 命令没有名称")
    PROTOCOL_RTMP_LARGE_COMMAND = ReasonCode(
        "protocol.rtmp_large_command",
        "an RTMP command has {size_bytes} bytes, more than {max_bytes}",
        "RTMP 命令有 {size_bytes} 字节，超过 {max_bytes}",
    )
    PROTOCOL_RTMP_SHORT_USER_CONTROL = ReasonCode(
        "protocol.rtmp_short_user_control", "an RTMP user control message is too short", "RTMP 用户控制消息过短"
    )
    PROTOCOL_RTMP_LARGE_AGGREGATE = ReasonCode(
        "protocol.rtmp_large_aggregate",
        "an RTMP aggregate message has more than {count} tags",
        "RTMP 聚合消息包含超过 {count} 个标签",
    )
    PROTOCOL_RTMP_NO_STREAM = ReasonCode(
        "protocol.rtmp_no_stream", "there is no stream to send a status about", "没有可发送状态的流"
    )
    PROTOCOL_RTMP_NO_PLAYER = ReasonCode(
        "protocol.rtmp_no_player", "there is no player to send a tag to", "没有可接收标签的播放端"
    )
    PROTOCOL_RTMP_NOTHING_ASKED = ReasonCode(
        "protocol.rtmp_nothing_asked", "the client has asked for nothing that is not answered", "客户端没有待应答的请求"
    )
