"""Callbacks: what happens to a task, posted to its CallbackURL.

``payload`` is what is posted, ``sender`` posts one, ``courier`` decides which and when, ``desk`` is for who looks after
them. What is owed lives in the store (``control.store.mailboxes``), so a crash loses none.
"""

from streamferry.control.callbacks.desk import Callbacks

__all__ = ["Callbacks"]
