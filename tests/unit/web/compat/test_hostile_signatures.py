"""What a stranger can make the proof of a signature cost, who has no secret but knows a key's id."""

from datetime import UTC, datetime, timedelta

import pytest

from kit.work import HashedBytes, count_steps
from streamferry.web.compat.api_errors import ApiError
from streamferry.web.compat.signature import MAX_SIGNED_HEADERS, SignedRequest, read_claim, verify

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
#: A head of 64 KiB, which is all that arrives, costs some steps a header; the attack that was found cost 70 million.
BUDGET_STEPS = 400_000
BUDGET_HASHED_BYTES = 1 << 20
SIGNATURE = "0" * 64


def hostile(
    signed: str = "host;x-date",
    *,
    key_id: str = "AKLT",
    query: bytes = b"Action=ListPullToPushTask&Version=2023-01-01",
    more: list[tuple[bytes, bytes]] | None = None,
    host: bytes = b"api",
    date: bytes = b"20260102T030405Z",
) -> SignedRequest:
    """A request in the header form, its signature a guess."""
    words = f"HMAC-SHA256 Credential={key_id}/20260102/r/live/request, SignedHeaders={signed}, Signature={SIGNATURE}"
    headers = [(b"host", host), (b"x-date", date), (b"authorization", words.encode()), *(more or [])]
    return SignedRequest("POST", query, headers)


def presigned(names: int) -> SignedRequest:
    """The same in the query form, with so many parameters, all of them listed as signed."""
    pairs = [f"p{number}=v" for number in range(names)]
    listed = ";".join(f"p{number}" for number in range(names))
    query = "&".join(
        (
            *pairs,
            "X-Algorithm=HMAC-SHA256&X-Date=20260102T030405Z&X-Credential=AKLT/20260102/r/live/request",
            f"X-SignedQueries={listed}&X-SignedHeaders=host&X-Signature={SIGNATURE}",
        )
    )
    return SignedRequest("GET", query.encode(), [(b"host", b"api")])


ATTACKS = {
    "fourteen thousand names, five thousand headers": lambda: hostile("a;" * 14_000, more=[(b"a", b"")] * 5_000),
    "five thousand headers of their own": lambda: hostile(more=[(b"h%d" % one, b"") for one in range(5_000)]),
    "as many names as may be, of headers of 2 KB": lambda: hostile(
        ";".join(f"h{one}" for one in range(MAX_SIGNED_HEADERS)),
        more=[(b"h%d" % one, b" x" * 1_000) for one in range(MAX_SIGNED_HEADERS)],
    ),
    "one signed header of 60 KB of blanks": lambda: hostile("host;x-a", more=[(b"x-a", b" a" * 30_000)]),
    "ten thousand repeated parameters": lambda: hostile(query=b"a=1&" * 10_000),
    "ten thousand parameters": lambda: hostile(query=b"&".join(b"p%d" % one for one in range(10_000))),
    "ten thousand separators": lambda: hostile(query=b"&" * 10_000),
    "a query of 60 KB of escapes": lambda: hostile(query=b"a=" + b"%F0%9F%92%A9" * 5_000),
    "a date of 60 KB": lambda: hostile(date=b"2" * 60_000),
    "a credential of 60 KB": lambda: hostile(key_id="A" * 60_000),
    "a credential of thirty thousand slashes": lambda: hostile(key_id="A/" * 30_000),
    "a host of 60 KB": lambda: hostile(host=b"h:" * 30_000 + b"80"),
    "names in other alphabets": lambda: hostile("\u0430;" * 5_000, more=[("\u0430".encode(), b"")] * 100),
    "a pre-signed query of ten thousand": lambda: presigned(10_000),
    "ten thousand signed headers in the query": lambda: SignedRequest(
        "GET", presigned(3).query.replace(b"Headers=host", b"Headers=" + b"a;" * 10_000), [(b"host", b"a")] * 99
    ),
    "blanks in the authorization": lambda: SignedRequest(
        "POST", b"", [(b"authorization", b"HMAC-SHA256" + b" " * 60_000 + b"Credential=" + b"," * 99)]
    ),
}
HOSTS = tuple(f"name-{number}.example" for number in range(10))


@pytest.mark.parametrize("name", ATTACKS)
def test_one_request_without_a_secret_stopped_the_control_plane(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a head of 64 KiB holds, and with ten public names to try, refusing it is a bounded piece of work."""
    hashed = HashedBytes(monkeypatch)
    refused = []

    def answer() -> None:
        request = ATTACKS[name]()
        try:
            claim = read_claim(request)
            claim.check_time(NOW)
            verify(claim, request, "the secret", HOSTS)
        except ApiError as error:
            refused.append(error)
            raise

    count_steps(answer, BUDGET_STEPS)
    assert len(refused) == 1
    assert len(str(refused[0])) < 500
    assert hashed.count < BUDGET_HASHED_BYTES


def test_signed_names_are_few_and_differ() -> None:
    """32 may be signed; more, or one of them twice, are refused before anything is computed."""
    many = [f"h{number}" for number in range(MAX_SIGNED_HEADERS)]
    assert len(read_claim(hostile(";".join(many))).signed_headers) == MAX_SIGNED_HEADERS
    for names in (";".join([*many, "more"]), "host;host", ";".join([*many, *many]), ";".join(many) + ";;;;more"):
        with pytest.raises(ApiError, match="Invalid 'Authorization' header"):
            read_claim(hostile(names))


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(hours=-8), "The client's clock is 8:00:00 ahead"),
        (timedelta(minutes=20), "The client's clock is 0:20:00 behind"),
    ],
)
def test_a_wrong_clock_is_told_with_both_times(age: timedelta, words: str) -> None:
    """A client that signs with its local time learns by how much it is off, and of X-Date's zone."""
    claim = read_claim(hostile())
    with pytest.raises(ApiError) as caught:
        claim.check_time(claim.signed_at + age)
    for one in (words, "2026-01-02T03:04:05Z", f"{claim.signed_at + age:%Y-%m-%dT%H:%M:%SZ}", "UTC"):
        assert one in str(caught.value)


DIFFERING = [
    ("x-missing is among the signed ones", hostile("host;x-date;x-missing")),
    ("X-Content-Sha256 must be 64", hostile(more=[(b"x-content-sha256", b"abc")])),
    ("not the one that X-Content-Sha256 tells of", hostile(more=[(b"x-content-sha256", b"0" * 64)])),
]


@pytest.mark.parametrize(("words", "wrong"), DIFFERING)
def test_what_differs_is_said_where_it_is_known(words: str, wrong: SignedRequest) -> None:
    """So that who writes a client need not guess which part of it is wrong."""
    with pytest.raises(ApiError) as caught:
        verify(read_claim(wrong), wrong, "the secret")
    assert words in str(caught.value)
    assert caught.value.code == "SignatureDoesNotMatch"
