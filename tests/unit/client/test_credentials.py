"""The access key is found where the official SDK looks, in its order."""

from pathlib import Path

import pytest

from streamferry.client import Credentials, CredentialsMissing, LiveService, NoAnswer


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without anything, and no variables."""
    monkeypatch.delenv("VOLC_ACCESSKEY", raising=False)
    monkeypatch.delenv("VOLC_SECRETKEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".volc").mkdir()
    return tmp_path


def test_the_environment_comes_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before both files."""
    (home / ".volc/credentials").write_text("[default]\naccess_key_id = ini\nsecret_access_key = s\n")
    monkeypatch.setenv("VOLC_ACCESSKEY", "env")
    monkeypatch.setenv("VOLC_SECRETKEY", "s")
    assert Credentials.find() == Credentials("env", "s")


def test_the_files(home: Path) -> None:
    """credentials as INI before config as JSON."""
    (home / ".volc/config").write_text('{"ak": "json", "sk": "s"}')
    assert Credentials.find() == Credentials("json", "s")
    (home / ".volc/credentials").write_text("[default]\naccess_key_id = ini\nsecret_access_key = s\n")
    assert Credentials.find() == Credentials("ini", "s")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"ak": "a"}'])
def test_without_a_key_the_error_says_where_to_put_one(home: Path, text: str) -> None:
    """Also where a file is there but holds none."""
    with pytest.raises(CredentialsMissing, match="VOLC_ACCESSKEY"):
        Credentials.find()
    (home / ".volc/config").write_text(text)
    with LiveService("http://127.0.0.1:1") as service, pytest.raises(CredentialsMissing):
        service.list_pull_to_push_task()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("credentials", b"access_key_id = hush\n"),
        ("credentials", b"[default]\naccess_key_id = a\nsecret_access_key = hu%sh\n"),
        ("credentials", b"[default]\nsecret_access_key = \xff\n"),
        ("config", b'{"ak": "hush"'),
        ("config", b"\xff"),
    ],
)
def test_a_file_that_does_not_read_is_named_and_not_repeated(home: Path, name: str, content: bytes) -> None:
    """No section, a stray percent sign, no UTF-8, no JSON: one kind of error, without what the file holds."""
    (home / ".volc" / name).write_bytes(content)
    with pytest.raises(CredentialsMissing, match=f"{name} is not") as caught:
        Credentials.find()
    assert "hush" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(home: Path) -> None:
    """A loop of links, which stops root too."""
    (home / ".volc/credentials").symlink_to(home / ".volc/credentials")
    with pytest.raises(CredentialsMissing, match="credentials cannot be read"):
        Credentials.find()


def test_a_key_may_be_set_after_the_service_was_made() -> None:
    """As samples of the official SDK do; half a key is told, not mixed with one that is found."""
    with LiveService("http://127.0.0.1:1") as service:
        service.set_ak("AK")
        with pytest.raises(CredentialsMissing, match="both"):
            service.list_pull_to_push_task()
        service.set_sk("SK")
        with pytest.raises(NoAnswer):
            service.list_pull_to_push_task()


def test_what_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other than in the official SDK, whose variables win: a call must not go out under a key nobody named."""
    monkeypatch.setenv("VOLC_ACCESSKEY", "env")
    monkeypatch.setenv("VOLC_SECRETKEY", "s")
    with LiveService("http://127.0.0.1:1", "given", "s") as service:
        assert service._find_credentials() == Credentials("given", "s")
        service.set_session_token("t")
        assert service._find_credentials() == Credentials("given", "s", "t")
    with LiveService("http://127.0.0.1:1") as service:
        assert service._find_credentials() == Credentials("env", "s")


def test_a_secret_is_not_shown() -> None:
    """In a repr that may end in a log."""
    assert "hush" not in repr(Credentials("a", "hush", "hush"))
