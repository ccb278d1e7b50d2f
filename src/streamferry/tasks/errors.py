"""What can be wrong with a request, as one tree: raised by the rules, translated by each front end.

Sentences are for the user and hold no secret. ``field`` is the name of the field as the API writes it, or None.
"""


class ActionError(Exception):
    """Base of the tree. ``str(error)`` is a sentence fit for the user."""

    field: str | None = None


class InvalidField(ActionError):
    """A value that breaks a rule."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TaskNotFound(ActionError):
    """There is no such task."""

    field = "TaskId"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id[:64]}")


class GroupNotFound(ActionError):
    """There is no such group."""

    field = "GroupName"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no group {name[:64]}")


class GroupExists(ActionError):
    """The name is taken."""

    field = "Name"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is already a group {name[:64]}")


class GroupInUse(ActionError):
    """The group cannot be deleted: it is the preset one, or tasks are in it."""

    field = "Name"


class WrongState(ActionError):
    """The action is not for a task in its present status."""

    field = "TaskId"


class VersionConflict(ActionError):
    """The task was changed since it was seen."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the task was changed meanwhile: it has version {version} now")
        self.version = version


class PreviewUnavailable(ActionError):
    """There is no preview of the task now."""

    field = "TaskId"


class KeyNotFound(ActionError):
    """There is no such access key."""

    def __init__(self, access_key_id: str) -> None:
        super().__init__(f"there is no access key {access_key_id[:64]}")


class DeliveryNotFound(ActionError):
    """There is no such callback."""

    field = "EventId"

    def __init__(self, event_id: str) -> None:
        super().__init__(f"there is no callback {event_id[:64]}")


class DestinationConflict(ActionError):
    """Another enabled task pushes to the same destination at an overlapping time."""

    field = "DstAddr"

    def __init__(self, other_task_id: str) -> None:
        super().__init__(
            f"DstAddr: task {other_task_id} pushes to the same destination at an overlapping time; "
            "stop it or change a window first"
        )
        self.other_task_id = other_task_id


class LibraryFull(ActionError):
    """There is no room for another file."""

    field = "file"
