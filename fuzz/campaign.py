"""Millions of mutations through the target of fuzz_wire.py, in memory.

    PYTHONPATH=tests python fuzz/campaign.py [--seconds N] [parser...]

Says each ten seconds how many were done. An input that is a finding goes to the directory ``--findings``, once for
each place it comes from; one on which a parser takes longer than a second is, too.
"""

import argparse
import hashlib
import sys
import time
import traceback
from pathlib import Path
from random import Random

import fuzz_wire
from kit.fuzz_seeds import mutated, seeds

_MOST_SEED_BYTES = 3000
_SLOW_S = 1.0
_KEPT = 300


def main() -> int:
    """Returns how many findings there were, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parsers", nargs="*", metavar="parser", help="names in fuzz_wire, all without one")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    wanted = parser.parse_args()
    names = [one.__name__ for one in fuzz_wire.TARGETS]
    if strange := set(wanted.parsers) - set(names):
        parser.error(f"no such parser: {', '.join(sorted(strange))}; there are {', '.join(names)}")
    random = Random(wanted.seed)
    corpora = {name: list[bytes]() for name in wanted.parsers or names}
    for data in seeds(fuzz_wire):
        if (name := names[data[0]]) in corpora:
            corpora[name].append(data[:_MOST_SEED_BYTES])
    done, slow, found, begun_at = 0, 0, set[str](), time.monotonic()
    told_at = begun_at
    print(f"seed {wanted.seed}: {', '.join(corpora)}", flush=True)
    while (now := time.monotonic()) < begun_at + wanted.seconds:
        if now >= told_at + 10:
            told_at = now
            print(f"{now - begun_at:.0f} s: {done} done, {len(found)} findings, {slow} slow", flush=True)
        for corpus in corpora.values():
            for _ in range(100):
                data = mutated(random.choice(corpus), random)
                done += 1
                at = time.process_time()
                try:
                    fuzz_wire.fuzz_one_input(data)
                except Exception as error:
                    place = repr(traceback.extract_tb(error.__traceback__)[-1])
                    if place not in found:
                        found.add(place)
                        _keep(wanted.findings, data, f"{error!r} at {place}")
                    continue
                if time.process_time() - at > _SLOW_S:
                    slow += 1
                    _keep(wanted.findings, data, "slow")
                if random.random() < 0.002:
                    # Some go on from where others came to; only a few, for most are damaged in vain.
                    if len(corpus) < _KEPT:
                        corpus.append(data)
                    else:
                        corpus[random.randrange(len(corpus) // 10, len(corpus))] = data
    print(f"{time.monotonic() - begun_at:.0f} s: {done} done, {len(found)} findings, {slow} slow: the end", flush=True)
    return 1 if found or slow else 0


def _keep(folder: Path, data: bytes, words: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:16]
    path.write_bytes(data)
    print(f"FINDING {path}: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
