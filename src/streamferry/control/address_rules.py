"""Which addresses a deployment allows: its folders, its ports and its egress policy, as the rules on tasks ask them."""

from collections.abc import Callable

from streamferry.media.errors import SourceForbidden, SourceMissing, SourceRejected
from streamferry.media.url import MediaUrl
from streamferry.net.folders import NOWHERE, Folders
from streamferry.net.listening import NO_PORTS, ListenPorts, opens_port
from streamferry.tasks.checks import AddressRules


def address_rules(
    folders: Folders = NOWHERE, refuse_host: Callable[[str], str] = lambda _: "", ports: ListenPorts = NO_PORTS
) -> AddressRules:
    """``folders``: from which files may be read. ``refuse_host``: why a host can never be reached. ``ports``: which of
    a worker may be opened to wait for media.

    What passes is judged again by whoever opens it: links may change meanwhile, and names are judged when they are
    resolved.
    """
    return AddressRules(
        refuse_file=lambda url: _refuse_file(url, folders),
        refuse_peer=lambda url: ports.refuse(url) if opens_port(url) else refuse_host(url.host),
    )


def _refuse_file(url: MediaUrl, folders: Folders) -> str:
    """In one of the folders, and there; of a folder that only workers have, nobody here can say what is in it."""
    try:
        folders.check(url.path, "it")
    except SourceForbidden:
        if not folders.roots:
            return "no files may be read: no folder is set for them (setting files)"
        known = ", ".join(map(str, folders.roots))
        return f"is not in a folder from which files may be read: {known} (setting files)"
    except SourceMissing as error:
        if folders.are_here_for(url.path):
            return "there is no such file" if "exist" in str(error) else "is not a file"
    except SourceRejected as error:
        return str(error)
    return ""
