"""What REST's routes are made of: their rows, and parameters in paths, queries and headers."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Header, Path, Query
from pydantic import StringConstraints

from streamferry.relay.spec import MAX_DESTINATIONS
from streamferry.web.rest.task_parts import Name

#: Method, path, endpoint, status of success, tag.
Row = tuple[str, str, Callable[..., Any], int, str]

#: Anything else is simply the id of no task: the pattern is for readers of the document.
TaskId = Annotated[str, Path(description="32 hexadecimal digits.", json_schema_extra={"pattern": "^[0-9a-f]{32}$"})]
WorkerId = Annotated[str, Path(description="As the list has it.", max_length=64)]
InsertNumber = Annotated[int, Path(ge=1, le=1 << 31, description="The number of a file that waits to be inserted.")]
DestinationId = Annotated[int, Path(ge=1, le=MAX_DESTINATIONS, description="The number of one of its destinations.")]
EventId = Annotated[str, Path(description="As its receiver got it.", max_length=64)]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="Counts from 1.")]
PageSize = Annotated[int, Query(ge=1, le=500)]
Groups = Annotated[list[Name], Query(alias="group", max_length=100, description="Repeat for more.")]
After = Annotated[int, Query(ge=0, le=2**62, description="The id of the last event that was seen.")]
Limit = Annotated[int, Query(ge=1, le=1000)]
IfMatch = Annotated[str | None, Header(description='The version that was seen, as 3 or "3"; * is any.')]
EventKind = Annotated[str, StringConstraints(pattern="^[a-z_]{1,24}$")]
OfTask = Annotated[str | None, Query(alias="task_id", max_length=64, pattern="^[0-9a-f]{32}$")]
