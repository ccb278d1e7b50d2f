"""The fuzz target of fuzz/fuzz_wire.py, run for a bounded number of mutations of real bytes."""

import importlib.util
import os
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from kit.fuzz_seeds import mutated, seeds

ROOT = Path(__file__).parents[3]
#: About a second on the machine this was written on.
ROUNDS = 8000


def load_target() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_wire", ROOT / "fuzz" / "fuzz_wire.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mutated_input_raises_nothing_unexpected() -> None:
    """Values or RemoteProtocolError from every parser, whatever happens to the bytes. FUZZ_SEED repeats a run."""
    target = load_target()
    seed = int(os.environ.get("FUZZ_SEED", "") or int.from_bytes(os.urandom(4), "big"))
    print(f"FUZZ_SEED={seed}")
    random = Random(seed)
    corpus = seeds(target)
    for data in corpus:
        target.fuzz_one_input(data)
    for round_number in range(ROUNDS):
        data = mutated(random.choice(corpus), random)
        try:
            target.fuzz_one_input(data)
        except Exception as error:
            pytest.fail(f"FUZZ_SEED={seed} round {round_number}: {error!r} from {data[:200].hex()} ({len(data)} bytes)")


def test_the_target_finds_what_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that raises something else is a finding: the allow-list is not a catch-all."""
    target = load_target()

    def careless(data: bytes) -> None:
        data[len(data)]

    monkeypatch.setattr(target, "TARGETS", (careless,))
    with pytest.raises(IndexError):
        target.fuzz_one_input(b"\x00abc")
