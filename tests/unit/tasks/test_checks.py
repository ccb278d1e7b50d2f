"""Every limit on a task's values: what is just inside passes, what is just outside is refused by the field's name."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.pictures import png
from streamferry.config import Settings
from streamferry.control.address_rules import address_rules
from streamferry.media.picture import MAX_PICTURE_BYTES
from streamferry.media.url import MediaUrl
from streamferry.net.folders import Folders
from streamferry.net.listening import ListenPorts
from streamferry.tasks import checks
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.model import TaskItem, TaskKind
from streamferry.tasks.texts import TEXTS
from streamferry.worker.egress import Egress, decide_refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANYWHERE = address_rules()


def refused(field: str, check: Callable[[], object]) -> str:
    """The reason of a refusal, which must name ``field``."""
    with pytest.raises(InvalidField) as caught:
        check()
    assert caught.value.field == field
    return str(caught.value.why)


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("title", ["a", "Z9" * 10, "拉流转推任务", "〇㐀𠀀"])
def test_titles_of_chinese_letters_and_digits_pass(title: str) -> None:
    """1 to 20 characters, rare Han characters too; a character beyond the first plane counts once."""
    assert checks.check_title(title) == title
    assert checks.check_title("𠀀" * 20)


@pytest.mark.parametrize("title", ["a" * 21, "a b", "a-b", "é", "テスト", "a\n", "１"])
def test_other_titles_are_refused(title: str) -> None:
    """Longer ones, spaces, punctuation, other scripts, and a line end that a careless pattern lets through."""
    refused("title", lambda: checks.check_title(title))
    refused("name", lambda: checks.check_group_name(title, "name"))


@pytest.mark.parametrize("note", ["a" * 500, "two\nlines\tand a tab", "خانه\u200cها", "👩\u200d👩", "{} %s <b>"])
def test_notes_are_free_text(note: str) -> None:
    """500 characters of any script, on several lines."""
    assert checks.check_text("note", note, TEXTS["note"]) == note


@pytest.mark.parametrize("note", ["a" * 501, "a\0", "a\x1b[2J", "\u202eabc", "\ud800"])
def test_notes_that_cannot_be_seen_are_refused(note: str) -> None:
    """What a terminal or a page would obey, and what is no text."""
    refused("note", lambda: checks.check_text("note", note, TEXTS["note"]))


def test_the_window_is_at_most_seven_days_and_ends_in_the_future() -> None:
    """7 days pass, a second more does not; the end is after the start and after now; a past start is fine."""
    week = timedelta(days=7)
    second = timedelta(seconds=1)
    checks.check_window(NOW, NOW + week, NOW)
    checks.check_window(NOW - week + second, NOW + second, NOW)
    refused("end_at", lambda: checks.check_window(NOW, NOW + week + second, NOW))
    refused("end_at", lambda: checks.check_window(NOW + second, NOW + second, NOW))
    refused("end_at", lambda: checks.check_window(NOW - week, NOW, NOW))


@pytest.mark.parametrize("at", ["1970-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "9999-01-01T00:00:00-12:00"])
def test_times_that_not_every_calendar_holds_are_refused(at: str) -> None:
    """Of the years from 1970 to 9998 are those that any time zone can show."""
    refused("start_at", lambda: checks.check_time("start_at", datetime.fromisoformat(at)))


def test_times_are_utc_to_the_second() -> None:
    """Whatever zone they were given in."""
    given = datetime.fromisoformat("2021-12-31T03:11:16.9+08:00")
    checked = checks.check_time("start_at", given)
    assert (checked, checked.utcoffset()) == (datetime(2021, 12, 30, 19, 11, 16, tzinfo=UTC), timedelta(0))


def test_an_address_may_have_a_thousand_characters() -> None:
    """1,000 pass, 1,001 do not, on each side."""
    for read in (
        lambda text: checks.read_source("destination", text, TaskKind.LIVE, ANYWHERE),
        lambda text: checks.read_destination(text, ANYWHERE),
    ):
        text = "rtmp://h/app/" + "k" * 987
        assert read(text).reveal() == text
        refused("destination", lambda read=read, text=text: read(text + "k"))


@pytest.mark.parametrize(
    "text",
    [
        *("ftp://h/a.mp4", "a.mp4", "/etc/passwd", "http://", "http://h:99999/a", "http://h/a b", ""),
        *("rtmp://流.example/app/key", "rtmp://h/app/a\u2028b", "rtmp://h/app/\ud800", "rtmp://h/app/\u202eyek"),
    ],
)
def test_addresses_that_cannot_be_pulled_are_refused(text: str) -> None:
    """Schemes we cannot pull, bare paths, hosts outside ASCII, what does not print, and what is no address."""
    refused("sources[0].url", lambda: checks.read_source("sources[0].url", text, TaskKind.LIVE, ANYWHERE))


def test_a_refusal_does_not_repeat_the_address() -> None:
    """The key in a malformed address must not come back in an error that may be logged."""
    reason = refused("destination", lambda: checks.read_destination("rtmp://h:port/app/secretkey", ANYWHERE))
    assert "secretkey" not in reason


def test_kinds_have_their_own_schemes() -> None:
    """RTMP cannot be played as a file; files cannot be pulled live; a stream without a key can be neither end."""
    refused("sources", lambda: checks.read_source("sources", "rtmp://h/a/b", TaskKind.VOD, ANYWHERE))
    refused("sources[0].url", lambda: checks.read_source("sources[0].url", "file:///a.mp4", TaskKind.LIVE, ANYWHERE))
    refused("destination", lambda: checks.read_destination("http://h/a/b", ANYWHERE))
    refused("destination", lambda: checks.read_destination("rtmp://h/only-one-part", ANYWHERE))
    refused(
        "sources[0].url",
        lambda: checks.read_source("sources[0].url", "rtmp://h/only-one-part", TaskKind.LIVE, ANYWHERE),
    )


def test_srt_is_pushed_to_by_host_and_port() -> None:
    """It has no application and key, and no port that could be meant without a word."""
    assert checks.read_destination("srt://h:9000?streamid=s", ANYWHERE).port == 9000
    assert "port" in refused("destination", lambda: checks.read_destination("srt://h?streamid=s", ANYWHERE))


@pytest.mark.parametrize("text", ["https://h/a/live.m3u8?key=k", "http://h/upload?cid=k&file=live.m3u8"])
def test_hls_is_pushed_to_the_address_of_its_playlist(text: str) -> None:
    """In the path or at the end of the query."""
    assert checks.read_destination(text, ANYWHERE).reveal() == text
    assert "m3u8" in refused("destination", lambda: checks.read_destination("https://h/a/live.flv?key=k", ANYWHERE))


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a film, a link out of it, a folder, and neighbours outside of it."""
    folder = tmp_path / "films"
    (folder / "series").mkdir(parents=True)
    (tmp_path / "films2").mkdir()
    for path in (folder / "a.mp4", tmp_path / "films2" / "a.mp4", tmp_path / "secret"):
        path.write_bytes(b"x")
    (folder / "link.mp4").symlink_to(tmp_path / "secret")
    return folder


def read_file(path: Path | str, *folders: Path) -> MediaUrl:
    rules = address_rules(Folders.of(folders))
    return checks.read_source("sources", f"file://{path}", TaskKind.VOD, rules)


def test_files_are_read_from_allowed_folders_only(films: Path) -> None:
    """Inside passes; a neighbour with the same beginning, a climb by dots and a link do not, and the folder is named.

    So it is with what is not there: outside of the folders nobody learns what is.
    """
    assert read_file(films / "a.mp4", films).path == str(films / "a.mp4")
    out = ("../films2/a.mp4", "../secret", "%2e%2e/secret", "link.mp4", "../nothing.mp4", "../nothing/../secret")
    for path in out:
        reason = refused("sources", lambda path=path: read_file(f"{films}/{path}", films))
        assert str(films) in reason
        assert "setting files" in reason
    assert "no folder is set" in refused("sources", lambda: read_file(films / "a.mp4"))


def test_a_file_that_is_not_there_is_refused_at_its_field(films: Path) -> None:
    """And so is a folder. Of a folder that only workers have, nobody here knows what is in it."""
    assert "no such file" in refused("sources", lambda: read_file(films / "b.mp4", films))
    assert "not a file" in refused("sources", lambda: read_file(films / "series", films))
    assert read_file("/only/on/workers/a.mp4", Path("/only/on/workers")).path == "/only/on/workers/a.mp4"


def test_what_the_service_keeps_for_itself_is_no_source(films: Path, tmp_path: Path) -> None:
    """A store inside of a folder that may be read is not read; the library inside of that is."""
    data = films / "data"
    (data / "library").mkdir(parents=True)
    for path in (data / "seal.key", data / "library" / "a.mp4"):
        path.write_bytes(b"x")
    settings = Settings(data_dir=data, cache_dir=tmp_path / "cache", files=(films, data / "library"))
    rules = address_rules(settings.folders)
    allowed = f"file://{data}/library/a.mp4"
    assert checks.read_source("sources", allowed, TaskKind.VOD, rules).path == str(data / "library" / "a.mp4")
    refused("sources", lambda: checks.read_source("sources", f"file://{data}/seal.key", TaskKind.VOD, rules))


def test_redacted_addresses_are_not_taken_for_whole_ones() -> None:
    """An address copied from a list would push to a stream called ***."""
    shown = MediaUrl.parse("rtmp://h/app/key").redacted
    assert "whole address" in refused("destination", lambda: checks.read_destination(shown, ANYWHERE))


def test_domain_app_and_stream_make_a_destination() -> None:
    """A port and a query of the stream are kept."""
    assert (
        checks.build_destination("push.example.com", "live", "s-1", ANYWHERE).reveal()
        == "rtmp://push.example.com/live/s-1"
    )
    url = checks.build_destination("127.0.0.1:1936", "live", "s?token=1", ANYWHERE)
    assert url.reveal() == "rtmp://127.0.0.1:1936/live/s?token=1"


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        (("", "live", "s"), "destination.host"),
        (("h", "", "s"), "destination.app"),
        (("h", "live", ""), "destination.stream"),
        (("rtmp://h", "live", "s"), "destination.host"),
        (("h/x", "live", "s"), "destination.host"),
        (("u@h", "live", "s"), "destination.host"),
        (("h", "li ve", "s"), "destination.app"),
        (("h", "live", "/"), "destination.stream"),
        (("h:99999", "live", "s"), "destination.stream"),
        (("h", "live", "s" * 1000), "destination.stream"),
    ],
)
def test_each_part_of_a_destination_is_checked(parts: tuple[str, str, str], field: str) -> None:
    """What is missing or would change the meaning of the address is refused by name."""
    refused(field, lambda: checks.build_destination(*parts, ANYWHERE))


def test_the_callback_is_an_http_address_of_at_most_2000_characters() -> None:
    """2,000 pass; 2,001 and other schemes do not."""
    url = "http://h/" + "a" * 1991
    assert checks.check_callback_url(url, ANYWHERE) == url
    refused("callback_url", lambda: checks.check_callback_url(url + "a", ANYWHERE))
    refused("callback_url", lambda: checks.check_callback_url("ftp://h/", ANYWHERE))


def test_a_list_has_1_to_30_items() -> None:
    """30 pass, 0 and 31 do not."""
    checks.check_item_count("sources", 30)
    for count in (0, 31):
        refused("sources", lambda count=count: checks.check_item_count("sources", count))


@pytest.mark.parametrize(
    ("start_s", "end_s", "field"),
    [(-0.1, 0, "S"), (float("nan"), 0, "S"), (float("inf"), 0, "S"), (5, 5, "E"), (5, 4, "E"), (0, -1, "E")],
)
def test_offsets_that_make_no_stretch_are_refused(start_s: float, end_s: float, field: str) -> None:
    """Negative, endless, and an end that is not after the start."""
    url = MediaUrl.parse("http://h/a.mp4")
    refused(field, lambda: checks.check_item(url, start_s, end_s, start_field="S", end_field="E"))


def test_an_end_offset_of_zero_is_the_file_end() -> None:
    """It does not have to be after the start then."""
    url = MediaUrl.parse("http://h/a.mp4")
    assert checks.check_item(url, 5, 0, start_field="S", end_field="E") == TaskItem(url, 5, 0)


@pytest.mark.parametrize(
    ("given", "play_times", "loops"), [(-1, None, -1), (-1, 3, -1), (0, 3, 3), (4, 0, 4), (4, 9, 4)]
)
def test_loops_come_from_what_is_given_or_from_play_times(given: int, play_times: int | None, loops: int) -> None:
    """The loops given win, and 0 hands over to play_times."""
    assert checks.decide_loops(given, play_times) == loops


@pytest.mark.parametrize(
    ("loops", "play_times", "field"),
    [
        (-2, None, "loops"),
        (2**31, None, "loops"),
        (0, None, "play_times"),
        (0, 0, "play_times"),
        (-1, -1, "play_times"),
        (0, 2**31, "play_times"),
    ],
)
def test_loops_out_of_range_are_refused(loops: int, play_times: int | None, field: str) -> None:
    """Also play_times that would be of no effect, if it makes no sense."""
    refused(field, lambda: checks.decide_loops(loops, play_times))


def test_a_watermark_keeps_its_bytes_and_real_type() -> None:
    """A PNG that calls itself a JPEG is a PNG."""
    mark = checks.read_watermark(data_url(png(), "jpg"), 0, 0.99, 1)
    assert (mark.picture, mark.media_type) == (png(), "image/png")


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 99,
        png(padding=MAX_PICTURE_BYTES),
        png(width=1081),
        png(height=1081),
        png(width=0),
        png()[:-1],
        b"GIF89a" + bytes(200),
    ],
    ids=["small", "large", "wide", "high", "empty", "cut", "gif"],
)
def test_unfit_pictures_are_refused(data: bytes) -> None:
    """Size in bytes and pixels, type and wholeness."""
    refused("watermark.picture", lambda: checks.read_watermark(data_url(data), 0, 0, 0.1))


def test_the_largest_picture_passes() -> None:
    """2 MB and 1080 x 1080 are inside."""
    data = png(1080, 1080, MAX_PICTURE_BYTES - len(png(padding=0)))
    assert len(data) == MAX_PICTURE_BYTES
    assert checks.read_watermark(data_url(data), 0, 0, 0.1).picture == data


@pytest.mark.parametrize(
    "text", ["\\*\\*\\*\\*mCC", "data:image/gif;base64,AAAA", "data:image/png;base64,A*AA", "data:image/png;base64,"]
)
def test_what_is_no_data_url_of_a_picture_is_refused(text: str) -> None:
    """The placeholder of the published sample among them."""
    refused("watermark.picture", lambda: checks.read_watermark(text, 0, 0, 0.1))


@pytest.mark.parametrize(
    ("x", "y", "ratio", "field"),
    [
        (1, 0, 0.1, "x"),
        (-0.1, 0, 0.1, "x"),
        (0, 1, 0.1, "y"),
        (0, float("nan"), 0.1, "y"),
        (0, 0, 0, "ratio"),
        (0, 0, 1.01, "ratio"),
    ],
)
def test_places_outside_the_picture_are_refused(x: float, y: float, ratio: float, field: str) -> None:
    """Positions are in [0, 1), the ratio in (0, 1]."""
    refused(f"watermark.{field}", lambda: checks.read_watermark(data_url(png()), x, y, ratio))


LAN = address_rules(refuse_host=decide_refusal(Egress.LAN))
PUBLIC = address_rules(refuse_host=decide_refusal(Egress.PUBLIC))
HERE = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "localhost", "LOCALHOST.", "a.localhost"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
)


@pytest.mark.parametrize("host", HERE)
def test_what_the_egress_policy_never_allows_is_refused_at_its_field(host: str) -> None:
    """A source, a destination and a callback on this machine, however it is written: they were taken, and retried for
    ever as the user's fault, without a word of the setting."""
    words = "is on this machine, which the egress policy lan does not allow (setting egress)"
    for check in (
        lambda: checks.read_source("destination", f"rtmp://{host}/live/a", TaskKind.LIVE, LAN),
        lambda: checks.read_source("destination", f"http://{host}:8080/a.mp4", TaskKind.VOD, LAN),
        lambda: checks.read_destination(f"rtmp://{host}/live/a", LAN),
    ):
        assert refused("destination", check) == words
    assert refused("callback_url", lambda: checks.check_callback_url(f"http://{host}/a", LAN)) == words
    assert checks.read_destination(f"rtmp://{host}/live/a", ANYWHERE)


def test_what_may_be_reached_is_taken() -> None:
    """Names are judged when they are resolved; a listener's address is a port of ours; the LAN is open under lan."""
    for host in ("push.example", "localhost.example", "10.1.2.3", "abc", "fade", "cafe.de"):
        assert checks.read_destination(f"rtmp://{host}/live/a", LAN)
    listening = address_rules(refuse_host=decide_refusal(Egress.LAN), ports=ListenPorts.parse("5000,9000"))
    assert checks.read_source("destination", "srt://0.0.0.0:9000?mode=listener", TaskKind.LIVE, listening)
    assert checks.read_source("destination", "udp://127.0.0.1:5000", TaskKind.LIVE, listening)
    words = "leads to an address that the egress policy public does not allow (setting egress)"
    assert refused("destination", lambda: checks.read_destination("rtmp://10.1.2.3/live/a", PUBLIC)) == words
    assert refused("destination.host", lambda: checks.build_destination("10.1.2.3:1935", "live", "a", PUBLIC)) == words
    words = "leads to an address that the egress policy lan does not allow (setting egress)"
    assert refused("F", lambda: checks.read_source("F", "http://169.254.169.254/a.mp4", TaskKind.VOD, LAN)) == words


@pytest.mark.parametrize("address", ["udp://:5000", "udp://239.1.1.1:5000", "srt://:5000?mode=listener"])
def test_a_port_of_a_worker_is_opened_where_the_operator_says_so(address: str) -> None:
    """As a source, and for SRT as a destination; under whichever policy on what is called."""
    allowed = address_rules(refuse_host=decide_refusal(Egress.LAN), ports=ListenPorts.parse("5000"))
    for rules in (address_rules(), LAN, address_rules(ports=ListenPorts.parse("5001-6000"))):
        with pytest.raises(InvalidField, match=r"would open port 5000 .* \(setting listen_ports\)"):
            checks.read_source("Address", address, TaskKind.LIVE, rules)
        if address.startswith("srt"):
            with pytest.raises(InvalidField, match="setting listen_ports"):
                checks.read_destination(address, rules)
    assert checks.read_source("Address", address, TaskKind.LIVE, allowed).port == 5000
