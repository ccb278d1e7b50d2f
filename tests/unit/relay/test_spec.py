"""RelaySpec: what cannot be relayed is refused with the name of the field, and without the secret it may hold."""

from math import inf, nan

import pytest

from streamferry.media.url import MediaUrl
from streamferry.relay import Item, RelaySpec

FLV = MediaUrl.parse("http://example.com/live.flv?token=s3cret")
RTMP = MediaUrl.parse("rtmp://example.com/live/s3cret")
FILE = MediaUrl.parse("/clips/one.mp4")


def test_specs_of_both_kinds():
    """What can be relayed is taken as it is."""
    live = RelaySpec.live(FLV, RTMP, duration_s=5)
    assert live.is_live
    assert live.items == (Item(FLV),)
    vod = RelaySpec.vod([Item(FILE, 1.5, 3.0), Item(FLV)], RTMP, loops=3)
    assert not vod.is_live
    assert (len(vod.items), vod.loops) == (2, 3)


WRONG = [
    ("destination", lambda: RelaySpec.live(FLV, FLV)),
    ("destination", lambda: RelaySpec.live(FLV, MediaUrl.parse("rtmp://example.com/s3cret"))),
    ("sources", lambda: RelaySpec.vod([], RTMP)),
    ("sources", lambda: RelaySpec.vod([Item(FILE)] * 31, RTMP)),
    ("sources", lambda: RelaySpec(RTMP, (Item(FLV), Item(FLV)), True)),
    ("sources", lambda: RelaySpec.live(FILE, RTMP)),
    ("sources", lambda: RelaySpec.live(MediaUrl.parse("srt://example.com?passphrase=s3cret"), RTMP)),
    ("sources", lambda: RelaySpec.vod([Item(RTMP)], RTMP)),
    *(("offset", lambda value=value: RelaySpec.vod([Item(FILE, value)], RTMP)) for value in (-0.1, nan, inf)),
    *(("offset", lambda value=value: RelaySpec.vod([Item(FILE, 0, value)], RTMP)) for value in (-1, nan, inf)),
    ("end offset", lambda: RelaySpec.vod([Item(FILE, 5, 5)], RTMP)),
    ("loop", lambda: RelaySpec.vod([Item(FILE)], RTMP, loops=0)),
    ("loop", lambda: RelaySpec.vod([Item(FILE)], RTMP, loops=-2)),
    *(("duration", lambda value=value: RelaySpec.live(FLV, RTMP, duration_s=value)) for value in (0, -1, nan, inf)),
    *(("patience", lambda value=value: RelaySpec.live(FLV, RTMP, patience_s=value)) for value in (0, -1, nan, inf)),
]


@pytest.mark.parametrize(("field", "make"), WRONG)
def test_what_cannot_be_relayed_names_its_field(field, make):
    """A sentence that begins with the field; whoever shows it shows no secret."""
    with pytest.raises(ValueError, match=f"^{field}: ") as caught:
        make()
    assert "s3cret" not in str(caught.value)


def test_a_spec_shows_no_secret():
    """Neither does its repr, which lands in logs."""
    assert "s3cret" not in repr(RelaySpec.live(FLV, RTMP))
