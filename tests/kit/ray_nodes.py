"""A Ray cluster on loopback, in a process of its own (Ray takes over its signals): ``python -m kit.ray_nodes``.

Every node has one core, the head, too. Answers lines with one line: ``add`` (a node), ``remove N`` (kill the N-th of
these, with all that runs on it), ``kill NAME`` (an actor, which Ray starts again), ``slot NODE`` (the actor that runs
there), ``pid NAME`` (its process), ``tables`` (all that Ray tells).
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kit.waiting import PATIENCE_S, START_S, free_ports, wait_for

_NODE: dict[str, Any] = {
    "object_store_memory": 80 << 20,
    "include_dashboard": False,
    "include_log_monitor": False,
    "no_monitor": True,
}


class RayNodes:
    """The cluster as a test sees it, with its head. Its methods wait for the answer."""

    def __init__(self, log: Path) -> None:
        # Not below the folder of the test: the address of a Unix socket has 107 bytes at most.
        self.home = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        #: For programs that are to find the cluster as ``auto``; from elsewhere it is at ``client``.
        self.environment = {
            "RAY_TMPDIR": str(self.home),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Each process of Ray that nobody has asked for costs 2 s of CPU.
            "RAY_enable_worker_prestart": "0",
            "RAY_prestart_worker_first_driver": "0",
            # Ray takes 127.0.0.1 for the address that the machine has in its network, except where it knows of none.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kit.ray_nodes"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | self.environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
                start_new_session=True,
            )
        # As well as the folder: Ray finds other clusters of the machine, too.
        self.environment["RAY_ADDRESS"], self.client = self._read().split()

    def add(self) -> str:
        """Id of a new node."""
        return self.ask("add")

    def ask(self, words: str) -> str:
        """Have one of these done; the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        return self._read()

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """All that others may see of it: what Ray tells, its logs, command lines; each with where it stands."""
        yield "tables", self.ask("tables").encode()
        for one in self.home.rglob("*"):
            if one.is_file():
                yield str(one), one.read_bytes()
        for process in self._processes():
            with contextlib.suppress(OSError):
                yield str(process), (process / "cmdline").read_bytes()

    def close(self) -> None:
        """End all of it, and see that nothing stays."""
        try:
            self._process.communicate(timeout=START_S)
            wait_for("Ray to end", lambda: not list(self._processes()), PATIENCE_S)
        finally:
            shutil.rmtree(self.home)

    def _processes(self) -> Iterator[Path]:
        """Those of the cluster, by the folder that each has in its environment."""
        mark = f"RAY_TMPDIR={self.home}\0".encode()
        for one in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (one / "environ").read_bytes():
                    yield one
            except OSError:
                continue

    def _read(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("= "):
                return line[2:].strip()
        raise AssertionError("Ray has ended")


def main() -> None:
    """Serve standard input."""
    import ray as module
    from ray.cluster_utils import Cluster

    # Some of it has no types.
    ray: Any = module

    (port,) = free_ports(1)
    head = {**_NODE, "num_cpus": 1, "ray_client_server_port": port}
    cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    ray.init(cluster.address, namespace="streamferry", log_to_driver=False)
    nodes: list[Any] = []

    def tables() -> str:
        state = ray._private.state
        return repr((state.actors(), state.jobs(), ray.nodes(), ray.util.list_named_actors(all_namespaces=True)))

    def slots() -> list[Any]:
        return [one for one in ray._private.state.actors().values() if one["Name"].startswith("slot-")]

    def answer(word: str, *rest: str) -> str:
        if word == "add":
            nodes.append(cluster.add_node(num_cpus=1, wait=False, **_NODE))
            return str(nodes[-1].node_id)
        if word == "remove":
            cluster.remove_node(nodes[int(rest[0])], allow_graceful=False)
        if word == "slot":
            return next(str(one["Name"]) for one in slots() if one["Address"]["NodeID"] == rest[0])
        if word == "pid":
            return next(str(one["Pid"]) for one in slots() if one["Name"] == rest[0])
        if word == "kill":
            ray.kill(ray.get_actor(rest[0]), no_restart=False)
        return tables() if word == "tables" else "done"

    print("=", cluster.address, f"ray://127.0.0.1:{port}", flush=True)
    for line in sys.stdin:
        print("=", answer(*line.split()), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
