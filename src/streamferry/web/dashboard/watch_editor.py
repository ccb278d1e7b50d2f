"""What the content is watched for, in the form: folded, since most tasks are not watched."""

from functools import partial

from nicegui import ui

from streamferry.relay.eyes.judge import SWITCHING_FAULTS, THRESHOLDS, ContentFault
from streamferry.web.dashboard.form_fields import Fields
from streamferry.web.dashboard.frame import Visitor
from streamferry.web.dashboard.watch_values import RuleValues, WatchValues


class WatchEditor:
    """Drawn where it is made. The numbers of a rule are shown while it is on."""

    def __init__(self, who: Visitor, values: WatchValues, fields: Fields) -> None:
        self._who, self._fields = who, fields
        t = who.t
        with ui.expansion(t("form.watch"), caption=t("form.watch_hint"), value=values.is_set).classes("fold") as fold:
            for fault, rule in values.rules.items():
                self._draw_rule(fault, rule)
        fields.fold("watch", fold)

    def _draw_rule(self, fault: ContentFault, rule: RuleValues) -> None:
        t, fields, name = self._who.t, self._fields, f"watch.{fault}"
        with ui.element("div").classes("stack"):
            is_on = ui.switch(t(f"content.{fault}"), value=rule.is_on)
            with ui.element("div").classes("stack") as numbers:
                with ui.element("div").classes("pair"):
                    least = THRESHOLDS[fault][0]
                    threshold = fields.number(
                        *(f"{name}.threshold", t(f"form.{fault}_threshold"), rule.threshold),
                        partial(setattr, rule, "threshold"),
                        least=least,
                    )
                    threshold.props["step"] = "any"
                    fields.number(
                        *(f"{name}.duration_s", t("form.fault_duration_s"), rule.duration_s),
                        partial(setattr, rule, "duration_s"),
                    )
                if fault in SWITCHING_FAULTS:
                    switches = ui.switch(t("form.fault_switches"), value=rule.switches)
                    switches.on_value_change(lambda event: setattr(rule, "switches", event.value))
        numbers.set_visibility(rule.is_on)

        def choose(chosen: bool) -> None:
            rule.is_on = chosen
            numbers.set_visibility(chosen)
            fields.changed()

        is_on.on_value_change(lambda event: choose(event.value))
