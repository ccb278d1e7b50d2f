"""The tables. Times are Unix milliseconds on the database's clock unless a column's name says otherwise.

A change here needs a migration; a test compares the two. ``sealed`` columns are unreadable without the key of ``seal``.
"""

import sqlalchemy as sa

from streamferry.store.schema_base import Id, Number, Xid8, metadata
from streamferry.store.schema_keys import access_key, call_rate, dashboard_session, sign_in_failure

__all__ = [
    "IS_FREE",
    "OPENS_MS",
    "Xid8",
    "access_key",
    "audit",
    "call_rate",
    "callback_secret",
    "compatibility",
    "dashboard_session",
    "delivery",
    "event",
    "mailbox",
    "metadata",
    "picture",
    "pulse",
    "run",
    "seal_key",
    "sign_in_failure",
    "signed_call",
    "task",
    "task_destination",
    "task_group",
    "task_spec",
    "usage",
    "usage_sum",
    "worker",
]

#: What is wanted. Narrow, because a search reads every row; long values are in ``task_spec``.
task = sa.Table(
    "task",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=True),
    sa.Column("id", Id, nullable=False, unique=True),
    sa.Column("group_name", sa.String(64), nullable=False),
    sa.Column("title_folded", sa.Text, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("finished", sa.Boolean, nullable=False),
    sa.Column("start_ms", sa.BigInteger, nullable=False),
    sa.Column("end_ms", sa.BigInteger, nullable=False),
    # Of a series: the end of this window, as long as another one may come.
    sa.Column("moves_on_ms", sa.BigInteger, nullable=True),
    # Of a series with the slate between its windows: from when on a worker has it. Null: from ``start_ms`` on.
    sa.Column("opens_ms", sa.BigInteger, nullable=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("destination_digest", sa.String(32), nullable=False),
    sa.Column("stream_digest", sa.String(32), nullable=False),
    # What placement reads (``tasks.placement``), so that it opens no spec. ``placement``: the labels as one text.
    sa.Column("placement", sa.Text, nullable=False, server_default=""),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("encodes", sa.Boolean, nullable=False, server_default=sa.false()),
    # Whether its destinations take a second publisher while it moves to another worker.
    sa.Column("overlaps", sa.Boolean, nullable=False, server_default=sa.false()),
    # Equal for live sources that one pull can feed; null for lists.
    sa.Column("source_digest", sa.String(32), nullable=True),
    sa.Index(None, "source_digest"),
    sa.Index(None, "group_name", "title_folded"),
    sa.Index(None, "destination_digest", "end_ms"),
    sa.Index(None, "moves_on_ms"),
)

#: From when on a worker has a task, Unix milliseconds.
OPENS_MS = sa.func.coalesce(task.c.opens_ms, task.c.start_ms)

task_spec = sa.Table(
    "task_spec",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("sealed_spec", sa.LargeBinary, nullable=False),
    # Of the watermark.
    sa.Column("picture_digest", sa.String(64), nullable=True),
    # JSON: see ``timing``; null of an older version.
    sa.Column("timing", sa.Text, nullable=True),
    sa.Index(None, "picture_digest"),
)

#: Digests of the further destinations of a task, if it has several; that of the first stands in ``task``.
task_destination = sa.Table(
    "task_destination",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("digest", sa.String(32), primary_key=True),
    sa.Index(None, "digest"),
)

#: Pictures of watermarks, each once. ``data`` is last, so that SQLite does not read it with the rest.
picture = sa.Table(
    "picture",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("media_type", sa.String(32), nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

#: What is happening, one row per task. ``epoch`` grows with each assignment: reports of an older one are ignored.
#: ``due_ms`` is set only while no worker has the task, see ``tasks.schedule``, or while it moves and has no next worker
#: (``overlaps``).
run = sa.Table(
    "run",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("worker_id", sa.String(64), nullable=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("loop", sa.Integer, nullable=False),
    sa.Column("item", sa.Integer, nullable=False),
    sa.Column("position_ms", sa.BigInteger, nullable=False),
    # When the playhead was there; null until something has played.
    sa.Column("playhead_ms", sa.BigInteger, nullable=True),
    # Whether it has played on since then, at the speed of the clock, for as long as its worker reports (``places``).
    sa.Column("plays_on", sa.Boolean, nullable=False, server_default=sa.false()),
    # While nobody has the task: when its list will be played out by the clock, null until that was found out.
    sa.Column("played_out_ms", sa.BigInteger, nullable=True),
    # Version of the task that brought the list: positions of an earlier one mean nothing in it.
    sa.Column("list_version", sa.Integer, nullable=False, server_default="0"),
    # JSON list: where each item ends, in ms from the file's start, null until that is known.
    sa.Column("item_ends", sa.Text, nullable=False),
    sa.Column("kbps_in", sa.Integer, nullable=False, server_default="0"),
    sa.Column("kbps_out", sa.Integer, nullable=False),
    sa.Column("media_time_ms", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes_in", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes_out", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("repairs", sa.BigInteger, nullable=False, server_default="0"),
    # Of a live source, as long as it is known.
    sa.Column("sound_drift_ms", sa.BigInteger, nullable=True),
    # Of the file that is being prepared, while nothing plays.
    sa.Column("preparing_percent", sa.Float, nullable=True),
    sa.Column("dropped_tags", sa.BigInteger, nullable=False),
    sa.Column("lost_ms", sa.BigInteger, nullable=False, server_default="0"),
    # Of a live source.
    sa.Column("lost_packets", sa.BigInteger, nullable=False, server_default="0"),
    # Of the session that is open, where that is known (``relay.RelayStatus``).
    sa.Column("rtt_ms", sa.Float, nullable=True),
    sa.Column("retransmits", sa.BigInteger, nullable=True),
    sa.Column("delivery_kbps", sa.BigInteger, nullable=True),
    sa.Column("server_ack_s", sa.Float, nullable=True),
    sa.Column("retries", sa.Integer, nullable=False),
    # JSON list: how each of several destinations is doing; null for one.
    sa.Column("destinations", sa.Text, nullable=True),
    sa.Column("fault", sa.String(24), nullable=True),
    # In English, and as JSON what it is made from (``reasons.Reason``).
    sa.Column("reason", sa.Text, nullable=True),
    sa.Column("reason_json", sa.Text, nullable=True),
    # What keeps it from streaming, until it has streamed for a while (``relay.Trouble``); since when, null for nothing.
    sa.Column("trouble_ms", sa.BigInteger, nullable=True),
    sa.Column("trouble_fault", sa.String(24), nullable=True),
    sa.Column("trouble_reason", sa.Text, nullable=True),
    sa.Column("trouble_reason_json", sa.Text, nullable=True),
    sa.Column("trouble_tries", sa.Integer, nullable=False, server_default="0"),
    # JSON of ``relay.OnAir``, of a task with several inputs or a slate.
    sa.Column("on_air", sa.Text, nullable=True),
    # JSON: what is wrong with the content, if that is watched.
    sa.Column("found", sa.Text, nullable=True),
    # JSON: what of it cannot be watched.
    sa.Column("unseen", sa.Text, nullable=True),
    # JSON: by number (-1: the slate) why an input could not be shown.
    sa.Column("unready", sa.Text, nullable=True),
    # JSON list: numbers of the orders that were followed, the last ones (docs/decisions/0109).
    sa.Column("orders_done", sa.Text, nullable=True),
    # JSON: what its run had counted when its window moved on, of one that goes on in the next window.
    sa.Column("counted_before", sa.Text, nullable=True),
    sa.Column("event_seq", sa.Integer, nullable=False),
    # Its worker is to give it back at its next keyframe, for another one.
    sa.Column("moves", sa.Boolean, nullable=False, server_default=sa.false()),
    # Who begins to run it while ``worker_id`` still does.
    sa.Column("next_worker_id", sa.String(64), nullable=True),
    sa.Index(None, "next_worker_id"),
    sa.Index(None, "trouble_ms"),
    sa.Index(None, "due_ms"),
    sa.Index(None, "worker_id"),
)

#: Whether no worker has it, not by the index: SQLite, without statistics, would read all that have ended as well.
IS_FREE = sa.case((run.c.worker_id.is_(None), sa.true()), else_=sa.false())

#: A worker lives as long as its lease; ``lease_ms`` of an ended one is minus the time of its end. ``length_ms`` is how
#: long it is after a renewal. ``is_attached``: its service ends it, and the worker itself fears no lease.
#: ``orders`` grows when somebody else changes something about its tasks.
worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("capacity", sa.Integer, nullable=False),
    sa.Column("load", sa.Integer, nullable=False),
    sa.Column("orders", sa.Integer, nullable=False),
    sa.Column("lease_ms", sa.BigInteger, nullable=False),
    sa.Column("length_ms", sa.BigInteger, nullable=False, server_default="6500"),
    sa.Column("is_attached", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    # JSON of worker.WorkerHealth; null until the first report.
    sa.Column("health", sa.Text, nullable=True),
    # host:port where it serves previews.
    sa.Column("address", sa.String(255), nullable=True),
    # Its labels as one text, and its limits beside ``capacity``; null for none.
    sa.Column("labels", sa.Text, nullable=False, server_default=""),
    sa.Column("max_kbps", sa.Integer, nullable=True),
    sa.Column("max_encodes", sa.Integer, nullable=True),
    sa.Column("version", sa.String(64), nullable=False, server_default=""),
    # records.Intent, and since when.
    sa.Column("intent", sa.String(16), nullable=False, server_default="open"),
    sa.Column("intent_ms", sa.BigInteger, nullable=True),
)

#: One row, written by every service each second: when last, and since when without a gap. ``server``: which one of
#: PostgreSQL wrote it; another one, or the same after a restart, may have forgotten renewals.
pulse = sa.Table(
    "pulse",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("server", sa.String(64), nullable=False),
)

#: What happened; append-only.
event = sa.Table(
    "event",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("task_id", Id, nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(24), nullable=False),
    # JSON object: what is known in addition to the kind. No secrets.
    sa.Column("detail", sa.Text, nullable=False),
    # Who caused it, as ``key:AK...``, and the request that it came by; null of an older version.
    sa.Column("actor", sa.String(160), nullable=True),
    sa.Column("request_id", sa.String(64), nullable=True),
    # PostgreSQL fills it in: the transaction that wrote the row. Null elsewhere, and in rows from before there was one.
    sa.Column("xid", sa.BigInteger().with_variant(Xid8(), "postgresql"), nullable=True),
    sa.Index(None, "task_id", "seq", unique=True),
)

#: Who signed in, and who changed keys and secrets; append-only.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(160), nullable=False),
    sa.Column("actor", sa.String(160), nullable=False),
    sa.Column("peer", sa.String(64), nullable=True),
    sa.Column("request_id", sa.String(64), nullable=True),
    # JSON object. No secrets.
    sa.Column("detail", sa.Text, nullable=False),
)

#: Signed calls that changed something, as long as their signature is good (see ``calls``): a row for each name of one.
signed_call = sa.Table(
    "signed_call",
    metadata,
    # A digest of the key's id and the signature, or of what an SDK calls all attempts of one call.
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("first_ms", sa.BigInteger, nullable=False),
    sa.Column("ends_ms", sa.BigInteger, nullable=False),
    # The task that it made.
    sa.Column("made", Id, nullable=True),
    # The sentence that it was refused with. No secrets.
    sa.Column("refusal", sa.Text, nullable=True),
    sa.Index(None, "ends_ms"),
)

#: Where the callbacks of a task go: one row for each task that ever had an address, which outlives the task.
#: ``due_ms`` is when the oldest waiting one may be tried, null when none waits; while ``holder`` sends it, when that
#: is given up. A dispatcher finds it by ``due_ms`` and leaves out busy hosts.
mailbox = sa.Table(
    "mailbox",
    metadata,
    sa.Column("task_id", Id, primary_key=True),
    # Null: the address was removed.
    sa.Column("sealed_url", sa.LargeBinary, nullable=True),
    sa.Column("host_digest", sa.String(32), nullable=False),
    sa.Column("address_digest", sa.String(32), nullable=False),
    # When the receiver said that nothing more may be sent there (410).
    sa.Column("gone_ms", sa.BigInteger, nullable=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("last_number", sa.Integer, nullable=False),
    # Attempts in a row that failed.
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=True),
    sa.Column("holder", sa.String(32), nullable=True),
    sa.Index(None, "due_ms"),
)

#: A callback that waits, was delivered, or is dead: written with its event, in one transaction.
delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("task_id", Id, nullable=False),
    # Counts the callbacks of a task from 1.
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(24), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    # JSON object: its content, as it was at the event. No secrets.
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # Of these, how many were refused.
    sa.Column("refusals", sa.Integer, nullable=False),
    # When its day of retries begins.
    sa.Column("owed_ms", sa.BigInteger, nullable=False),
    sa.Column("settled_ms", sa.BigInteger, nullable=True),
    sa.Column("problem", sa.Text, nullable=True),
    sa.Column("problem_json", sa.Text, nullable=True),
    sa.Index(None, "task_id", "number", unique=True),
    sa.Index(None, "state", "task_id", "number"),
    sa.Index(None, "state", "settled_ms"),
)

#: What callbacks are signed with, newest last; the one before stays good for a while.
callback_secret = sa.Table(
    "callback_secret",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=True),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)

#: What was measured of a task in a minute, until it is moved into the sums.
usage = sa.Table(
    "usage",
    metadata,
    sa.Column("minute_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("task_id", Id, primary_key=True),
    sa.Column("group_name", sa.String(64), nullable=False),
    sa.Column("stream_digest", sa.String(32), nullable=False),
    sa.Column("streamed_ms", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
)

#: Sums of usage: of the ``step_s`` from ``begin_ms`` on, for a subject (see ``usage_sums``).
usage_sum = sa.Table(
    "usage_sum",
    metadata,
    sa.Column("step_s", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.String(65), primary_key=True),
    sa.Column("begin_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("group_name", sa.String(64), primary_key=True),
    sa.Column("streamed_ms", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    # The most bytes of five minutes in it; of shorter steps, all of them.
    sa.Column("most_bytes", sa.BigInteger, nullable=False),
    sa.Index(None, "step_s", "begin_ms"),
    sqlite_with_rowid=False,
)

#: One row: under which key the store is sealed, and what its digests are keyed with. See ``sealing``.
seal_key = sa.Table(
    "seal_key",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fingerprint", sa.String(16), nullable=False),
    sa.Column("sealed_digest_key", sa.LargeBinary, nullable=False),
)

#: One row: the oldest schema whose programs may work with this store (``migrate.OLDEST``).
compatibility = sa.Table(
    "compatibility",
    metadata,
    sa.Column("oldest", Id, primary_key=True),
)

task_group = sa.Table(
    "task_group",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    # JSON list of objects with the keys category, key, value.
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)
