"""Builds what REST needs from this machine: the cache of prepared files, the library, and the prober."""

import asyncio
import contextlib
import functools
from datetime import UTC, datetime
from pathlib import Path

from streamferry.config import Settings
from streamferry.control.address_rules import address_rules
from streamferry.control.library import Library, LibraryHome
from streamferry.control.library_bucket import LibraryBucket
from streamferry.control.library_folder import LibraryFolder
from streamferry.control.samples import Samples
from streamferry.control.shared_calls import SharedCalls
from streamferry.net.listening import ListenPorts
from streamferry.net.s3 import split_place
from streamferry.net.trust import client_context
from streamferry.prepare.cache import UNKEPT, Entry, all_entries
from streamferry.service.prober import Prober
from streamferry.tasks.checks import AddressRules
from streamferry.web.compat.sample import write_body
from streamferry.web.operation_views import CacheItem, CacheView
from streamferry.web.preview_responses import PreviewResponses
from streamferry.web.rate_limits import Rates
from streamferry.web.rest.parts import RestSettings
from streamferry.worker.egress import Egress, decide_refusal


def rest_settings(
    settings: Settings,
    library: Library,
    previews: PreviewResponses,
    samples: Samples,
    shared_calls: SharedCalls | None,
    stopping: asyncio.Event,
) -> RestSettings:
    """What REST needs, from the settings of the service."""
    return RestSettings(
        sdk_body=write_body,
        rates=Rates(write=settings.write_rate, list=settings.list_rate, usage=settings.usage_rate),
        shared_calls=shared_calls,
        address_rules=address_rules_of(settings),
        read_cache=functools.partial(read_cache, settings.cache_dir, settings.cache_mb * 1_000_000),
        prober=Prober(settings),
        previews=previews,
        samples=samples,
        library=library,
        stopping=stopping,
    )


def address_rules_of(settings: Settings) -> AddressRules:
    """What the settings allow."""
    refuse_host = decide_refusal(Egress(settings.egress))
    return address_rules(settings.folders, refuse_host, ListenPorts.parse(settings.listen_ports), settings.buckets)


def library_of(settings: Settings) -> Library:
    """The library where the settings say."""
    home: LibraryHome = LibraryFolder(settings.library_dir)
    if settings.library:
        authorities = client_context(settings.ca_file).beside
        home = LibraryBucket(*split_place(settings.library), settings.buckets, authorities)
    return Library(home, settings.upload_mb * 1_000_000)


def read_cache(root: Path, max_bytes: int) -> CacheView:
    """What is in the cache's folder. Workers may remove files meanwhile: these are left out."""
    items: list[CacheItem] = []
    for entry in all_entries(root) + all_entries(root / UNKEPT):
        with contextlib.suppress(OSError):
            items.append(_show(entry))
    return CacheView(size_bytes=sum(one.size_bytes for one in items), max_bytes=max_bytes, items=items)


def _show(entry: Entry) -> CacheItem:
    summary = entry.read_summary()
    return CacheItem(
        name=entry.path.name,
        source=entry.read_address(),
        is_whole=summary is not None,
        in_use=entry.is_in_use(),
        size_bytes=entry.size_bytes(),
        duration_s=summary.duration_ms / 1000 if summary else None,
        used_at=datetime.fromtimestamp(entry.last_used(), UTC),
    )
