"""Where media comes from. Each source gives tags as they came; laying them on one clock is the timeline's work.

It never retries: when a source ends or fails it says so with a SourceError, and a relay's run decides.
"""
