"""Addresses as platforms give them arrive at the relay as they were given, whichever way they come; or are refused."""

import random
import string

import pytest
from rest_api import Rest, new_task

from streamferry.control.relay_specs import relay_spec_of
from streamferry.media.url import MediaUrl
from streamferry.relay.spec import check_destination
from streamferry.relay.status import START

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)

ODD = [
    "rtmp://live.example/app/key",
    "rtmp://live.example:1936/app/sub/key?sign=a%2Fb&t=1",
    "rtmps://user:p%40ss@live.example/app/key#1",
    "rtmp://live.example/app?vhost=a.example/key",
    "rtmp://[2001:db8::1]:1935/app/key",
    "rtmp://live.example/app/key?auth=a=b==&x=%E4%BD%A0",
    "rtmp://live.example//app//key",
    "rtmp://live.example/key",
    "rtmp://live.example/app/",
    "srt://live.example:9000?streamid=publish:a/b,c&passphrase=0123456789",
    "https://live.example/hls/a.m3u8?token=x+y%20z",
    "rtmp://live.example/app/stream-你",
    "rtmp://live.example/app/a b",
    "rtmp://live.example/app/a%00b",
    "rtmp://xn--fsq.example/app/key",
]


def made_up(dice: random.Random) -> str:
    """An address with odd characters in its path and its query."""
    letters = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@%/?#[]|^`{}\\\""
    text = "".join(dice.choice(letters) for _ in range(dice.randint(1, 24)))
    return f"{dice.choice(['rtmp', 'rtmps'])}://live.example/app/{text}"


def read(text: str) -> str | None:
    """The address as ``streamferry relay`` pushes to it; None if it refuses it."""
    try:
        url = MediaUrl.parse(text)
        check_destination(url)
    except ValueError:
        return None
    return url.reveal()


async def test_what_is_given_is_what_is_pushed_to(rest: Rest) -> None:
    """Through REST and its store to the worker, sent back as it was shown, and as the command line reads it: all the
    same, or all refused."""
    dice = random.Random(13)
    exact = 0
    for text in [*ODD, *(made_up(dice) for _ in range(20))]:
        by_hand = read(text)
        answer = await rest.client.post("/tasks", json=new_task(destination=text))
        assert (answer.status_code == 201) == (by_hand is not None), (text, by_hand, answer.text)
        if by_hand is None:
            assert answer.json()["error"]["field"].startswith("destination"), text
            continue
        path = f"/tasks/{answer.json()['task_id']}"
        for changed in ({}, {"title": "Same"}, {"destination": answer.json()["destination"]}):
            if changed:
                await rest.call("PATCH", path, changed)
            record = await rest.actions.get_task(answer.json()["task_id"])
            assert relay_spec_of(record.spec, START).destination.reveal() == by_hand, (text, changed)
        await rest.call("DELETE", path)
        exact += 1
    assert exact > 15
