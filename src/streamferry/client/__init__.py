"""The SDK: ``LiveService`` calls the service's API, or the cloud's, under the method names of the official Python SDK;
``RestService`` calls REST, which has more.

    from streamferry.client import LiveService

    service = LiveService("http://127.0.0.1:8080", access_key_id, secret_access_key)
    service.create_pull_to_push_task({"Title": "news", ...})

Stands alone: it imports nothing else of streamferry.
"""

from streamferry.client.credentials import Credentials, CredentialsMissing
from streamferry.client.errors import (
    ActionNotFound,
    ApiError,
    AuthenticationFailed,
    ClientError,
    InvalidParam,
    NoAnswer,
    PermissionDenied,
    RateLimited,
    Refused,
    ServerError,
)
from streamferry.client.models import (
    Destination,
    Input,
    InputOptions,
    NewTask,
    Slate,
    Switching,
    Task,
    TaskChange,
    TaskList,
    VodSource,
    Watermark,
)
from streamferry.client.rest import RestService
from streamferry.client.service import AsyncLiveService, LiveService

__all__ = [
    "ActionNotFound",
    "ApiError",
    "AsyncLiveService",
    "AuthenticationFailed",
    "ClientError",
    "Credentials",
    "CredentialsMissing",
    "Destination",
    "Input",
    "InputOptions",
    "InvalidParam",
    "LiveService",
    "NewTask",
    "NoAnswer",
    "PermissionDenied",
    "RateLimited",
    "Refused",
    "RestService",
    "ServerError",
    "Slate",
    "Switching",
    "Task",
    "TaskChange",
    "TaskList",
    "VodSource",
    "Watermark",
]
