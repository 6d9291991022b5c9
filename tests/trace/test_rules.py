"""The table of rules: each example is found and read, and Hyperscan finds what `re` finds."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logminer.trace.rules import RULES, Dress, Rule, Speaker
from logminer.trace.runner import HANDLERS as RUNNERS
from logminer.trace.scanner import CONTINUATION, CONTINUED, INDEX, SHARING, Scanner, scanner
from logminer.trace.script import HANDLERS as SCRIPTS

Linear = Callable[[Callable[[], object], Callable[[], object]], bool]

EXAMPLES = [(rule, example) for rule in RULES for example in rule.examples]
FINDS = [*(rule.find for rule in RULES), CONTINUED]
_WORDS = sorted(
    {word for find in FINDS for word in re.split(rb"\\?[\[\](){}|.?*+:]+", find) if word}
)
_PIECES = st.one_of(
    st.sampled_from([example for _, example in EXAMPLES]),
    st.sampled_from(_WORDS),
    st.sampled_from(
        [b"#1 ", b"#12 ", b"] ", b"\n", b"\r", b"0Z 01O+", b": ", b"'", b'"', b"FROM ", b"\x1b[0K"]
    ),
    st.binary(max_size=4),
)


@pytest.mark.parametrize(
    ("rule", "example"), EXAMPLES, ids=lambda value: getattr(value, "name", None)
)
def test_an_example_is_found_and_read_by_its_rule(rule: Rule, example: bytes) -> None:
    """Hyperscan finds each example, and the first rule that reads it is the one it stands under."""
    text = example.strip() if rule.speaker is Speaker.SCRIPT else example
    found = sorted({rule for _, index in scanner().scan(example) for rule in SHARING[index]})
    readers = [RULES[index].name for index in found if RULES[index].read.search(text)]

    assert readers[:1] == [rule.name]


def test_a_rule_has_an_example_a_source_and_a_name_of_its_own() -> None:
    """Names stand in every row's evidence: none may mean two things."""
    assert [name for name, count in Counter(rule.name for rule in RULES).items() if count > 1] == []
    assert [rule.name for rule in RULES if not rule.examples or not rule.source] == []


def test_only_the_runner_wears_its_dress() -> None:
    """A rule that the script or anyone may satisfy is never held to the logger's colours."""
    dressed = {rule.name for rule in RULES if rule.dress is not Dress.NONE}

    assert {rule.name for rule in RULES if rule.speaker is Speaker.SCRIPT} & dressed == set()


def test_each_rule_has_one_handler() -> None:
    """What a rule reads is folded by exactly one of the two folders; frame lines by neither."""
    runner = set(RUNNERS)
    script = set(SCRIPTS)

    assert runner == {rule.name for rule in RULES if rule.speaker is Speaker.RUNNER}
    assert script == {rule.name for rule in RULES if rule.speaker is Speaker.SCRIPT}


def test_a_packed_hit_has_room_for_every_expression() -> None:
    """An index that ran over into the position would read another rule somewhere else."""
    assert len(SHARING) <= INDEX + 1
    assert CONTINUATION <= INDEX


def test_only_one_find_repeats() -> None:
    """Hyperscan was seen to lose matches between expressions that begin with the same repeat."""
    bare = {find: re.sub(rb"\\.|\[[^\]]*\]", b"x", find) for find in FINDS}

    assert [find for find in FINDS if re.search(rb"[*+{]|[^)(]\?", bare[find])] == [
        rb"Pulling [A-Za-z0-9._-]+ \("
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=40))
def test_hyperscan_finds_what_re_finds(pieces: list[bytes]) -> None:
    """Compiled together, the expressions lose nothing and invent nothing: `re` is the witness."""
    data = b"".join(pieces)
    expected = {
        (match.end(1), FINDS.index(find))
        for find in FINDS
        for match in re.finditer(rb"(?=(" + find + rb"))", data)
    }

    assert set(scanner().scan(data)) == expected


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_reading_takes_time_in_proportion_to_the_line(rule: Rule, linear: Linear) -> None:
    """No line of 16 KiB makes an expression backtrack more than linearly (within a wide margin)."""
    read = rule.read.search if rule.speaker is Speaker.SCRIPT else rule.read.match
    hostile = [rule.find.replace(b"\\", b"")[:20], *rule.examples]
    hostile += [piece[: len(piece) // 2] for piece in rule.examples]
    hostile += [b"a ", b"\\", b'"', b"[", b": ", b"a:a/", b"1"]
    for piece in hostile:
        for head in (b"", rule.examples[0][:12], rule.examples[0][:-1]):
            short, long = (_grown(head, piece, size) for size in (2048, 16 * 1024))

            assert linear(partial(read, short), partial(read, long)), (head, piece)


def _grown(head: bytes, piece: bytes, size: int) -> bytes:
    """Repeat a piece behind a head up to this size."""
    return (head + piece * (size // len(piece) + 1))[:size]


def test_a_continuation_is_reported_beside_the_rules() -> None:
    """The prefix of a continued line is a hit of its own, whatever its text is."""
    hits = scanner().scan(b"2026-01-01T00:00:00.000000Z 01O+x\n")

    assert hits == [(32, CONTINUATION)]


def test_threads_scan_beside_each_other() -> None:
    """The database is shared, and what a thread notes while it scans is not."""
    data = [
        bytes([65 + n % 26]) * n + b"".join(rule.examples[0] for rule in RULES) for n in range(8)
    ]
    expected = [scanner().scan(each) for each in data]
    begin = threading.Barrier(len(data))

    def scan(each: bytes) -> tuple[Scanner, list[list[tuple[int, int]]]]:
        begin.wait()
        mine = scanner()
        return mine, [mine.scan(each) for _ in range(200)]

    with ThreadPoolExecutor(len(data)) as threads:
        found = list(threads.map(scan, data))

    assert len({id(mine) for mine, _ in found}) == len(data)
    assert [set(map(tuple, hits)) for _, hits in found] == [{tuple(each)} for each in expected]
    assert min(map(len, expected)) >= len(RULES) / 2
