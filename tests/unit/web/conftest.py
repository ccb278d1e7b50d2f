"""Time of the rates."""

import pytest
from bucket_time import BucketTime

from streamferry.control.token_buckets import TokenBuckets


@pytest.fixture
def bucket_time(monkeypatch: pytest.MonkeyPatch) -> BucketTime:
    """What calls are counted by. It stands until the test moves it: on a busy machine buckets fill between calls."""
    time = BucketTime()
    has_token, take = TokenBuckets.has_token, TokenBuckets.take
    monkeypatch.setattr(TokenBuckets, "has_token", lambda self, name, now: has_token(self, name, time.now))
    monkeypatch.setattr(TokenBuckets, "take", lambda self, name, now: take(self, name, time.now))
    return time
