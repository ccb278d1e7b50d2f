"""Callbacks: what happens to a task, posted to its CallbackURL.

``sender`` posts one, ``dispatcher`` decides which and when, ``delivery_actions`` is what front ends may show and do.
Callbacks that are due are in the store (``store.mailboxes``), so a crash loses none.
"""

from streamferry.control.callbacks.delivery_actions import Callbacks

__all__ = ["Callbacks"]
