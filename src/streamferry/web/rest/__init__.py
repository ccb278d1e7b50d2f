"""REST, our own API: everything the compatible one does, and more, under ``/api/v1``.

``views`` and ``operation_views`` are what is shown and ``reads`` gives it; ``bodies`` is what is asked for and
``writes`` does it; ``routes`` and ``library`` put them on HTTP, and ``app`` puts those behind the ``gate``. The rules
are those of ``control.actions`` and ``tasks.checks``; what a body means is decided for both APIs in
``web.compat.task_bodies``. The dashboard uses ``reads`` and ``writes`` in its process.
"""
