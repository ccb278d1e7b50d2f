"""Writes deploy/grafana.json, a dashboard of the metrics. A test compares the two.

Run it as: .venv/bin/python scripts/grafana.py
"""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "deploy/grafana.json"
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 8, 7

#: Title, unit, and queries with their legends; three in a row, what needs attention first.
PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Tasks in trouble",
        "short",
        (("streamferry_tasks_in_trouble", "in trouble"), ("streamferry_late_tasks", "no worker has room")),
    ),
    (
        "Active tasks that do not stream",
        "short",
        (('sum by (state) (streamferry_tasks{status="active", state!="streaming"})', "{{state}}"),),
    ),
    (
        "Retries a minute, by fault",
        "short",
        (("sum by (fault) (rate(streamferry_retries_total[5m])) * 60", "{{fault}}"),),
    ),
    (
        "Callbacks not delivered",
        "short",
        (
            ("streamferry_callbacks", "{{state}}"),
            ("streamferry_callback_lag_seconds", "oldest, s"),
        ),
    ),
    ("Tasks by status", "short", (("sum by (status) (streamferry_tasks)", "{{status}}"),)),
    (
        "Sent and received",
        "bps",
        (
            ("sum(rate(streamferry_sent_bytes_total[1m])) * 8", "sent"),
            ("sum(rate(streamferry_received_bytes_total[1m])) * 8", "received"),
        ),
    ),
    (
        "Room for tasks",
        "short",
        (
            ("sum(streamferry_worker_capacity)", "capacity"),
            ("sum(streamferry_worker_tasks)", "tasks"),
        ),
    ),
    ("CPU of each worker", "percent", (("streamferry_worker_cpu_percent", "{{worker}}"),)),
    ("Memory of each worker", "bytes", (("streamferry_worker_memory_bytes", "{{worker}}"),)),
    ("Latest beat of a minute", "ms", (("streamferry_worker_beat_late_ms", "{{worker}}"),)),
    (
        "Frames dropped a minute",
        "short",
        (("sum by (worker) (rate(streamferry_dropped_tags_total[5m])) * 60", "{{worker}}"),),
    ),
    (
        "Stamps repaired a minute",
        "short",
        (("sum by (worker) (rate(streamferry_repairs_total[5m])) * 60", "{{worker}}"),),
    ),
    ("Files being prepared", "short", (("sum by (worker) (streamferry_worker_preparing)", "{{worker}}"),)),
    ("Store away", "s", (("streamferry_store_away_seconds", "{{instance}}"), ("1 - streamferry_store_up", "down"))),
    ("Log of a SQLite store", "bytes", (("streamferry_store_log_bytes", "{{instance}}"),)),
    (
        "Content and inputs (metrics_per_task)",
        "short",
        (
            ("sum by (fault) (streamferry_task_content_fault)", "{{fault}}"),
            ("sum by (sense) (streamferry_task_content_unseen)", "{{sense}} not watched"),
            ("sum(streamferry_task_input_unready)", "inputs not ready"),
        ),
    ),
    ("Free on the disks", "bytes", (("streamferry_disk_free_bytes", "{{folder}}"),)),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "title": "streamferry",
        "uid": "streamferry",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, title: str, unit: str, queries: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    row, column = divmod(number, 24 // _WIDTH)
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
            for index, (query, legend) in enumerate(queries)
        ],
    }


def page() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(page())
