"""What is left over of the bytes received: the beginning of a unit whose end has not come yet.

Readers keep it themselves, as bytes, so that the receiver passes on each byte once, in order.
"""


def put_before(leftover: bytes, view: memoryview, start: int) -> tuple[memoryview, int]:
    """``leftover`` and ``view[start:]`` in one piece: the view they lie in up to its end, and where they begin there.

    ``view[:start]`` may be written over: ``leftover`` goes there if that is enough, else all is copied.
    """
    begin = start - len(leftover)
    if begin >= 0:
        if leftover:
            view[begin:start] = leftover
        return view, begin
    return memoryview(b"".join((leftover, view[start:]))), 0
