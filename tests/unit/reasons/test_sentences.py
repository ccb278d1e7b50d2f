"""What can be wrong is said once for each language, from a table that fits the code."""

import ast
import functools
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import streamferry
from streamferry.media.errors import SourceForbidden, SourceUnreachable
from streamferry.reasons import LANGUAGES, Code, Reason, ReasonCode, sentence, system_reason
from streamferry.reasons.codes import CODES
from streamferry.reasons.reason import MAX_DEPTH, MAX_VALUE_CHARS

ROOT = Path(streamferry.__file__).parent


@functools.cache
def sources() -> dict[Path, ast.Module]:
    """All modules but the tables, parsed when the first test asks: every process of the tests imports this one."""
    return {
        path: ast.parse(path.read_text())
        for path in ROOT.rglob("*.py")
        if ROOT / "reasons" not in path.parents or path.stem == "system"
    }


def parameters(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def code_of(node: ast.expr) -> ReasonCode | None:
    is_code = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    return CODES[node.attr] if is_code and isinstance(node, ast.Attribute) else None


def test_every_code_has_a_sentence_in_each_language() -> None:
    """No language is a second-class one."""
    for code in CODES.values():
        assert set(code.sentences) == set(LANGUAGES)
        assert all(code.sentences.values()), code


@pytest.mark.parametrize("code", CODES.values())
def test_the_sentences_of_a_code_use_the_same_parameters(code: ReasonCode) -> None:
    """A value that is told in one language is told in each."""
    first, *others = map(parameters, code.sentences.values())
    assert others == [first] * (len(LANGUAGES) - 1)


def test_codes_are_named_as_they_are_written() -> None:
    """Who has seen a code in the store or an answer finds it in the sources."""
    assert list(CODES) == [code.upper().replace(".", "_") for code in CODES.values()]
    assert len(CODES) > 300


def test_no_code_is_unused() -> None:
    """What nobody says has no sentence."""
    used = {code_of(node) for tree in sources().values() for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert set(CODES.values()) - used == {Code.TEXT}


def test_each_code_is_given_exactly_its_parameters() -> None:
    """A sentence with a hole in it would be met by a user only."""
    wrong, judged = [], 0
    for path, tree in sources().items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            for code in filter(None, map(code_of, call.args)):
                wanted, given = parameters(code.sentences["en"]), {keyword.arg for keyword in call.keywords}
                name = ast.unparse(call.func)
                # Functions of ours may add to what they are given.
                is_whole = name == "Reason.of" or name.rpartition(".")[2][:1].isupper()
                judged += 1
                if None not in given and (wanted != given if is_whole else not given <= wanted):
                    wrong.append(f"{path.name}:{call.lineno}: {code}: {sorted(map(str, given ^ wanted))}")
    assert not wrong
    assert judged > 200


def test_a_cause_is_said_in_the_same_language() -> None:
    """Sentences hold sentences: no English is left in a Chinese one, and the other way round."""
    step = Reason.of(Code.STEP_CONNECTING, peer="live.example.com:1935")
    reason = Reason.of(Code.PEER_STEP_FAILED, step=step, why=system_reason(111))
    assert str(reason) == sentence(reason, "en") == "connecting to live.example.com:1935 failed: Connection refused"
    assert sentence(reason, "zh") == "连接 live.example.com:1935 失败：连接被拒绝"


def test_lists_are_joined_as_the_language_does_it() -> None:
    """The comma and the word before the last one belong to the language."""
    reason = Reason.of(Code.FILE_NOT_CARRIED, codecs=("dts", "truehd", "theora"))
    assert str(reason).startswith("it holds dts, truehd and theora, which")
    assert "dts、truehd和theora" in sentence(reason, "zh")


def test_what_peers_say_is_bounded() -> None:
    """A peer that talks without end fills neither the store nor a page."""
    reason = Reason.of(Code.PEER_REFUSED, peer="x", words="no " * 100_000)
    assert len(str(reason)) < MAX_VALUE_CHARS + 100


def test_braces_in_what_peers_say_mean_nothing() -> None:
    """Words of a peer are values, never a template."""
    words = "{peer.__class__} {0} {why} %s"
    assert str(Reason.of(Code.PEER_REFUSED, peer="host", words=words)) == f"host refused: {words}"


def test_a_code_of_a_newer_version_is_told_with_its_values() -> None:
    """During an upgrade an older process reads what a newer one wrote."""
    reason = Reason.from_json(
        {"code": "source.haunted", "params": {"ghosts": 3, "why": {"code": "text", "params": {"words": "boo"}}}}
    )
    assert sentence(reason, "zh") == str(reason) == "source.haunted (ghosts=3, why=boo)"
    assert "seconds" not in str(Reason("source.silent", {"s": 3})), "parameters of a newer version do not fit"
    assert str(Reason("source.silent", {"s": 3})) == "source.silent (s=3)"


def test_an_error_is_said_of_something_else() -> None:
    """A hole in a film is told of the segment, not of the film."""
    error = SourceForbidden(Code.FILE_OUTSIDE_FOLDERS, name="/etc/passwd", machine="m")
    assert str(error.why.about("segment 3")).startswith("segment 3 lies outside")


def test_an_error_takes_over_the_reason_of_another() -> None:
    """Whose fault it is changes, what happened does not."""
    first = SourceForbidden(Code.FILE_MISSING, name="a.mp4")
    assert str(SourceUnreachable(first.why)) == str(first) == "a.mp4 does not exist"


codes = st.sampled_from(list(CODES.values()))
values = st.recursive(
    st.text() | st.integers() | st.floats(allow_nan=False) | st.lists(st.text(), max_size=4).map(tuple),
    lambda inner: st.builds(
        Reason, st.sampled_from(list(CODES.values())) | st.text(), st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(codes | st.text(), st.data())
def test_a_reason_survives_and_can_always_be_said(code: str, data: st.DataObject) -> None:
    """Whatever the values are: it is the same after the store, and saying it never fails."""
    names = sorted(parameters(code.sentences["en"])) if isinstance(code, ReasonCode) else ["a"]
    params = data.draw(st.fixed_dictionaries(dict.fromkeys(names, values)) | st.dictionaries(st.text(), values))
    reason = Reason(code, params)
    assert Reason.load(reason.dump()) == reason
    assert all(isinstance(sentence(reason, language), str) for language in LANGUAGES)
    assert isinstance(hash(reason), int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"words"',
        "{}",
        '{"code": 1, "params": {}}',
        '{"code": "a", "params": []}',
        "[" * 100_000,
        '{"code": "a", "params": {"x": null}}',
        '{"code": "a", "params": {"x": {"y": 1}}}',
    ],
)
def test_damaged_reasons_are_refused(text: str) -> None:
    """What is no reason is a ValueError, not half of one."""
    with pytest.raises(ValueError, match=r"reason|Expecting"):
        Reason.load(text)


@pytest.mark.parametrize("depth", [MAX_DEPTH, 500])
def test_a_damaged_event_that_nests_without_end_is_told_as_its_sentence(depth: int) -> None:
    """It was read until the stack ended, and so was the list that it is in."""
    nested: dict[str, Any] = {"code": "text", "params": {"words": "beneath"}}
    for _ in range(depth):
        nested = {"code": "peer.step_failed", "params": {"step": "a step", "why": nested}}
    told = {"reason": "as it was said", "reason_code": nested["code"], "reason_params": nested["params"]}
    assert str(Reason.of_told(told)) == "as it was said"
