"""Buckets of S3: which keys are taken, where a bucket is, what may be read, and what is said of it."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import obstore
import pytest

from kit.s3 import KEYS
from streamferry.config import load_settings
from streamferry.control.address_rules import address_rules
from streamferry.media.errors import SourceForbidden, SourceUnreachable, SourceUnsupported
from streamferry.media.url import MediaUrl
from streamferry.net.s3 import Buckets, Signer, check_s3
from streamferry.net.s3_uploads import read_list, sign
from streamferry.prepare.route import Route

FILM = MediaUrl.parse("s3://films/a b.mp4")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with profiles."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = of-default\naws_secret_access_key = planted-1\n"
        "[stage]\naws_access_key_id = of-stage\naws_secret_access_key = planted-2\naws_session_token = planted-3\n"
    )
    (folder / "config").write_text(
        "[default]\nregion = eu-west-1\n[profile stage]\nregion = eu-central-1\nendpoint_url = https://stage.example\n"
        "[profile corporate]\nsso_start_url = https://sso.example\nregion = eu-west-3\n"
    )
    return {"HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("given", "environment", "key", "token", "region"),
    [
        ({}, {}, "of-default", None, "eu-west-1"),
        ({"profile": "stage"}, {}, "of-stage", "planted-3", "eu-central-1"),
        ({}, {"AWS_PROFILE": "stage"}, "of-stage", "planted-3", "eu-central-1"),
        (
            {},
            {"AWS_ACCESS_KEY_ID": "of-env", "AWS_SECRET_ACCESS_KEY": "planted-4", "AWS_SESSION_TOKEN": "planted-5"},
            "of-env",
            "planted-5",
            "us-east-1",
        ),
        (
            {"access_key_id": "of-settings", "secret_access_key": "planted-6"},
            {"AWS_ACCESS_KEY_ID": "of-env", "AWS_SESSION_TOKEN": "planted-5", "AWS_REGION": "cn-north-1"},
            "of-settings",
            None,
            "cn-north-1",
        ),
        (
            {"profile": "stage"},
            {"AWS_ACCESS_KEY_ID": "of-env", "AWS_SECRET_ACCESS_KEY": "planted-4"},
            "of-stage",
            "planted-3",
            "eu-central-1",
        ),
        ({"profile": "stage", "region": "here"}, {}, "of-stage", "planted-3", "here"),
    ],
)
def test_keys_are_found_as_awss_tools_find_them(
    home: dict[str, str], given: dict[str, str], environment: dict[str, str], key: str, token: str | None, region: str
) -> None:
    """Settings before a profile before the environment before the default profile; a token goes with its key only."""
    found = Buckets.of(given, home | environment)
    assert (found.config.get("access_key_id"), found.config.get("session_token")) == (key, token)
    assert found.config["region"] == region
    assert "planted" not in repr(found)
    signed = parse_qs(urlsplit(Signer(found, FILM).sign("GET", found.address(FILM))).query)
    assert signed["X-Amz-Credential"][0].startswith(f"{key}/")
    assert signed.get("X-Amz-Security-Token", [None])[0] == token
    assert Buckets.from_json(found.to_json()) == found


@pytest.mark.parametrize(("name", "words"), [("none", "no profile none"), ("corporate", "export-credentials")])
def test_a_profile_that_has_no_keys_says_what_to_do(home: dict[str, str], name: str, words: str) -> None:
    """One that is not there, and one whose keys are elsewhere."""
    with pytest.raises(ValueError, match=words):
        Buckets.of({"profile": name}, home)


def test_a_bucket_stands_in_the_path_or_in_the_host() -> None:
    """Of AWS by its region, else of the endpoint."""
    empty = {"HOME": "/nowhere"}
    assert (
        Buckets.of({"region": "eu-west-1"}, empty).address(FILM) == "https://s3.eu-west-1.amazonaws.com/films/a%20b.mp4"
    )
    assert (
        Buckets.of({"endpoint": "https://oss.example/"}, empty).address(FILM) == "https://oss.example/films/a%20b.mp4"
    )
    virtual = Buckets.of(
        {"endpoint": "https://oss.example", "addressing": "virtual", "access_key_id": "k", "secret_access_key": "s"},
        empty,
    )
    address = "https://films.oss.example/a%20b.mp4"
    assert virtual.address(FILM) == address
    assert Signer(virtual, FILM).sign("GET", address).startswith(f"{address}?X-Amz-Algorithm=")


def test_what_lies_elsewhere_is_not_signed() -> None:
    """Nor what lies in the bucket outside of the allowed part: a playlist may name anything."""
    buckets = Buckets.of(
        {"endpoint": "https://s3.example", "access_key_id": "k", "secret_access_key": "s"},
        {"HOME": "/"},
        ("films/open",),
    )
    signer = Signer(buckets, MediaUrl.parse("s3://films/open/a.m3u8"))
    for address in (
        "https://s3.example/films/closed/a.ts",
        "https://s3.example/films/openly/a.ts",
        "https://s3.example/filmsother/open/a.ts",
        "https://s3.example.thief.example/films/open/a.ts",
        "http://s3.example/films/open/a.ts",
    ):
        assert signer.sign("GET", address) == address
    assert signer.sign("PUT", "https://s3.example/films/open/a.ts") == "https://s3.example/films/open/a.ts"
    assert "X-Amz-Signature" in signer.sign("GET", "https://s3.example/films/open/a%20b.ts")


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [("s3://films/open/a.mp4", True), ("s3://films/a.mp4", False), ("s3://all/a.mp4", True), ("s3://al/a.mp4", False)],
)
def test_tasks_read_from_buckets_that_are_set(address: str, is_allowed: bool) -> None:
    """Where none is set, from none; the refusal names the setting."""
    buckets = Buckets(allowed=("films/open/", "all"))
    url = MediaUrl.parse(address)
    reason = address_rules(buckets=buckets).refuse_peer(url)
    assert (reason is None) == is_allowed
    if not is_allowed:
        assert "films/open/" in str(reason)
        assert "setting s3_buckets" in str(reason)
        with pytest.raises(SourceForbidden):
            buckets.check(url)
    assert "setting s3_buckets" in str(address_rules().refuse_peer(url))


@pytest.mark.parametrize(
    "address", ["s3://films", "s3://films/", "s3://films//a", "s3://films/a/../b", "s3://films:80/a"]
)
def test_an_address_without_a_usable_key_is_refused(address: str) -> None:
    """With the form that it must have."""
    with pytest.raises(ValueError, match="s3://BUCKET/KEY"):
        check_s3(MediaUrl.parse(address))


def test_keys_in_the_address_are_refused_and_not_repeated() -> None:
    """Some tools take them there."""
    with pytest.raises(ValueError, match="s3_access_key_id") as caught:
        check_s3(MediaUrl.parse("s3://planted-id:planted-secret@films/a.mp4"))
    assert "planted" not in str(caught.value)


def test_a_key_is_taken_as_it_is_written() -> None:
    """Nothing in it is escaped, and nothing cut off."""
    url = MediaUrl.parse("s3://films/a b%20c?d#e/f.mp4")
    assert (url.host, url.path, url.query) == ("films", "/a b%20c?d#e/f.mp4", "")
    assert url.reveal() == "s3://films/a b%20c?d#e/f.mp4"
    assert MediaUrl.parse(url.reveal()) == url


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SourceUnsupported, match=r"pip install 'streamferry\[s3\]'"):
        Route.to(FILM, buckets=Buckets()).client_options()


def test_without_keys_it_says_which_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of what failed are not told: they hold addresses."""
    buckets = Buckets.of(
        {}, {"HOME": "/nowhere", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/planted", "AWS_ROLE_ARN": "r"}
    )
    with pytest.raises(SourceUnreachable, match="s3_access_key_id") as caught:
        Signer(buckets, FILM).sign("GET", buckets.address(FILM))
    assert "planted" not in str(caught.value)


def test_a_worker_gets_them_with_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not by the environment, which its service forgets; and no setting shows a secret."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    settings = load_settings(s3_buckets="films, more/part", s3_endpoint="https://s3.example")
    assert "planted" not in repr(settings)
    from streamferry.service.worker_settings import WorkerSettings

    assert WorkerSettings.load(settings.of_worker()).buckets == settings.buckets
    assert settings.buckets.allowed == ("films", "more/part")
    assert settings.buckets.config["secret_access_key"] == "planted-secret"


@pytest.mark.parametrize("addressing", ["path", "virtual"])
@pytest.mark.parametrize("token", ["", "a/token+=="])
async def test_what_obstore_cannot_ask_is_signed_as_obstore_signs(addressing: str, token: str) -> None:
    """The same address at the same moment has the same signature."""
    config = {"endpoint": "https://s3.example:9443", "region": "eu-1", **KEYS}
    buckets = Buckets.of({**config, "addressing": addressing}, {})
    if token:
        buckets = replace(buckets, config={**buckets.config, "session_token": token})
    key = "a film/午夜 ~(1)'.mp4"
    theirs = await obstore.sign_async(buckets.store("films"), "DELETE", key, timedelta(seconds=900))
    plain, _, query = theirs.partition("?")
    stamp = dict(parse_qsl(query))["X-Amz-Date"]
    now = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert f"{buckets.home('films')}/{quote(key)}" == plain
    ours = sign(buckets.config, "DELETE", plain, {}, now, 900)
    assert dict(parse_qsl(ours.partition("?")[2])) == dict(parse_qsl(query))


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"no list", b"<a><Upload><Key>k</Key>"),
        b"<a><Upload><Key>k</Key><UploadId>i</UploadId><Initiated>soon</Initiated></Upload></a>",
    ],
)
def test_an_answer_that_lists_no_uploads(text: bytes) -> None:
    """Nothing is given up by it."""
    with pytest.raises(ValueError, match=r"answer|soon"):
        list(read_list(text))
