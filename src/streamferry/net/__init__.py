"""Connections to peers: dial, the RTMP driver, streamed HTTP. The only place where bytes meet sockets.

It does not know whether a peer is a source or a destination, and it never retries.
"""
