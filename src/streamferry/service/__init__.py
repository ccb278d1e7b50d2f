"""The composition root: what the commands ``serve`` and ``worker`` are made of.

Any number of workers may run beside one service or several, here and elsewhere: what they share is the store.
"""
