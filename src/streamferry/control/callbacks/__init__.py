"""Callbacks: what happens to a task, posted to its CallbackURL.

``sender`` posts one, ``dispatcher`` decides which and when, ``deliveries`` is what front ends may show and do.
Callbacks that are due are in the store (``store.mailboxes``), so a crash loses none.
"""

from streamferry.control.callbacks.deliveries import Callbacks

__all__ = ["Callbacks"]
