"""A VOD address becomes a prepared FLV file in a cache, by a child process, and is read while it grows.

``store`` and ``file`` are what the relay process uses; ``preparation`` and all it imports run in the preparation
process, which is why nothing is imported here: it needs neither asyncio nor httpx for a local file. Nothing in this
package knows players, pace or destinations.
"""
