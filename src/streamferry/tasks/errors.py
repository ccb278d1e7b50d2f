"""What can be wrong with a request, as one tree: raised by the rules, translated by each front end.

Sentences are for the user and hold no secret. Fields go by the names of ``tasks.draft``, and by their path:
``sources[2].start_s``. A front end that has other names puts its own in their place (``InvalidField.say``).
"""

from collections.abc import Callable


class ActionError(Exception):
    """Base of the tree. ``str(error)`` is a sentence fit for the user."""

    field: str | None = None


class InvalidField(ActionError):
    """A value that breaks a rule. ``others``: fields that the reason speaks of, one for each ``{}`` in it."""

    def __init__(self, field: str, reason: str, *others: str) -> None:
        self.field: str = field
        self._reason = reason
        self._others = others
        super().__init__(f"{field}: {self.reason}")

    @property
    def reason(self) -> str:
        """What is wrong, without the field's name in front."""
        return self.say(lambda name: name)

    def say(self, name_of: Callable[[str], str]) -> str:
        """The reason with the names that a front end has for fields."""
        return self._reason.format(*map(name_of, self._others)) if self._others else self._reason


class TaskNotFound(ActionError):
    """There is no such task."""

    field = "task_id"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id[:64]}")


class GroupNotFound(ActionError):
    """There is no such group."""

    field = "group"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no group {name[:64]}")


class GroupExists(ActionError):
    """The name is taken."""

    field = "name"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already a group {name[:64]}")


class GroupInUse(ActionError):
    """The group cannot be deleted: it is the preset one, or tasks are in it."""

    field = "name"


class WrongState(ActionError):
    """The action is not for a task in its present status."""

    field = "task_id"


class VersionConflict(ActionError):
    """The task was changed since it was seen."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the task was changed meanwhile: it has version {version} now")
        self.version = version


class PreviewUnavailable(ActionError):
    """There is no preview of the task now."""

    field = "task_id"


class KeyNotFound(ActionError):
    """There is no such access key."""

    def __init__(self, access_key_id: str) -> None:
        super().__init__(f"there is no access key {access_key_id[:64]}")


class DeliveryNotFound(ActionError):
    """There is no such callback."""

    field = "event_id"

    def __init__(self, event_id: str) -> None:
        super().__init__(f"there is no callback {event_id[:64]}")


class DestinationConflict(ActionError):
    """Another enabled task pushes to the same destination at an overlapping time."""

    field = "destination"

    def __init__(self, other_task_id: str) -> None:
        super().__init__(
            f"task {other_task_id} pushes to the same destination at an overlapping time; "
            "stop it or change a window first"
        )
        self.other_task_id = other_task_id


class LibraryFull(ActionError):
    """There is no room for another file."""

    field = "file"


class NoProber(ActionError):
    """This service cannot look into an address."""

    def __init__(self) -> None:
        super().__init__("this service cannot probe")


class ProberBusy(ActionError):
    """Others wait already for a look into an address: try again in some seconds."""

    def __init__(self) -> None:
        super().__init__("too many addresses are being looked at")


class ProbeFailed(ActionError):
    """An address into which there was no look; the sentence says why."""

    field = "url"
