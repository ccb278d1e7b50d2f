"""REST, our own API: everything the compatible one does, and more, under ``/api/v1``.

``bodies`` is what is asked for; ``routes``, ``library_routes`` and ``event_stream`` put it on HTTP, and ``app`` puts
those behind ``token_gate``. What is shown (``web.views``, ``web.operation_views``), how it is read (``web.reads``) and
what changes it (``web.writes``) is shared with the dashboard, which calls it in its process. The rules are those of
``control.actions`` and ``tasks.draft``.
"""
