"""Which addresses a deployment allows: its folders, its ports and its egress policy, as the rules on tasks ask them."""

from collections.abc import Callable

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceRejected
from streamferry.media.url import MediaUrl
from streamferry.net.folders import NOWHERE, Folders
from streamferry.net.listening import NO_PORTS, ListenPorts, opens_port
from streamferry.net.s3 import NO_BUCKETS, Buckets
from streamferry.reasons import Code, Reason
from streamferry.tasks.checks import AddressRules


def address_rules(
    folders: Folders = NOWHERE,
    refuse_host: Callable[[str], Reason | None] = lambda _: None,
    ports: ListenPorts = NO_PORTS,
    buckets: Buckets = NO_BUCKETS,
) -> AddressRules:
    """``folders``: from which files may be read. ``refuse_host``: why a host can never be reached. ``ports``: which of
    a worker may be opened to wait for media. ``buckets``: of S3, from which may be read.

    What passes is judged again by whoever opens it: links may change meanwhile, and names are judged when they are
    resolved.
    """
    return AddressRules(
        refuse_file=lambda url: _refuse_file(url, folders),
        refuse_peer=lambda url: (
            _refuse_bucket(url, buckets)
            if url.scheme == "s3"
            else ports.refuse(url)
            if opens_port(url)
            else refuse_host(url.host)
        ),
    )


def _refuse_bucket(url: MediaUrl, buckets: Buckets) -> Reason | None:
    try:
        buckets.check(url)
    except SourceForbidden:
        if not buckets.allowed:
            return Reason.of(Code.FIELD_NO_BUCKETS)
        return Reason.of(Code.FIELD_OUTSIDE_BUCKETS, buckets=buckets.allowed)
    return None


def _refuse_file(url: MediaUrl, folders: Folders) -> Reason | None:
    """In one of the folders, and there; of a folder that only workers have, nobody here can say what is in it."""
    try:
        folders.check(url.path, Reason.of(Code.NAME_IT))
    except SourceForbidden:
        if not folders.roots:
            return Reason.of(Code.FIELD_NO_FOLDERS)
        return Reason.of(Code.FIELD_OUTSIDE_FOLDERS, folders=tuple(map(str, folders.roots)))
    except SourceMissing as error:
        if folders.are_here_for(url.path):
            is_other = error.why.code == Code.FILE_NOT_A_FILE
            return Reason.of(Code.FIELD_NOT_A_FILE) if is_other else Reason.of(Code.FIELD_NO_SUCH_FILE)
    except SourceRejected as error:
        return error.why
    return None
