"""Why something came on air, where a task has several inputs or a slate."""

from streamferry.reasons.code import ReasonCode


class OnAirs:
    """Why something came on air. Inputs count from 0."""

    ON_AIR_FIRST = ReasonCode("on_air.first", "the run began with it", "运行从它开始")
    ON_AIR_DOWN = ReasonCode(
        "on_air.down",
        "input {input} has sent no media for {seconds:g} s",
        "输入 {input} 已有 {seconds:g} 秒没有媒体数据",
    )
    ON_AIR_BACK = ReasonCode(
        "on_air.back", "input {input} has been well for {seconds:g} s", "输入 {input} 已恢复 {seconds:g} 秒"
    )
    ON_AIR_WELL = ReasonCode("on_air.well", "input {input} is well", "输入 {input} 正常")
    ON_AIR_BY_HAND = ReasonCode("on_air.by_hand", "it was asked for by hand", "手动切换")
    ON_AIR_EDITED = ReasonCode("on_air.edited", "the inputs were edited", "输入已修改")
    ON_AIR_BETWEEN = ReasonCode("on_air.between", "the next window has not begun", "下一时段尚未开始")
    ON_AIR_PLAYED_OUT = ReasonCode(
        "on_air.played_out",
        "input {input} was played to its end: it begins again with the next window",
        "输入 {input} 已播完，将在下一时段重新开始",
    )
    ON_AIR_INSERT = ReasonCode("on_air.insert", "a file was inserted", "插播文件")
    ON_AIR_INSERT_OVER = ReasonCode("on_air.insert_over", "the inserted file is over", "插播结束")
    ON_AIR_INSERT_FAILED = ReasonCode(
        "on_air.insert_failed", "the inserted file cannot be played: {why}", "插播的文件无法播放：{why}"
    )
    SLATE_NOT_MADE = ReasonCode("slate.not_made", "the slate could not be made: {words}", "无法制作垫片：{words}")
