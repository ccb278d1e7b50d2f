"""The relay process's interface to the cache: an address in, a prepared file out, playable at once.

In a process one preparation of a file serves all who ask; between processes the locks of ``cache`` see to that. The
store starts the preparation processes, listens to them, and ends those whose file nobody wants any more: a download
that was begun is resumed by the next.
"""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from streamferry.media.errors import MediaError, SourceError, SourceUnsupported
from streamferry.media.peer_options import NO_OPTIONS, PeerOptions
from streamferry.media.url import MediaUrl
from streamferry.net.dial import AllowAddress, Deadlines
from streamferry.net.disk import Disk
from streamferry.net.egress_proxy import EgressProxy
from streamferry.net.ffmpeg import ffmpeg_program
from streamferry.net.folders import EVERYWHERE, Folders
from streamferry.net.process import child_environment
from streamferry.net.s3 import Buckets
from streamferry.net.sandbox import tell_missing
from streamferry.net.trust import Trust
from streamferry.prepare.budget import Budget
from streamferry.prepare.cache import UNKEPT, Entry, default_root, entry_of, newest_whole_entry
from streamferry.prepare.errors import (
    CacheError,
    NoRoom,
    PreparationRestarted,
    ReadWhole,
    SourceChanged,
    SourceGone,
    from_wire,
)
from streamferry.prepare.file import PreparedFile, PrepareProgress
from streamferry.prepare.file_version import Version, version_of_file
from streamferry.prepare.home import Home, SharedHome
from streamferry.prepare.job import Job
from streamferry.prepare.known_versions import KnownVersions
from streamferry.prepare.processing import COPY, Processing
from streamferry.prepare.route import Route
from streamferry.prepare.running import brief, kill, tell_offset
from streamferry.reasons import Code, Reason, system_reason

if TYPE_CHECKING:
    from httpx import AsyncClient

_log = logging.getLogger("streamferry.prepare")

DEFAULT_MAX_BYTES = 20_000_000_000
#: 2 minutes of 2 Mbps, 5 s of 50 Mbps.
DEFAULT_AHEAD_BYTES = 32 << 20

# How often an opening is repeated because the file changed meanwhile, or its preparation was killed.
_MAX_ATTEMPTS = 3
# Of how many addresses it is known that they have to be read whole.
_MOST_READ_WHOLE = 1000
# A line with the index of a second of preparing an intra-only file is about 200 KiB.
_MAX_LINE_BYTES = 4 << 20


class PreparedStore:
    """A cache of prepared files in the directory ``root``, kept under ``max_bytes`` by evicting what is not in use.

    Belongs to one event loop. Close it when all files have been closed.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        ahead_bytes: int = DEFAULT_AHEAD_BYTES,
        allow: AllowAddress | None = None,
        tls: Trust | None = None,
        folders: Folders = EVERYWHERE,
        reserve_bytes: int | None = None,
        buckets: Buckets | None = None,
        home: Home | None = None,
    ) -> None:
        """``ahead_bytes``: how much of a file that is not kept may be there ahead of its player; 12 MiB at
        least, because a player says where it is each 2 MiB and takes up to 4 MiB at once.

        ``allow``: egress policy of all that is fetched; ``tls``: whom to trust beside the system's authorities.
        ``folders``: where files of this machine may be read. ``reserve_bytes``: see ``net.disk``. ``buckets``: of S3,
        and from which of them; None: as the environment says, all of them. ``home``: where prepared files are shared.
        """
        self._folders = folders
        self._buckets = Buckets.of_environment() if buckets is None else buckets
        self._root = root if root is not None else default_root()
        self._home = SharedHome(home)
        self._budget = Budget(self._root, max_bytes, Disk(self._root, reserve_bytes), ahead_bytes)
        self._allow = allow
        self._egress_proxy: EgressProxy | None = None
        self._authorities = tls.beside if tls is not None else ""
        self._files: dict[Path, PreparedFile] = {}
        self._keepers: dict[PreparedFile, asyncio.Task[None]] = {}
        self._processes: dict[PreparedFile, Process] = {}
        # Addresses of files that are not kept and cannot be read from front to back.
        self._read_whole: set[str] = set()
        self._removals: set[asyncio.Future[bool]] = set()
        self._client: AsyncClient | None = None
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> "PreparedStore":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all preparations and wait for their processes."""
        for process in self._processes.values():
            kill(process)
        await asyncio.gather(*self._keepers.values())
        if self._removals:
            await asyncio.wait(self._removals)
        if self._client is not None:
            await self._client.aclose()
        if self._egress_proxy is not None:
            self._egress_proxy.close()

    @property
    def root(self) -> Path:
        """The directory of the cache."""
        return self._root

    @property
    def preparing(self) -> int:
        """Files that are being prepared now, waiting for their turn to encode or not."""
        return len(self._processes)

    async def open(
        self,
        url: MediaUrl,
        on_progress: Callable[[PrepareProgress], None] | None = None,
        start_ms: int = 0,
        *,
        processing: Processing = COPY,
        keep: bool = True,
        options: PeerOptions = NO_OPTIONS,
        known: KnownVersions | None = None,
        folders: Folders | None = None,
    ) -> PreparedFile:
        """The prepared file of ``url``, as soon as it can be played from ``start_ms``; the caller closes it.

        Without ``keep`` it is a file of the caller's own, of which no more is there than a window around the one place
        where it is read, and which is removed when it is closed. What cannot be read from front to back is there whole.

        The origin is asked each time whether the file has changed, unless that is ``known``; if it cannot answer, the
        copy in the cache is used.
        ``on_progress`` is called while this waits. ``options``: of its origin; what was had with some is not given to
        who has others, since they may be what lets one in. ``folders``: where this file may be read, if not in those
        of the store.

        Raises SourceError, and CacheError for trouble with this machine.
        """
        attempts = 0
        while True:
            file = await self._file_of(url, processing, keep, start_ms, options, known, folders or self._folders)
            try:
                await file.wait_playable(start_ms, on_progress)
            except (SourceChanged, PreparationRestarted):
                file.close()
                if known is not None:
                    known.forget(url.reveal())
                attempts += 1
                if attempts == _MAX_ATTEMPTS:
                    raise
            except BaseException:
                file.close()
                raise
            else:
                return file

    async def _file_of(
        self,
        url: MediaUrl,
        processing: Processing,
        keep: bool,
        start_ms: int,
        options: PeerOptions,
        known: KnownVersions | None,
        folders: Folders,
    ) -> PreparedFile:
        """The file of the present version of ``url``, with one more user, being loaded or prepared if it is new."""
        if url.scheme not in ("file", "http", "https", "s3"):
            raise SourceUnsupported(Code.FILE_BAD_SCHEME, url=url.redacted)
        if url.scheme == "s3":
            self._buckets.check(url)
        address = url.reveal()
        had_as = address if options == NO_OPTIONS else f"{address}\n{json.dumps(options.to_json(), sort_keys=True)}"
        root = self._root
        version = Version()
        try:
            ask = partial(self._version_of, url, options, folders)
            version = await (ask() if known is None or url.scheme == "file" else known.find(address, ask))
            entry = entry_of(root, had_as, version.key, processing.key)
            keep = keep and await self._may_keep(entry, url, version)
            if not keep:
                entry = entry_of(root / UNKEPT, had_as, version.key + token_hex(), processing.key)
        except SourceError as error:
            cached = None
            if keep and url.scheme != "file" and not isinstance(error, SourceGone):
                cached = await asyncio.to_thread(newest_whole_entry, root, had_as, processing.key)
            if cached is None:
                raise
            entry = cached
        reads_whole = not keep and address in self._read_whole
        ahead_bytes = None if keep or reads_whole else await asyncio.to_thread(self._budget.make_window, url, version)
        file = self._files.get(entry.path)
        if file is None or file.failed is not None:
            previous = [keeper for kept, keeper in self._keepers.items() if kept.entry.path == entry.path]
            file = self._files[entry.path] = PreparedFile(entry, self._note_unused)
            job = Job(
                url=address,
                directory=str(entry.path),
                version=asdict(version),
                parent=os.getpid(),
                processing=processing.to_json(),
                slots=str(self._root),
                folders=folders.to_json(),
                ahead_bytes=ahead_bytes,
                start_ms=start_ms,
                reads_whole=reads_whole,
                reserve_bytes=self._budget.disk.reserve_bytes,
                home=self._home.of(url, is_kept=keep),
            )
            keeper = self._keep(file, job, options, previous)
            self._keepers[file] = asyncio.create_task(keeper, name=f"prepare {url.redacted}")
        file.retain()
        return file

    async def settle(self) -> None:
        """Wait until all that is whole has been shared."""
        while sharing := [keeper for file, keeper in self._keepers.items() if file.complete]:
            await asyncio.wait(sharing)

    async def _may_keep(self, entry: Entry, url: MediaUrl, version: Version) -> bool:
        known = self._files.get(entry.path)
        if known is not None and known.failed is None:
            return True
        return await asyncio.to_thread(self._budget.may_keep, entry, url, version)

    async def _version_of(self, url: MediaUrl, options: PeerOptions, folders: Folders) -> Version:
        if url.scheme == "file":
            return await asyncio.to_thread(version_of_file, url, folders)
        route = await self._route_to(url, options)
        from streamferry.prepare.origin import version_of_http

        if options != NO_OPTIONS or url.scheme == "s3":
            async with await asyncio.to_thread(_open_client, route, url) as client:
                return await version_of_http(client, url, route)
        async with self._lock:
            if self._client is None:
                self._client = await asyncio.to_thread(_open_client, route, url)
        return await version_of_http(self._client, url)

    async def _route_to(self, url: MediaUrl, options: PeerOptions) -> Route:
        """With a policy, a proxy or a local address through an egress proxy of ours, else straight."""
        proxy = ""
        if self._allow is not None or options.proxy is not None or options.bind:
            async with self._lock:
                if self._egress_proxy is None:
                    self._egress_proxy = await EgressProxy(self._allow, Deadlines()).open()
            proxy = self._egress_proxy.address_for(options.way)
        return Route.to(url, options, proxy=proxy, authorities=self._authorities, buckets=self._buckets)

    async def _keep(
        self,
        file: PreparedFile,
        job: Job,
        options: PeerOptions,
        previous: "list[asyncio.Task[None]]",
    ) -> None:
        """Prepare one file, after earlier preparations of it; release it if nobody wants it any more."""
        try:
            if previous:
                await asyncio.wait(previous)
            await asyncio.to_thread(file.load)
            file.wake()
            if not file.complete:
                await asyncio.to_thread(self._budget.keep_to_it)
                await asyncio.to_thread(file.entry.note_address, MediaUrl.parse(job.url).redacted)
                await self._prepare(file, job, options)
                await asyncio.to_thread(self._budget.keep_to_it)
        except MediaError as error:
            if isinstance(error, ReadWhole):
                while len(self._read_whole) >= _MOST_READ_WHOLE:
                    # It is found out again.
                    self._read_whole.pop()
                self._read_whole.add(job.url)
            elif isinstance(error, NoRoom):
                self._budget.note_full(MediaUrl.parse(job.url))
            file.fail(error)
        except OSError as error:
            file.fail(CacheError(Code.CACHE_UNUSABLE, why=system_reason(error.errno)))
        except Exception as error:
            # Of our own, or what the process said cannot be read: whoever waits for the file would wait for ever.
            _log.exception("a file cannot be prepared: an error inside streamferry")
            file.fail(CacheError(Code.CACHE_FAULT, kind=type(error).__name__))
        finally:
            del self._keepers[file]
            if not file.users:
                self._release(file)

    def _release(self, file: PreparedFile) -> None:
        file.release()
        if file.entry.path.parent.name == UNKEPT:
            # In a thread: to remove a large file takes a disk some 100 ms.
            removal = asyncio.get_running_loop().run_in_executor(None, file.entry.remove)
            self._removals.add(removal)
            removal.add_done_callback(self._note_removed)

    def _note_removed(self, removal: "asyncio.Future[bool]") -> None:
        self._removals.discard(removal)
        # One that failed, or found the file in use again, is made good by the next eviction.
        removal.exception()

    def _note_unused(self, file: PreparedFile) -> None:
        if self._files.get(file.entry.path) is file:
            del self._files[file.entry.path]
        if file in self._processes:
            # One that is whole is being shared.
            if not file.complete:
                kill(self._processes[file])
        elif file not in self._keepers:
            self._release(file)

    async def _prepare(self, file: PreparedFile, job: Job, options: PeerOptions) -> None:
        """Run a preparation process and pass on what it reports. Raises MediaError, OSError."""
        program = ffmpeg_program()
        # A playlist on the disk may name segments in the network.
        route = await self._route_to(MediaUrl.parse(job.url), options)
        if not file.users:
            return
        # What the process would say of it, nobody hears.
        tell_missing()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "streamferry.prepare.preparation"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=child_environment(),
            start_new_session=True,
            limit=_MAX_LINE_BYTES,
        )
        self._processes[file] = process
        try:
            if file.users:
                await brief(process, replace(job, ffmpeg=program, route=route.to_json()))
                if job.ahead_bytes:
                    file.on_read = partial(tell_offset, process)
                await self._listen(process, file)
        finally:
            file.on_read = None
            del self._processes[file]
            kill(process)
            await process.wait()

    async def _listen(self, process: Process, file: PreparedFile) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            message = json.loads(line)
            if "error" in message:
                raise from_wire(message)
            if "shared" in message:
                self._home.note_away(Reason.from_json(message["shared"]))
            elif "complete" in message and not file.is_growing:
                # Another process has prepared it, and did so before this one could see it grow.
                await asyncio.to_thread(file.load)
                file.wake()
            else:
                file.apply(message)
        if not file.complete:
            raise PreparationRestarted(Code.CACHE_PREPARATION_DIED, status=await process.wait())


def _open_client(route: Route, url: MediaUrl) -> "AsyncClient":
    # In a thread, and imported where it is needed: httpx takes 120 ms, and the certificates of all authorities 40 ms.
    from streamferry.prepare.origin import open_client

    return open_client(route, url)
