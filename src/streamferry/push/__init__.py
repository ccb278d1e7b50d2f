"""Publish: one session to a destination, the bounded queue in front of it, and its liveness."""

from streamferry.push.outlet import Outlet
from streamferry.push.session import PublishSession, open_publish_session

__all__ = ["Outlet", "PublishSession", "open_publish_session"]
