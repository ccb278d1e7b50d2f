"""What of a status is news."""

from streamferry.relay import DestinationStatus, RelayStatus


def verdict_of(status: RelayStatus | DestinationStatus) -> tuple[object, ...]:
    """What is told as a change."""
    return status.state, status.fault, status.why


def besides_counters(status: RelayStatus) -> tuple[object, ...]:
    """What is reported at once: all but how large the counters are, and the position, which is written by itself."""
    return (
        *(status.state, status.fault, status.why, status.trouble),
        *(status.on_air, status.found, status.unseen, status.unready),
        *(status.item_end_ms, status.preparing_percent),
        *((one.id, *verdict_of(one), one.trouble) for one in status.destinations),
        *(status.media_time_ms > 0, status.kbps_in > 0, status.kbps_out > 0, status.sound_drift_ms is None),
    )
