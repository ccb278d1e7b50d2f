"""The composition root: the parts of the commands ``serve`` and ``worker``.

Any number of workers may run with one or several services, on any machine: they share the store.
"""
