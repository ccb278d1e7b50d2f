"""Options of further inputs, as they are given by hand."""

from typing import Any

import pytest

from streamferry.cli.input_peers import give_input_options

PRESENT = {
    "inputs": [
        {"kind": "live", "sources": [{"url": "rtmp://b.example/live/***"}], "warm": True, "options": {"proxy": "x"}},
        {"kind": "vod", "sources": [{"url": "https://h.example/a.mp4"}], "warm": False, "options": {}},
    ]
}


def given(body: dict[str, Any] | None = None, **options: list[str]) -> dict[str, Any]:
    """The body with what these options put into it."""
    body = {} if body is None else body
    arguments: dict[str, Any] = {f"input_{name}": texts for name, texts in options.items()}
    give_input_options(arguments, body, PRESENT)
    assert arguments == {}
    return body


def test_options_are_for_all_inputs_or_for_one() -> None:
    """Of a task that is there its inputs are sent back as they were shown, each with what is given; what is not given
    of their options is the service's."""
    assert given() == {}
    body = given(proxy=["socks5h://p.example:1"], header=["2=Cookie: a=b", "2=X-A: 1"], keep_drift=["1=on"])
    first, second = body["inputs"]
    assert first == {
        "kind": "live",
        "sources": [{"url": "rtmp://b.example/live/***"}],
        "warm": True,
        "options": {"proxy": "socks5h://p.example:1", "keep_drift": True},
    }
    assert second["options"] == {"proxy": "socks5h://p.example:1", "headers": {"Cookie": "a=b", "X-A": "1"}}
    assert given(segments_behind=["1=6"])["inputs"][0]["options"] == {"segments_behind": 6}
    body = given({"inputs": [{"kind": "live", "options": {"bind": "::1"}}]}, connect=["1=flashVer=A=B"], bind=["1=::2"])
    assert body["inputs"][0]["options"] == {"bind": "::2", "flash_ver": "A=B"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"proxy": ["3=http://p.example:1"]}, "--input-proxy: there is no further input 3"),
        ({"bind": ["0=::1"]}, "--input-bind: there is no further input 0"),
        ({"header": ["1=no colon"]}, "--input-header: must be NAME: VALUE"),
        ({"connect": ["x=y"]}, "--input-connect: must be NAME=VALUE"),
        ({"keep_drift": ["yes"]}, "--input-keep-drift: must be on or off"),
        ({"max_kbps": ["2M"]}, "--input-max-kbps: must be a number"),
    ],
)
def test_what_is_wrong_is_named_by_its_option(options: dict[str, list[str]], words: str) -> None:
    """Also an input that there is not."""
    with pytest.raises(ValueError, match=words):
        given(**options)


@pytest.mark.parametrize("inputs", [None, {}, "a", [1]])
def test_a_file_with_odd_inputs_was_told_as_an_answer_of_the_service(inputs: object) -> None:
    """What is wrong is the user's file."""
    with pytest.raises(ValueError, match="--from-json: inputs must be a list of objects"):
        given({"inputs": inputs}, proxy=["http://p.example:1"])


def test_a_task_without_further_inputs_has_none_to_tell() -> None:
    """Given for all of none."""
    with pytest.raises(ValueError, match="there is no further input"):
        give_input_options({"input_proxy": ["http://p.example:1"]}, {}, {})
