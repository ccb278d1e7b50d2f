"""Recurring windows."""

from streamferry.reasons.code import ReasonCode


class SeriesCodes:
    """Windows that recur, and windows without an end."""

    SERIES_RULE = ReasonCode(
        "series.rule",
        "must be a recurrence rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO,WE",
        "须为 RFC 5545 的重复规则，例如 FREQ=WEEKLY;BYDAY=MO,WE",
    )
    SERIES_PART = ReasonCode("series.part", "{part} cannot be used here", "此处不能使用 {part}")
    SERIES_TOO_OFTEN = ReasonCode(
        "series.too_often",
        "must be DAILY, WEEKLY, MONTHLY or YEARLY, with BYHOUR and BYMINUTE for at most {count} times a day",
        "须为 DAILY、WEEKLY、MONTHLY 或 YEARLY，BYHOUR 与 BYMINUTE 每天最多 {count} 次",
    )
    SERIES_OVERLAP = ReasonCode(
        "series.overlap",
        "the window that begins on {at} would begin before the one before it has ended",
        "{at} 开始的时段会在前一时段结束之前开始",
    )
    SERIES_OVER = ReasonCode(
        "series.over", "no window is left: none begins within five years", "没有剩余时段：五年内没有时段开始"
    )
    SERIES_OLD = ReasonCode("series.old", "must not be more than a year ago", "不能早于一年前")
    SERIES_ZONE = ReasonCode(
        "series.zone",
        "must be a time zone by its IANA name, such as Europe/Berlin",
        "须为 IANA 时区名，例如 Asia/Shanghai",
    )
    SERIES_DATES = ReasonCode("series.dates", "must hold at most {count} times", "最多 {count} 个时间")
    SERIES_LOCAL_TIME = ReasonCode(
        "series.local_time",
        "must be times by the clocks of the time zone, without an offset, such as 2026-12-24T20:00:00",
        "须为该时区的本地时间，不带时差，例如 2026-12-24T20:00:00",
    )
    SERIES_SLATE = ReasonCode(
        "series.slate",
        "needs a slate: give the task one, or leave the gaps between its windows empty",
        "需要垫片：请为任务设置垫片，或让时段之间留空",
    )
    SERIES_NEVER_ENDS = ReasonCode(
        "series.never_ends", "a window that recurs must have an end", "重复的时段必须有结束时间"
    )
