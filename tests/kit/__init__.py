"""What the tests measure with: clips, real servers, independent players and publishers, and probes of what arrived.

Nothing here imports streamferry: these are the witnesses, and a witness must not share a fault with the accused.
"""
