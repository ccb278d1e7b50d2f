"""What routes of REST work with: those of one service, which its application keeps in its state.

The routes themselves are made once a process, for that takes longer than anything else about them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from streamferry.control.address_rules import address_rules
from streamferry.control.callbacks.delivery_actions import Callbacks
from streamferry.control.library import Library
from streamferry.control.samples import Samples
from streamferry.control.shared_calls import SharedCalls
from streamferry.tasks.checks import AddressRules
from streamferry.web.operation_views import CacheView
from streamferry.web.preview_responses import PreviewResponses
from streamferry.web.probing import Prober, Probing
from streamferry.web.rate_limits import Rates
from streamferry.web.reads import Reads
from streamferry.web.request_sample import SdkBody
from streamferry.web.rest.event_stream import Follower
from streamferry.web.rest.tokens import Tokens
from streamferry.web.schedules import Schedules
from streamferry.web.writes import Writes


@dataclass(frozen=True, slots=True)
class RestSettings:
    """What REST needs beside the actions. Routes say so when ``prober``, ``read_cache`` or ``previews`` is missing."""

    sdk_body: SdkBody
    rates: Rates = field(default_factory=Rates)
    shared_calls: SharedCalls | None = None
    address_rules: AddressRules = field(default_factory=address_rules)
    prober: Prober | None = None
    read_cache: Callable[[], CacheView] | None = None
    previews: PreviewResponses | None = None
    samples: Samples | None = None
    library: Library | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class RestParts:
    """What stands behind the routes of one service."""

    reads: Reads
    writes: Writes
    callbacks: Callbacks
    schedules: Schedules
    probing: Probing
    tokens: Tokens
    follower: Follower
    settings: RestSettings


async def _of_service(request: Request) -> RestParts:
    parts: RestParts = request.app.state.parts
    return parts


Parts = Annotated[RestParts, Depends(_of_service)]
