"""REST, our own API: what the compatible one does and what that has no word for, under ``/api/v1``.

``views`` is what is shown, ``reads`` gives it, ``bodies`` is what is asked for, ``writes`` does it; ``routes`` puts them
on HTTP behind the ``gate``. The rules are those of ``control.actions`` and ``control.checks``; what a body means is
decided in one place for both APIs, ``control.api.tasks``. The dashboard uses ``reads`` and ``writes`` in its process.
"""
