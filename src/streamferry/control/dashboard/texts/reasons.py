"""What the rules say is wrong, in other languages. The rules speak English; a sentence that is not here stays so."""

import re
from collections.abc import Callable

#: ``reasons(sentence)``: the same in the visitor's language.
Reasons = Callable[[str], str]

# ``{}`` stands for a value, which is put in again.
_CHINESE = {
    "is required": "必填",
    "must be 1 to 20 Chinese characters, letters and digits": "须为 1 至 20 个汉字、字母或数字",
    "must be later than StartTime": "须晚于开始时间",
    "must be at most 7 days after StartTime": "距开始时间不能超过 7 天",
    "must be later than now": "须晚于当前时间",
    "must be a date and a time": "须为日期和时间",
    "is not in a folder from which files may be read (setting files)": "不在允许读取的目录内（设置项 files）",
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
    "must not hold characters outside ASCII: percent-encode them": "不能含非 ASCII 字符，请使用百分号编码",
    "must start with {}": "须以 {} 开头",
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
    "the disk of the library is full": "素材库磁盘已满",
    "the group of a task cannot be changed": "任务的分组不能更改",
}


def reasons_in(language: str) -> Reasons:
    """The translation for a language."""
    if language != "zh":
        return lambda sentence: sentence
    return _translate


def _translate(sentence: str) -> str:
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(sentence):
            return words.format(*(value.replace(" or ", " 或 ") for value in found.groups()))
    return sentence


_PATTERNS = [(re.compile(re.escape(text).replace(r"\{\}", "(.+)")), words) for text, words in _CHINESE.items()]
