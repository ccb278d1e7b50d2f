"""What can be wrong with a request, as one tree: raised by the rules, translated by each front end.

Sentences are for the user and hold no secret. Fields go by the names of ``tasks.draft``, and by their path:
``sources[2].start_s``. A front end that has other names puts its own in their place (``Reason.named``).
"""

from streamferry.reasons import Code, Reason, ReasonCode, Reasoned, Value, said_field


class ActionError(Reasoned):
    """Base of the tree. ``str(error)`` is a sentence fit for the user."""

    field: str | None = None


class InvalidField(ActionError):
    """A value that breaks a rule. Other fields that its sentence speaks of are parameters, see ``Reason.named``."""

    def __init__(self, field: str, what: ReasonCode | Reason, /, **params: Value) -> None:
        super().__init__(what, **params)
        self.field: str = field

    @property
    def reason(self) -> str:
        """``why`` in English, without the field's name in front."""
        return str(self.why)

    def __str__(self) -> str:
        return f"{said_field(self.field)}: {self.why}"


class TaskNotFound(ActionError):
    """There is no such task."""

    field = "task_id"

    def __init__(self, task_id: str) -> None:
        super().__init__(Code.ACTION_NO_TASK, task_id=task_id[:64])


class WorkerNotFound(ActionError):
    """There is no such worker."""

    field = "worker_id"

    def __init__(self, worker_id: str) -> None:
        super().__init__(Code.ACTION_NO_WORKER, name=worker_id[:64])


class GroupNotFound(ActionError):
    """There is no such group."""

    field = "group"

    def __init__(self, name: str) -> None:
        super().__init__(Code.ACTION_NO_GROUP, name=name[:64])


class GroupExists(ActionError):
    """The name is taken."""

    field = "name"

    def __init__(self, name: str) -> None:
        super().__init__(Code.ACTION_GROUP_EXISTS, name=name[:64])


class GroupInUse(ActionError):
    """The group cannot be deleted: it is the preset one, or tasks are in it."""

    field = "name"


class WrongState(ActionError):
    """The action is not for a task in its present status."""

    field = "task_id"


class VersionConflict(ActionError):
    """The task was changed since it was seen."""

    def __init__(self, version: int) -> None:
        super().__init__(Code.ACTION_VERSION_CONFLICT, version=version)
        self.version = version


class PreviewUnavailable(ActionError):
    """There is no preview of the task now."""

    field = "task_id"


class KeyNotFound(ActionError):
    """There is no such access key."""

    def __init__(self, access_key_id: str) -> None:
        super().__init__(Code.ACTION_NO_KEY, access_key_id=access_key_id[:64])


class DeliveryNotFound(ActionError):
    """There is no such callback."""

    field = "event_id"

    def __init__(self, event_id: str) -> None:
        super().__init__(Code.ACTION_NO_CALLBACK, event_id=event_id[:64])


class DestinationConflict(ActionError):
    """Another enabled task pushes to the same destination at an overlapping time."""

    field = "destination"

    def __init__(self, other_task_id: str) -> None:
        super().__init__(Code.ACTION_DESTINATION_CONFLICT, task_id=other_task_id)
        self.other_task_id = other_task_id


class LibraryFull(ActionError):
    """There is no room for another file."""

    field = "file"


class LibraryAway(ActionError):
    """The bucket of the library cannot be used now: try again in some seconds."""


class NoProber(ActionError):
    """This service cannot look into an address."""

    def __init__(self) -> None:
        super().__init__(Code.ACTION_CANNOT_PROBE)


class ProberBusy(ActionError):
    """Others wait already for a look into an address: try again in some seconds."""

    def __init__(self) -> None:
        super().__init__(Code.ACTION_TOO_MANY_PROBES)


class ProbeFailed(ActionError):
    """An address into which there was no look; the sentence says why."""

    field = "url"
