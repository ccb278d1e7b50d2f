"""Charts of the last hour of a task: rates and problems."""

from typing import Any

from nicegui import ui

from streamferry.web.dashboard.frame import Visitor
from streamferry.web.event_views import SampleView

_GRID = {"left": 52, "right": 52, "top": 46, "bottom": 24}
# Readable on the light and on the dark surface.
_INK = "#8c97a8"
_LINE = "#8c97a833"
_TOOLTIP = {"backgroundColor": "#1b2230f2", "borderWidth": 0, "textStyle": {"color": "#e4e8ee"}}


class Charts:
    """Made once per page; the data is updated."""

    def __init__(self, who: Visitor, *, is_live: bool) -> None:
        t = who.t
        self._newest = -1
        self._words = {True: t("chart.none"), False: t("chart.not_running")}
        self._none = ui.label().classes("soft")
        # A list is read from the cache: its source has no rate.
        self._drawn_rates = ("kbps_out", "kbps_in") if is_live else ("kbps_out",)
        rates = [_line(t("fact.out"), "#5c7cfa", "kbps", area=True), _line(t("fact.in"), "#12a0a0", "kbps")]
        self._rates = ui.echart(_options(rates[: len(self._drawn_rates)], "kbps"))
        troubles = [
            _bars(t("fact.dropped"), "#d6336c"),
            _bars(t("fact.retries"), "#e8890c"),
            {**_line(t("chart.late"), "#868e96", "ms"), "yAxisIndex": 1},
        ]
        self._troubles = ui.echart(_options(troubles, t("chart.count"), "ms"))
        for chart, height in ((self._rates, 200), (self._troubles, 170)):
            chart.style(f"height:{height}px").classes("chart")

    def show(self, samples: list[SampleView], *, is_running: bool) -> None:
        """Draw new samples."""
        is_empty = len(samples) < 2
        self._none.set_text(self._words[is_running])
        self._none.set_visibility(is_empty)
        for chart in (self._rates, self._troubles):
            chart.set_visibility(not is_empty)
        if is_empty or samples[-1].at_s == self._newest:
            return
        self._newest = samples[-1].at_s
        _put(self._rates, samples, self._drawn_rates)
        _put(self._troubles, samples, ("dropped_tags", "retries", "late_ms"))


def _put(chart: ui.echart, samples: list[SampleView], names: tuple[str, ...]) -> None:
    for series, name in zip(chart.options["series"], names, strict=True):
        series["data"] = [[one.at_s * 1000, getattr(one, name)] for one in samples]
    chart.update()


def _options(series: list[dict[str, Any]], *units: str) -> dict[str, Any]:
    """``units``: those of the left axis, and of a right one if there is one."""
    axis = {"axisLabel": {"color": _INK, "hideOverlap": True}, "axisLine": {"lineStyle": {"color": _LINE}}}
    return {
        "animation": False,
        "grid": _GRID,
        "legend": {"top": 0, "right": 0, "textStyle": {"color": _INK}, "itemHeight": 8, "icon": "roundRect"},
        "tooltip": {"trigger": "axis", "confine": True, **_TOOLTIP},
        "xAxis": {"type": "time", **axis, "splitLine": {"show": False}},
        "yAxis": [
            {
                "type": "value",
                "name": unit,
                "nameTextStyle": {"color": _INK, "align": "left" if at_right else "right"},
                "minInterval": 1,
                **axis,
                "splitLine": {"show": not at_right, "lineStyle": {"color": _LINE}},
            }
            for at_right, unit in enumerate(units)
        ],
        "series": series,
    }


def _line(name: str, colour: str, unit: str, *, area: bool = False) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "line", "name": name, "showSymbol": False, "color": colour, "data": []}
    shape["tooltip"] = {":valueFormatter": f"value => `${{value}} {unit}`"}
    return {**shape, "areaStyle": {"opacity": 0.12}} if area else shape


def _bars(name: str, colour: str) -> dict[str, Any]:
    return {"type": "bar", "name": name, "color": colour, "barMaxWidth": 6, "data": []}
