"""What is shown of when tasks run, and of what plays when."""

from datetime import datetime

from streamferry.web.views import View


class WindowView(View):
    """From one time to another."""

    start_at: datetime
    end_at: datetime


class PastWindowView(WindowView):
    """A window that is over, with what the task's last run in it did."""

    state: str
    """In which it ended."""
    media_time_s: float
    bytes_out: int
    lost_s: float
    dropped_tags: int
    retries: int


class WindowList(View):
    """The windows of a task."""

    past: list[PastWindowView]
    """Of a series, newest first, as long as events are kept."""
    upcoming: list[WindowView]
    """The one that runs, and those that follow; the last day of a window without an end is in the year 9998."""


class GuideEntry(View):
    """Something that plays from one time to another, if nothing breaks."""

    start_at: datetime
    end_at: datetime | None
    """Null for an item whose length is not known before it has played once: what follows is not known, either."""
    item: int | None
    """Index of the source; null for a live source."""
    loop: int | None
    source: str
    """Redacted; empty for the slate."""
    slate: bool
    """Whether it is the slate, between two windows of a series."""


class Guide(View):
    """What plays when."""

    entries: list[GuideEntry]


class CalendarLink(View):
    """Where calendars find the windows of all tasks."""

    path: str
    """Below the service's address. Who knows it can read when tasks run, as long as the key that asked for it is
    valid: calendars cannot sign in."""
