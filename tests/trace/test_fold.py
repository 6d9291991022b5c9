"""Rows: one for each image in each role, the strongest outcome wins, and bounds hold."""

from __future__ import annotations

import pytest

from logminer.model import Origin, Outcome, Role
from logminer.reference import Upstreams
from logminer.trace.fold import MAX_IMAGE, MAX_ROWS, Evidence, Row, Rows, text


def at(line: int) -> Evidence:
    """Name a line."""
    return Evidence(rule="some.rule", section=None, line=line, offset=10 * line, seen_at=None)


def get(rows: Rows, image: str, line: int = 1, role: Role = Role.JOB) -> Row:
    """Take a row of the runner's."""
    return rows.get(role, Origin.RUNNER, image, at(line))


def test_spellings_of_one_image_are_one_row() -> None:
    """The canonical reference decides, or the text of what is none; the role tells rows apart."""
    rows = Rows()
    first = get(rows, "alpine")

    assert get(rows, "docker.io/library/alpine:latest", 2) is first
    assert get(rows, "alpine", 2, Role.SERVICE) is not first
    assert get(rows, "$X") is get(rows, "$X")
    assert rows.find(Role.HELPER, "alpine") is None


@pytest.mark.parametrize("stronger", list(Outcome)[1:])
def test_the_strongest_outcome_wins_with_its_first_line(stronger: Outcome) -> None:
    """Evidence is the line that decided; a weaker or equal line later changes nothing."""
    row = get(Rows(), "a:1", 1)
    row.reach(stronger, at(2))
    row.reach(stronger, at(3))
    row.reach(Outcome.DECLARED, at(4))

    assert (row.outcome, row.evidence.line) == (stronger, 2)


def test_a_failure_counts_as_an_attempt_if_none_is_open() -> None:
    """A line that only repeats a failure counts only if there was none; `never` asks nobody."""
    row = get(Rows(), "a:1")
    row.fail(b"no", at(2), asked=False)
    none = row.attempts
    row.fail(b"no", at(3), summary=True)
    first = row.attempts
    row.fail(b"no", at(4), summary=True)
    same = row.attempts
    row.ask(at(5))
    row.fail(b"no", at(6))
    answered = row.attempts
    row.fail(b"no", at(7))

    assert (none, first, same, answered, row.attempts) == (0, 1, 1, 2, 3)


@pytest.mark.parametrize(
    ("before", "outcome", "line"),
    [
        ("declared", Outcome.USED, 1),
        ("asked", Outcome.PULLED, 2),
        ("failed", Outcome.USED, 3),
        ("rejected", Outcome.REJECTED, 4),
        ("present", Outcome.PRESENT, 5),
    ],
)
def test_a_job_that_ran_had_its_images(before: str, outcome: Outcome, line: int) -> None:
    """The evidence stays the line that names the image."""
    row = get(Rows(), "a:1")
    if before == "asked":
        row.ask(at(2))
    elif before == "failed":
        row.fail(b"no", at(3))
    elif before == "rejected":
        row.reach(Outcome.REJECTED, at(4))
    elif before == "present":
        row.obtain(at(5))
    row.run()

    assert (row.outcome, row.evidence.line) == (outcome, line)


def test_a_better_name_keeps_the_place() -> None:
    """The order is that of the first line, whatever a row is called later."""
    rows = Rows()
    first, second = get(rows, "a:1"), get(rows, "b:1", 2)
    same = rows.rename(first, "c:1")
    digest = "sha256:" + "1a" * 32
    first.digest = digest
    rows.rename(first, f"d:1@sha256:{'2b' * 32}")

    assert same is first
    assert [row.image for row in rows] == [f"d:1@sha256:{'2b' * 32}", "b:1"]
    assert [rows.ordinal(first), rows.ordinal(second)] == [1, 2]
    assert first.digest == digest
    assert rows.find(Role.JOB, "a:1") is None


def test_a_name_that_is_taken_merges_what_was_only_declared() -> None:
    """A row of which more is known stays beside it."""
    rows = Rows()
    get(rows, "a:1").ask(at(1))
    target = get(rows, "b:1", 2)

    assert rows.rename(get(rows, "c:1", 3), "b:1") is target
    assert rows.rename(get(rows, "a:1"), "b:1") is target
    assert [row.image for row in rows] == ["a:1", "b:1"]


def test_rows_and_names_are_bounded() -> None:
    """Beyond the bound a row is returned and forgotten, also if it is renamed."""
    rows = Rows()
    for number in range(MAX_ROWS):
        get(rows, f"i{number}")
    beyond = get(rows, "beyond")
    long = "x" * (MAX_IMAGE + 1)

    assert rows.rename(beyond, "further") is beyond
    assert rows.find(Role.JOB, "further") is None
    assert rows.ordinal(beyond) is None
    assert rows.rename(get(rows, "i0"), long).image == "x" * MAX_IMAGE
    assert rows.find(Role.JOB, long) is get(rows, long)
    assert len(rows.uses(Upstreams.default())) == MAX_ROWS


def test_foreign_bytes_become_text() -> None:
    """What is no UTF-8 is U+FFFD, as the runner writes it."""
    assert text(b"caf\xe9 \xe2\x82\xac") == "caf\ufffd \u20ac"
    assert text(b"abcdef", 3) == "abc"
