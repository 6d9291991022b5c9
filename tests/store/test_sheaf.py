"""Sheaves: rows of many jobs pass through the ledger in one piece, and none is the worse for it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from logminer.store import Ledger, Sheaf, Store, publish, sheaf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from logminer.model import Harvested, Job, Project

SOURCE = "gitlab.example.com"


@pytest.fixture
def outcomes(make_harvested: Callable[..., Harvested]) -> list[Harvested]:
    """Return outcomes of four days, of jobs with no, one and several uses, in no order."""
    return [
        make_harvested(number, day=10 + number % 4, uses=number % 3)
        for number in (9, 3, 12, 1, 7, 2, 11, 5, 4, 10, 6, 8)
    ]


def singly(store: Store, outcomes: list[Harvested]) -> None:
    """Record and publish outcomes as a harvest does."""
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit(outcomes)
        publish(store, ledger)


def bound(store: Store, *batches: list[Harvested]) -> None:
    """Record batches as sheaves, and publish."""
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.store_sheaves(map(Sheaf.of, batches))
        publish(store, ledger)


@pytest.mark.parametrize(("most", "together"), [(1, 1), (5, 2), (5, 100), (1000, 1)])
def test_same_bytes(  # noqa: PLR0913, PLR0917 -- what the test looks at
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcomes: list[Harvested],
    tree: Callable[[Path], dict[str, bytes]],
    most: int,
    together: int,
) -> None:
    """However rows were bound, and however many are laid open at a time, the files are the same."""
    monkeypatch.setattr(sheaf, "MOST", most)
    monkeypatch.setattr(sheaf, "_TOGETHER", together)
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    singly(one, outcomes)
    bound(other, outcomes[:5], outcomes[5:6], outcomes[6:])

    assert len(tree(one.path)) == 8
    assert tree(one.path) == tree(other.path)


def test_mixed(
    tmp_path: Path, outcomes: list[Harvested], tree: Callable[[Path], dict[str, bytes]]
) -> None:
    """Days of which some jobs wait singly and some bound are in order all the same."""
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    singly(one, outcomes)
    with Ledger.open(other.ledger_path(SOURCE)) as ledger:
        ledger.commit(outcomes[::2])
        ledger.store_sheaves([Sheaf.of(outcomes[1::2])])
        publish(other, ledger)

    assert tree(one.path) == tree(other.path)


def test_published_in_pieces(
    tmp_path: Path, outcomes: list[Harvested], tree: Callable[[Path], dict[str, bytes]]
) -> None:
    """A publication that ends after a day is gone on with by the next, and leaves no sheaf."""
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    singly(one, outcomes)
    with Ledger.open(other.ledger_path(SOURCE)) as ledger:
        ledger.store_sheaves([Sheaf.of(outcomes)])
        for _ in range(4):
            publish(other, ledger, proceed=lambda done, _of: done < 1)
        left = ledger._count("SELECT count(*) FROM sheaf")

    assert tree(one.path) == tree(other.path)
    assert left == 0


def test_done_jobs_keep_what_they_have(
    tmp_path: Path,
    make_harvested: Callable[..., Harvested],
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    """What was harvested is not replaced by what an archive says of the same job."""
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    harvested, mined = make_harvested(1, name="unit"), make_harvested(1, name="", day=20)
    singly(one, [harvested, make_harvested(2)])
    singly(other, [harvested])
    bound(other, [mined, make_harvested(2)])

    assert tree(one.path) == tree(other.path)


def test_taken_again(
    tmp_path: Path,
    make_job: Callable[..., Job],
    make_harvested: Callable[..., Harvested],
    project: Project,
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    """Of a job that was put back in the queue before it was published only the last rows count."""
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    singly(one, [make_harvested(1, uses=2), make_harvested(2)])
    with Ledger.open(other.ledger_path(SOURCE)) as ledger:
        ledger.store_sheaves([Sheaf.of([make_harvested(1), make_harvested(2)])])
        ledger.restore(project.id, [make_job(1)])
        ledger.store_sheaves([Sheaf.of([make_harvested(1, uses=2)])])
        publish(other, ledger)

    assert tree(one.path) == tree(other.path)


def test_bound_twice_at_once(
    tmp_path: Path,
    make_harvested: Callable[..., Harvested],
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    """Of a job that lies in two sheaves of one call the first rows count, on their day alone."""
    one, other = Store.create(tmp_path / "one"), Store.create(tmp_path / "other")
    first, again = make_harvested(1, uses=2), make_harvested(1, day=20)
    singly(one, [first, make_harvested(2)])
    with Ledger.open(other.ledger_path(SOURCE)) as ledger:
        ledger.store_sheaves([Sheaf.of([first]), Sheaf.of([make_harvested(2), again])])
        publish(other, ledger)

    assert tree(one.path) == tree(other.path)


def test_what_the_ledger_says(tmp_path: Path, make_harvested: Callable[..., Harvested]) -> None:
    """Bound rows count as done and unpublished, and are no outcomes to take singly."""
    day = dt.date(2026, 9, 14)
    with Ledger.open(tmp_path / f"{SOURCE}.sqlite") as ledger:
        ledger.store_sheaves([Sheaf.of([make_harvested(1), make_harvested(2)])])
        (counts,) = ledger.counts()

        assert (counts.path, counts.done, counts.pending) == ("shop/api", 2, 2)
        assert ledger.unpublished([1, 2, 3]) == {1, 2}
        assert ledger.pending_days() == [day]
        assert ledger.pending(day, 10) == []
        assert ledger.states([1, 2, 3]) == {1: "done", 2: "done"}
