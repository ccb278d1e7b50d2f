"""What every decoder can decode: a probe. What has not come when the answer to a probe comes, does not come any more.

Each is the tags of a question: type and body. Pictures are a gradient of 16 x 16 (H.264) and 32 x 32 (HEVC), as x264
and x265 code it and ``wire.stills`` leaves it; the sound is silent, AAC, mono, 8 kHz: a child that has only just begun
gives no answer to one frame of that, but waits for some 200 bytes.
"""

from streamferry.media.tag import AUDIO, VIDEO

H264 = (
    (VIDEO, bytes.fromhex("17000000000142c00affe100066742c00ada7901000468ce0472")),
    (
        VIDEO,
        bytes.fromhex(
            "17010000000000002a6588843a08601c000f00c0101096b01eb8f5c7ae3d71eb8f5c7ae3d71eb8f5c7ae3d71eb8f5c7ae3d780"
        ),
    ),
)
HEVC = (
    (
        VIDEO,
        bytes.fromhex(
            "90687663310101600000009000000000001ef000fcfdf8f800000f03a00001001840010c01ffff0160000003009000000300"
            "0003001e959409a10001002942010101600000030090000003000003001ea042085965d2930bc05a02000003000200000300"
            "021000a2000100064401c073c089"
        ),
    ),
    (
        VIDEO,
        bytes.fromhex("9368766331000000024801000000192801acb8d2b3347155a597ab440409ec16b7981d3b4356adde"),
    ),
)
AAC = ((AUDIO, b"\xaf\0\x15\x88"), *16 * ((AUDIO, b"\xaf\1\1\x18\x20\7"),))
