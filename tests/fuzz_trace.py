"""Invariant: no bytes make the extractor raise, and where chunks end never shows in its result.

And what it returns holds together: ordinals count from 1, a reference is what its parts say or
null, every text is bounded, and the line that is named as evidence exists.

    python tests/fuzz_trace.py [SECONDS] [SEED]

A seeded mutator cuts, joins and damages the golden traces for that many seconds (10 by default).

    pip install -e '.[fuzz]'
    python tests/fuzz_trace.py --atheris CORPUS [-max_total_time=60 …]

Coverage guides the search: atheris adds what it finds to the directory CORPUS, which is first
filled with the golden traces. What follows goes to libFuzzer; what breaks the invariant is kept as
`crash-…` in the directory in which this was started.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from pathlib import Path

from logminer.reference import parse
from logminer.trace import Extraction, Extractor

SEEDS = sorted((Path(__file__).parent / "traces").glob("*.log"))
LARGEST = 64 * 1024
"""Bytes of one input: longer than every bound inside but the rows'."""

_SPICE = (
    *(b"\r", b"\n", b"\r\n", b"\x00", b"\xff", b"\x1b[0K", b"\x1b[0;m", b"\x1b[32;1m", b"[0;m"),
    *(b"+", b" ", b"section_start:1700000000:step_script\r", b"section_end:99999999999:x\r"),
    b"2026-01-01T00:00:00.000000Z 00O ",
    b"2026-01-01T00:00:00.000000Z 01O+",
    b"2026-99-99T99:99:99.999999Z 0fE+",
    b"Using docker image sha256:" + b"ab" * 32 + b" for evil:1 ...\n",
    b"#1 [internal] load build definition\n",
    *(b"x" * 9000, b"\r." * 9000, b"." * 70_000),
)
"""What matters to the reading of lines, put in anywhere."""


def check(trace: bytes, cuts: list[int]) -> None:
    """Raise AssertionError, or whatever the extractor raises, where the invariant is broken."""
    whole = extract(trace, [])

    assert extract(trace, cuts) == whole, cuts
    uses, summary = whole.uses, whole.summary
    assert [use.ordinal for use in uses] == list(range(1, len(uses) + 1))
    assert len({(use.role, use.reference or use.image) for use in uses}) == len(uses)
    assert summary.bytes == len(trace)
    assert summary.lines == trace.count(b"\n") + (not trace.endswith(b"\n") and trace != b"")
    for use in uses:
        named = parse(use.image)
        assert use.reference == (named.reference if named else None)
        assert 1 <= use.line <= summary.lines
        assert use.offset == 0 or trace[use.offset - 1] == ord("\n")
        assert trace.count(b"\n", 0, use.offset) == use.line - 1
        assert len(use.image) <= 1024
        assert len(use.error_message or "") <= 500
        assert use.pull_attempts >= 0


def extract(trace: bytes, cuts: list[int]) -> Extraction:
    """Read a trace in the pieces that these cuts make."""
    extractor = Extractor()
    for begin, end in zip([0, *cuts], [*cuts, len(trace)], strict=True):
        extractor.feed(trace[begin:end])
    return extractor.finish()


def mutate(dice: random.Random, seeds: list[bytes]) -> bytes:
    """Make one input out of the seeds."""
    trace = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(0, 12)):
        at = dice.randint(0, len(trace))
        kind = dice.randrange(6)
        if kind == 0:
            trace[at:at] = dice.choice(_SPICE)
        elif kind == 1:
            del trace[at : at + dice.randint(1, 200)]
        elif kind == 2:
            other = dice.choice(seeds)
            begin = dice.randint(0, len(other))
            trace[at:at] = other[begin : begin + dice.randint(1, 4000)]
        elif kind == 3:
            trace[at : at + 1] = dice.randbytes(1)
        elif kind == 4:
            begin = trace.rfind(b"\n", 0, at) + 1
            end = trace.find(b"\n", at) + 1
            trace[begin:begin] = trace[begin:end] * dice.randint(1, 40)
        else:
            trace = (
                trace.replace(b"\r", b"\n")
                if dice.random() < 0.5
                else trace.replace(b"\n", b"\r", 3)
            )
        del trace[LARGEST:]
    return bytes(trace)


def cuts_of(dice: random.Random, size: int) -> list[int]:
    """Choose where to cut: few places, many, or behind every few bytes of a stretch."""
    kind = dice.randrange(3)
    if kind == 0:
        return sorted(dice.randint(0, size) for _ in range(dice.randint(1, 5)))
    if kind == 1:
        return sorted(dice.randint(0, size) for _ in range(200))
    begin = dice.randint(0, size)
    return list(range(begin, min(size, begin + 2000), dice.randint(1, 7)))


def search(seconds: float, seed: int) -> int:
    """Try mutated traces for so long; returns how many. The first that breaks is printed."""
    dice = random.Random(seed)  # noqa: S311 -- inputs, not secrets
    seeds = [path.read_bytes() for path in SEEDS]
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        trace = mutate(dice, seeds)
        cuts = cuts_of(dice, len(trace))
        try:
            check(trace, cuts)
        except BaseException:
            Path("fuzz-failure.log").write_bytes(trace)
            print(f"input {tried} of seed {seed}: fuzz-failure.log, cut at {cuts}", file=sys.stderr)  # noqa: T201 -- a script
            raise
        tried += 1
    return tried


_CUTS = 4
"""Bytes at the front of an input of libFuzzer that say where it is cut."""


def one_input(data: bytes) -> None:
    """Check an input of libFuzzer, which mutates the cuts together with the trace."""
    trace = data[_CUTS:]
    check(trace, sorted(len(trace) * cut // 256 for cut in data[:_CUTS]))


def inputs() -> dict[str, bytes]:
    """Return the golden traces as inputs, by file name; long ones cannot be had from others."""
    dice = random.Random(0)  # noqa: S311 -- inputs, not secrets
    return {path.name: dice.randbytes(_CUTS) + path.read_bytes()[:LARGEST] for path in SEEDS}


def guided(corpus: Path, flags: list[str]) -> None:
    """Let atheris search; it ends the process."""
    atheris = importlib.import_module("atheris")
    corpus.mkdir(parents=True, exist_ok=True)
    for name, seed in inputs().items():
        (corpus / name).write_bytes(seed)
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], str(corpus), f"-max_len={LARGEST}", *flags], one_input)
    atheris.Fuzz()


def main() -> None:
    """Search as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seconds", type=float, nargs="?", default=10.0)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    parser.add_argument("--atheris", type=Path, metavar="CORPUS")
    options, flags = parser.parse_known_args()
    if options.atheris is not None:
        guided(options.atheris, flags)
    elif flags:
        parser.error(f"only libFuzzer knows {' '.join(flags)}: give --atheris CORPUS, too")
    tried = search(options.seconds, options.seed)
    print(f"{tried:,} inputs, none breaks the invariant")  # noqa: T201 -- a script


if __name__ == "__main__":
    main()
