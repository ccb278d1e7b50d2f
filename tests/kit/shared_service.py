"""One ``streamferry serve`` for all tests of a process that can share it.

It is started for the first that asks for it, and stopped after the last of those that follow each other.

It may reach any address, reads clips and films, and limits no rate. A test takes names of its own or looks at its own
tasks only; what it leaves is deleted before the next one. A test that changes settings, ends processes of the service
or needs a store that nobody has used starts a service of its own.
"""

import os
from pathlib import Path

from kit.programs import descendants
from kit.service_program import ServiceProgram
from kit.waiting import START_S
from streamferry.client import LiveService

KEY_ID, SECRET = "AKLTshared", "secret-of-the-shared-service"
_SETTINGS = {
    "STREAMFERRY_ACCESS_KEY_ID": KEY_ID,
    "STREAMFERRY_SECRET_ACCESS_KEY": SECRET,
    # Its zone is no business of who asks it.
    "TZ": "Asia/Tokyo",
    **{f"STREAMFERRY_{kind}_RATE": "0" for kind in ("WRITE", "LIST", "USAGE")},
}
#: What no service may log, whatever is asked of it.
_FAULTS = ("Traceback", "ResourceWarning", SECRET)


class SharedService:
    """``films``: a folder beside that of the clips, where a test may put files for tasks to play."""

    def __init__(self, home: Path, clips: Path) -> None:
        self._home = home
        self._count = 0
        self._service: ServiceProgram | None = None
        #: How much of its log has been judged.
        self._judged = 0
        self.films = home / "films"
        self.films.mkdir()
        self._files = os.pathsep.join(map(str, (clips, self.films)))

    def running(self) -> ServiceProgram:
        """It, in health. One that has ended was told by the test that it ended under: others get a new one."""
        if self._service is None or not self._service.is_running:
            self._count += 1
            self._judged = 0
            environment = {**_SETTINGS, "STREAMFERRY_FILES": self._files}
            self._service = ServiceProgram(
                self._home / f"service-{self._count}", "--egress", "any", environment=environment
            )
        return self._service.wait_ready()

    def tidy(self) -> None:
        """Delete tasks, groups and files that a test has left, and judge what the log has said since the last time."""
        service = self._service
        assert service is not None
        assert service.is_running, f"the shared service ended with {service.process.returncode}: {service.errors}"
        with LiveService(service.url, KEY_ID, SECRET) as live:
            while tasks := live.list_pull_to_push_task({"Size": 500})["Result"]["List"]:
                for task in tasks:
                    live.delete_pull_to_push_task({"TaskId": task["TaskId"]})
            for group in live.list_pull_to_push_group({"PageNum": 1, "PageSize": 100})["Result"]["List"]:
                if group["Name"] != "default":
                    live.delete_pull_to_push_group({"Name": group["Name"]})
        for path in (*self.films.iterdir(), *(service.data / "library").glob("*")):
            path.unlink()
        self._judge(service)

    def close(self) -> None:
        """Stop it as an operator does; nothing of it remains."""
        service, self._service = self._service, None
        if service is None or not service.is_running:
            return
        children = descendants(service.pid)
        assert service.stop(seconds=START_S) == 0, service.errors
        self._judge(service)
        assert not [child for child in children if Path(f"/proc/{child}").exists()]

    def _judge(self, service: ServiceProgram) -> None:
        """Whole lines that were not judged before: one fault fails one test."""
        before, logged = self._judged, service.errors
        self._judged = logged.rfind("\n") + 1
        errors = logged[before : self._judged]
        for fault in _FAULTS:
            at = errors.find(fault)
            assert at < 0, errors[max(0, at - 500) : at + 4000]
