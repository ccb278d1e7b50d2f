"""RTMP from the handshake up (Adobe RTMP specification 1.0, Enhanced RTMP v2). ``session`` is what drivers use."""
