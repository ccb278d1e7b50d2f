"""A VOD address becomes a prepared FLV file in a cache, by a child process, and is read while it grows.

``store`` and ``file`` are what the relay process uses; ``child`` and all it imports run in the preparation process.
Nothing here knows players, pace or destinations.
"""
