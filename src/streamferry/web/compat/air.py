"""Further inputs, the slate and what is on air in the compatible API: extensions of ours, under names of their own."""

from typing import Any

from streamferry.media.peer_options import CONNECT_PARAMETERS
from streamferry.media.slate import SlateKind
from streamferry.reasons import Code
from streamferry.relay.inputs.policy import SWITCHING
from streamferry.relay.status import OnAir
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.inputs import InputDraft, InputSourceDraft, SlateDraft, SwitchingDraft, picture_reference
from streamferry.tasks.model import TaskInput, TaskKind, TaskSpec
from streamferry.tasks.options import OptionsDraft
from streamferry.web.addresses import show_source
from streamferry.web.compat.field_names import OPTION_NAMES
from streamferry.web.compat.schemas import InputBody, OptionsBody, SlateBody, SwitchingBody

_TEXTS = ("proxy", "bind", *CONNECT_PARAMETERS)


def read_inputs(name: str, bodies: list[InputBody]) -> list[InputDraft]:
    """Drafts of them. Raises InvalidField."""
    return [_read_input(f"{name}[{index}]", body) for index, body in enumerate(bodies)]


def _read_input(name: str, body: InputBody) -> InputDraft:
    try:
        kind = TaskKind(body.Type)
    except ValueError:
        raise InvalidField(f"{name}.Type", Code.FIELD_API_KIND) from None
    if kind is TaskKind.LIVE:
        if not body.SrcAddr:
            raise InvalidField(f"{name}.SrcAddr", Code.FIELD_REQUIRED_FOR_LIVE)
        addresses = [body.SrcAddr]
    else:
        if not body.SrcAddrS:
            raise InvalidField(f"{name}.SrcAddrS", Code.FIELD_REQUIRED_FOR_VOD)
        addresses = body.SrcAddrS
    if body.Warm not in (0, 1):
        raise InvalidField(f"{name}.Warm", Code.FIELD_API_SWITCH)
    sources = [InputSourceDraft(one, None, None) for one in addresses]
    options = None if body.Options is None else _read_options(f"{name}.Options", body.Options)
    return InputDraft(kind, sources, body.Warm == 1, options)


def _read_options(name: str, body: OptionsBody) -> OptionsDraft:
    if body.KeepDrift not in (0, 1):
        raise InvalidField(f"{name}.KeepDrift", Code.FIELD_API_SWITCH)
    texts: dict[str, Any] = {ours: getattr(body, name) or "" for ours, name in OPTION_NAMES.items() if ours in _TEXTS}
    return OptionsDraft(
        headers=body.Headers or {},
        keep_drift=body.KeepDrift == 1,
        segments_behind=body.SegmentsBehind,
        max_kbps=body.MaxKbps,
        **texts,
    )


def read_slate(_: str, body: SlateBody) -> SlateDraft:
    """A draft of it."""
    kind = None if body.Kind is None else SlateKind(body.Kind)
    return SlateDraft(kind, body.Title, body.Text, body.Color, body.Picture, body.Clip)


def read_switching(name: str, body: SwitchingBody) -> SwitchingDraft:
    """A draft of the rules. Raises InvalidField."""
    if body.Returns not in (None, 0, 1):
        raise InvalidField(f"{name}.Returns", Code.FIELD_API_SWITCH)
    returns = None if body.Returns is None else body.Returns == 1
    return SwitchingDraft(body.SwitchAfter, body.ReturnAfter, returns, body.Normalize)


def show_air(spec: TaskSpec) -> dict[str, Any]:
    """The fields of a list item that has them; an item of any other task is as the API has it."""
    item: dict[str, Any] = {}
    if spec.inputs:
        item["Inputs"] = [_show_input(one) for one in spec.inputs]
    if (slate := spec.slate) is not None:
        shown = {
            "Kind": str(slate.kind),
            "Title": slate.title,
            "Text": slate.text,
            "Color": slate.color,
            "Picture": picture_reference(slate),
            "Clip": None if slate.clip is None else show_source(slate.clip),
        }
        item["Slate"] = {name: value for name, value in shown.items() if value}
    if (rules := spec.switching) != SWITCHING:
        item["Switching"] = {
            "SwitchAfter": rules.switch_after_s,
            "ReturnAfter": rules.return_after_s,
            "Returns": int(rules.returns),
        }
        if rules.normalize != SWITCHING.normalize:
            item["Switching"]["Normalize"] = str(rules.normalize)
    return item


def _show_input(one: TaskInput) -> dict[str, Any]:
    shown: dict[str, Any] = {"Type": int(one.kind)}
    if one.kind is TaskKind.LIVE:
        shown |= {"SrcAddr": show_source(one.items[0].url), "Warm": int(one.warm)}
    else:
        shown["SrcAddrS"] = [show_source(item.url) for item in one.items]
    if told := one.options.shown():
        values = {OPTION_NAMES[name]: value for name, value in told.items()}
        shown["Options"] = {name: int(value) if value is True else value for name, value in values.items()}
    return shown


def show_on_air(on_air: OnAir | None) -> dict[str, Any]:
    """The fields of ``Run``."""
    if on_air is None:
        return {}
    shown: dict[str, Any] = {"Shown": str(on_air.shown), "Reason": str(on_air.why)}
    if on_air.input is not None:
        shown["Input"] = on_air.input
    if on_air.file:
        shown["File"] = on_air.file
    return {"OnAir": shown}
