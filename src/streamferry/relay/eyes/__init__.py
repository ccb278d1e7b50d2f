"""What is seen and heard of what a relay sends, for those that ask for it.

``look`` copies a keyframe and a stretch of sound every few seconds, ``decoders`` makes a small picture and a level of
them in a child process, ``judge`` says what is wrong, and ``watcher`` puts these together for one run.
"""
