"""An office and a receiver for each test that asks."""

import logging
from collections.abc import Iterator

import pytest
from callback_office import TOKEN, Office

from kit.callback_receiver import CallbackReceiver
from streamferry.store import Store


@pytest.fixture
def office(store: Store, caplog: pytest.LogCaptureFixture) -> Iterator[Office]:
    """Nothing that was logged may have told a secret."""
    caplog.set_level(logging.DEBUG, "streamferry")
    yield Office(store)
    assert TOKEN not in caplog.text


@pytest.fixture
def receiver() -> Iterator[CallbackReceiver]:
    """It takes everything, until a test says otherwise."""
    with CallbackReceiver() as one:
        yield one
