"""Tasks and events of the store as views: what may be shown of them."""

from datetime import datetime

from streamferry.media.errors import Fault
from streamferry.media.peer_options import shown_text
from streamferry.media.url import MediaUrl
from streamferry.reasons import NOT_TOLD
from streamferry.store.records import DestinationRecord, EventRecord, TaskRecord
from streamferry.tasks.model import StoredMark, TaskSpec
from streamferry.tasks.series import Series
from streamferry.tasks.texts import TEXTS
from streamferry.tasks.times import NEVER
from streamferry.web.addresses import show_callback, show_source
from streamferry.web.air_views import show_air, show_found, show_inserts, show_on_air, show_unready, show_unseen
from streamferry.web.event_views import EventView
from streamferry.web.views import (
    DestinationRunView,
    DestinationView,
    Kind,
    PlayheadView,
    RunView,
    SeriesView,
    SourceView,
    Status,
    Strategy,
    TaskView,
    TroubleView,
    WatermarkView,
)


def show_task(record: TaskRecord, now: datetime) -> TaskView:
    """A task as it may be shown."""
    spec = record.spec
    return TaskView(
        task_id=record.task_id,
        title=spec.title,
        group=spec.group,
        kind=Kind[spec.kind.name],
        status=Status[record.status(now).name],
        enabled=record.enabled,
        version=record.version,
        created_at=record.created_at,
        start_at=spec.start_at,
        end_at="never" if spec.end_at == NEVER else spec.end_at,
        series=_show_series(spec.series),
        sources=[SourceView(url=show_source(item.url), start_s=item.start_s, end_s=item.end_s) for item in spec.items],
        destination=spec.destination.redacted,
        destinations=_show_destinations(record),
        destination_server=_show_server(spec.destination),
        loops=spec.loops,
        continue_strategy=Strategy[spec.continue_strategy.name],
        pre_download=spec.pre_download,
        latency=spec.latency,
        codecs=spec.codecs,
        placement=list(spec.placement),
        priority=spec.priority,
        callback_url=show_callback(spec.callback_url),
        callback_failures=record.callback_failures,
        callbacks_ended=record.callbacks_ended,
        watermark=_show_watermark(spec),
        source_options=spec.source_options.shown(),
        destination_options=spec.destination_options.shown(),
        **show_air(spec),
        inserts=show_inserts(record, now),
        **{name: getattr(spec, name) for name in TEXTS},
        run=_show_run(record),
    )


def _show_series(series: Series | None) -> SeriesView | None:
    if series is None:
        return None
    exdates, rdates = series.dates
    return SeriesView(
        rule=series.rule,
        time_zone=series.time_zone,
        exdates=exdates,
        rdates=rdates,
        slate_between=series.slate_between,
    )


def _show_server(url: MediaUrl) -> str | None:
    """Without a key of its own the server field may hold it."""
    return shown_text(apart[0]) if (apart := url.apart) and apart[1] else None


def _show_destinations(record: TaskRecord) -> list[DestinationView]:
    runs = {one.id: one for one in record.destinations}
    return [
        DestinationView(
            id=one.id,
            to=one.url.redacted,
            server=_show_server(one.url),
            name=one.name,
            enabled=one.enabled,
            latency=one.latency,
            options=one.options.shown(),
            backup_of=one.backup_of,
            run=_show_destination_run(run) if one.enabled and (run := runs.get(one.id)) else None,
        )
        for one in record.spec.destinations
    ]


def _show_destination_run(run: DestinationRecord) -> DestinationRunView:
    return DestinationRunView(
        state=run.state,
        kbps_out=run.kbps_out,
        bytes_out=run.bytes_out,
        dropped_tags=run.dropped_tags,
        lost_s=run.lost_ms / 1000,
        retries=run.retries,
        rtt_ms=run.rtt_ms,
        fault=Fault(run.fault) if run.fault else None,
        **(run.why.told() if run.why else NOT_TOLD),
        in_trouble=run.in_trouble,
    )


def _show_watermark(spec: TaskSpec) -> WatermarkView | None:
    mark = spec.watermark
    if mark is None:
        return None
    return WatermarkView(
        media_type=mark.media_type,
        size_bytes=mark.size_bytes if isinstance(mark, StoredMark) else len(mark.picture),
        x=mark.pos_x,
        y=mark.pos_y,
        ratio=mark.ratio,
    )


def _show_run(record: TaskRecord) -> RunView:
    return RunView(
        state=record.state,
        worker_id=record.worker_id,
        epoch=record.epoch,
        playhead=_show_playhead(record),
        kbps_in=record.kbps_in,
        kbps_out=record.kbps_out,
        media_time_s=record.media_time_ms / 1000,
        bytes_in=record.bytes_in,
        bytes_out=record.bytes_out,
        preparing_percent=record.preparing_percent,
        repairs=record.repairs,
        sound_drift_s=None if record.sound_drift_ms is None else record.sound_drift_ms / 1000,
        dropped_tags=record.dropped_tags,
        lost_s=record.lost_ms / 1000,
        lost_packets=record.lost_packets,
        rtt_ms=record.rtt_ms,
        retransmits=record.retransmits,
        delivery_kbps=record.delivery_kbps,
        server_ack_s=record.server_ack_s,
        retries=record.retries,
        fault=Fault(record.fault) if record.fault else None,
        **(record.why.told() if record.why else NOT_TOLD),
        trouble=_show_trouble(record),
        found=show_found(record.found),
        unseen=show_unseen(record.unseen),
        unready=show_unready(record.unready),
        on_air=show_on_air(record.on_air),
    )


def _show_trouble(record: TaskRecord) -> TroubleView | None:
    one = record.trouble
    if one is None:
        return None
    return TroubleView(since_at=one.since_at, tries=one.tries, fault=Fault(one.fault), **one.why.told())


def _show_playhead(record: TaskRecord) -> PlayheadView | None:
    stands = record.playhead
    if stands is None or record.playhead_at is None:
        return None
    ends = record.item_ends_ms
    end_ms = ends[stands.item] if stands.item < len(ends) else None
    return PlayheadView(
        loop=stands.loop,
        item=stands.item,
        position_s=stands.position_ms / 1000,
        at=record.playhead_at,
        item_end_s=None if end_ms is None else end_ms / 1000,
    )


def show_event(record: EventRecord) -> EventView:
    """An event as it may be shown."""
    return EventView(
        id=record.id,
        task_id=record.task_id,
        seq=record.seq,
        at=record.at,
        kind=record.kind,
        detail=record.detail,
        actor=record.actor,
        request_id=record.request_id,
    )
