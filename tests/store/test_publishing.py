"""Publishing: the files say what was recorded, byte for byte, however it came about."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from logminer.errors import StoreError
from logminer.model import Depth, ErrorKind, Harvested, ImageUse, Job, Outcome, Role, TraceState
from logminer.store import publishing
from logminer.store.codec import encode_harvested
from logminer.store.dataset import Store
from logminer.store.ledger import Ledger
from logminer.store.publishing import PublishSummary, publish
from logminer.store.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SOURCE = "gitlab.example.com"
IMAGES = f"images/date=2026-09-14/{SOURCE}.parquet"
JOBS = f"jobs/date=2026-09-14/{SOURCE}.parquet"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store.create(tmp_path / "store")


def harvest(store: Store, outcomes: Iterable[Harvested]) -> PublishSummary:
    """Record outcomes and publish them, in one run."""
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit(list(outcomes))
        return publish(store, ledger)


def read(path: Path) -> list[dict[str, object]]:
    """Return the rows of one file behind the store's back."""
    rows: list[dict[str, object]] = pq.ParquetFile(path).read().to_pylist()
    return rows


class TestRows:
    """What is recorded is what stands in the files."""

    def test_images(
        self,
        store: Store,
        make_harvested: Callable[..., Harvested],
        make_use: Callable[..., ImageUse],
    ) -> None:
        """A row of `images` holds the job, the trace and the use, each value under its name."""
        use = make_use(
            1,
            role=Role.SERVICE,
            outcome=Outcome.FAILED,
            downloaded=False,
            error_kind=ErrorKind.NETWORK,
            error_message="dial tcp: i/o timeout",
            seen_at=dt.datetime(2026, 9, 14, 8, 1, 5, 250_000, tzinfo=dt.UTC),
            digest=None,
        )
        harvest(store, [replace(make_harvested(5), uses=(use,))])

        assert read(store.path / IMAGES) == [
            {
                "instance": "gitlab.example.com",
                "project_id": 7,
                "project_path": "shop/api",
                "pipeline_id": 70,
                "pipeline_source": "schedule",
                "job_id": 5,
                "job_name": "unit",
                "stage": "test",
                "ref": "main",
                "ref_is_tag": False,
                "job_status": "success",
                "failure_reason": None,
                "created_at": dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
                "started_at": dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
                "finished_at": dt.datetime(2026, 9, 14, 8, 2, tzinfo=dt.UTC),
                "runner_id": 3,
                "runner_description": "shared",
                "job_url": "https://gitlab.example.com/shop/api/-/jobs/5",
                "runner_version": "17.4.0",
                "executor": "docker",
                "ordinal": 1,
                "role": "service",
                "origin": "runner",
                "outcome": "failed",
                "downloaded": False,
                "pull_policy": "always",
                "pull_attempts": 1,
                "credentials": None,
                "platform": None,
                "error_kind": "network",
                "error_message": "dial tcp: i/o timeout",
                "seen_at": dt.datetime(2026, 9, 14, 8, 1, 5, 250_000, tzinfo=dt.UTC),
                "image": "python:3.12",
                "registry": "docker.io",
                "repository": "library/python",
                "tag": "3.12",
                "digest": None,
                "image_id": None,
                "reference": "docker.io/library/python:3.12",
                "via": None,
                "upstream_registry": None,
                "upstream_repository": None,
                "rule": "D8",
                "section": "prepare_executor",
                "line": 5,
                "offset": 400,
                "extractor_version": "1",
            }
        ]

    def test_jobs(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """A row of `jobs` holds the job and what became of its trace."""
        harvest(store, [make_harvested(5, uses=2)])

        assert read(store.path / JOBS) == [
            {
                "instance": "gitlab.example.com",
                "project_id": 7,
                "project_path": "shop/api",
                "pipeline_id": 70,
                "pipeline_source": "schedule",
                "job_id": 5,
                "job_name": "unit",
                "stage": "test",
                "ref": "main",
                "ref_is_tag": False,
                "job_status": "success",
                "failure_reason": None,
                "created_at": dt.datetime(2026, 9, 14, 8, 0, tzinfo=dt.UTC),
                "started_at": dt.datetime(2026, 9, 14, 8, 1, tzinfo=dt.UTC),
                "finished_at": dt.datetime(2026, 9, 14, 8, 2, tzinfo=dt.UTC),
                "runner_id": 3,
                "runner_description": "shared",
                "job_url": "https://gitlab.example.com/shop/api/-/jobs/5",
                "queued_duration": 1.5,
                "duration": 60.25,
                "tag_list": ["docker"],
                "runner_version": "17.4.0",
                "executor": "docker",
                "trace_state": "ok",
                "trace_bytes": 1000,
                "trace_lines": 40,
                "truncated": False,
                "depth": "full",
                "images": 2,
                "recognised": True,
                "extractor_version": "1",
                "harvested_at": dt.datetime(2026, 9, 30, 2, 0, tzinfo=dt.UTC),
            }
        ]

    def test_without_a_trace(
        self,
        store: Store,
        make_harvested: Callable[..., Harvested],
        make_job: Callable[..., Job],
        tree: Callable[[Path], dict[str, bytes]],
    ) -> None:
        """A job that never ran has a row on the day it was created, and nothing in `images`."""
        job = make_job(5, status="skipped", started_at=None, finished_at=None, duration=None)
        outcome = replace(
            make_harvested(5, uses=0),
            job=job,
            state=TraceState.NOT_STARTED,
            depth=Depth.PREPARE,
            summary=None,
        )
        summary = harvest(store, [outcome])
        (row,) = read(store.path / JOBS)

        assert PublishSummary(days=1, jobs=1, images=0) == summary
        assert {JOBS} == set(tree(store.path))
        assert {"not_started", "prepare"} == {row["trace_state"], row["depth"]}
        assert {None} == {
            row[name]
            for name in (
                *("runner_version", "executor", "trace_bytes", "trace_lines", "truncated"),
                "recognised",
            )
        }

    def test_sorted_by_key(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """Rows stand in the order of job and ordinal, also those that come later."""
        harvest(store, [make_harvested(30, uses=2), make_harvested(10)])
        harvest(store, [make_harvested(20, uses=2)])

        assert [(row["job_id"], row["ordinal"]) for row in read(store.path / IMAGES)] == [
            (10, 1),
            (20, 1),
            (20, 2),
            (30, 1),
            (30, 2),
        ]
        assert [row["job_id"] for row in read(store.path / JOBS)] == [10, 20, 30]

    def test_summary(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """The summary counts what this call made visible, and a second call finds nothing."""
        outcomes = [make_harvested(1, uses=2), make_harvested(2, day=15), make_harvested(3)]

        assert harvest(store, outcomes) == PublishSummary(days=2, jobs=3, images=4)
        assert harvest(store, []) == PublishSummary(days=0, jobs=0, images=0)


class TestAgain:
    """An outcome that is recorded again replaces its rows and no others."""

    def test_moved(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """A job that was skipped on one day and played on another has one row, on the latter."""
        harvest(store, [make_harvested(1, uses=0, status="skipped"), make_harvested(2)])
        harvest(store, [make_harvested(1, day=15)])

        assert [row["job_id"] for row in read(store.path / JOBS)] == [2]
        later = store.path / JOBS.replace("09-14", "09-15")
        assert [(row["job_id"], row["job_status"]) for row in read(later)] == [(1, "success")]

    def test_in_parts(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """Told to stop, it leaves the other days to the next call."""
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            ledger.commit([make_harvested(1), make_harvested(2, day=15)])
            first = publish(store, ledger, proceed=lambda done, of: (done, of) != (1, 2))
            second = publish(store, ledger)

        assert (first.days, first.left) == (1, 1)
        assert (second.days, second.left) == (1, 0)

    def test_replaced(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """Rows of a job published twice are those of its last outcome."""
        harvest(store, [make_harvested(1, uses=3), make_harvested(2)])
        harvest(store, [make_harvested(1, uses=1)])

        assert [(row["job_id"], row["ordinal"]) for row in read(store.path / IMAGES)] == [
            (1, 1),
            (2, 1),
        ]

    def test_last_image_gone(
        self,
        store: Store,
        make_harvested: Callable[..., Harvested],
        tree: Callable[[Path], dict[str, bytes]],
    ) -> None:
        """A day that has lost its last image row has no file of images."""
        harvest(store, [make_harvested(1)])
        harvest(store, [make_harvested(1, uses=0)])

        assert {JOBS} == set(tree(store.path))

    def test_other_source_untouched(
        self,
        store: Store,
        make_harvested: Callable[..., Harvested],
        tree: Callable[[Path], dict[str, bytes]],
    ) -> None:
        """Two instances may have the same job id on the same day, each in its own file."""
        harvest(store, [make_harvested(1)])
        before = tree(store.path)
        with Ledger.open(store.ledger_path("gitlab.example.org")) as ledger:
            ledger.commit([replace(make_harvested(1), instance="gitlab.example.org")])
            publish(store, ledger)
        after = tree(store.path)

        assert before == {name: after[name] for name in before}
        assert len(after) == 4


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_same_input_same_bytes(
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    make_harvested: Callable[..., Harvested],
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    """However outcomes are ordered, cut into batches and into runs: the same files."""
    outcomes = [
        make_harvested(
            number,
            day=data.draw(st.integers(13, 15)),
            uses=data.draw(st.integers(0, 3)),
            runner_id=data.draw(st.none() | st.integers(1, 9)),
            tag_list=tuple(data.draw(st.lists(st.sampled_from("ab"), max_size=2))),
        )
        for number in range(data.draw(st.integers(1, 8)))
    ]
    directory = tmp_path_factory.mktemp("stores")
    at_once, in_parts = Store.create(directory / "at-once"), Store.create(directory / "in-parts")
    harvest(at_once, outcomes)
    waiting = data.draw(st.permutations(outcomes))
    while waiting:
        size = data.draw(st.integers(1, len(waiting)))
        with Ledger.open(in_parts.ledger_path(SOURCE)) as ledger:
            ledger.commit(waiting[:size])
            if data.draw(st.booleans()) or size == len(waiting):
                publish(in_parts, ledger)
        waiting = waiting[size:]

    assert tree(at_once.path) == tree(in_parts.path)


def test_slices_do_not_show(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_harvested: Callable[..., Harvested],
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    """How many outcomes are read at a time leaves no trace in the files."""
    outcomes = [make_harvested(number, uses=number % 3) for number in range(20)]
    harvest(store, outcomes)
    monkeypatch.setattr("logminer.store.outcomes._SLICE", 3)
    sliced = Store.create(tmp_path / "sliced")
    harvest(sliced, outcomes)

    assert tree(store.path) == tree(sliced.path)


def test_a_great_day_can_be_left(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    make_harvested: Callable[..., Harvested],
    tree: Callable[[Path], dict[str, bytes]],
) -> None:
    """Also in the middle of one day nobody waits: nothing of it is visible, nothing is lost."""
    monkeypatch.setattr("logminer.store.outcomes._SLICE", 3)
    asked = iter([True, True, False])
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit([make_harvested(number) for number in range(20)])
        left = publish(store, ledger, proceed=lambda _done, _of: next(asked))
        before = tree(store.path)
        whole = publish(store, ledger)

    assert (left.days, left.left, before) == (0, 1, {})
    assert (whole.days, whole.left, whole.jobs) == (1, 0, 20)


def test_safe_first(
    store: Store, make_harvested: Callable[..., Harvested], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is replaced before the ledger is where the next run finds it."""
    order: list[str] = []
    replace_rows = publishing.replace_rows

    def replaced(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 -- whatever it takes
        order.append("replaced")
        replace_rows(*arguments, **options)

    def slowly() -> None:
        time.sleep(0.3)
        order.append("safe")

    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit([make_harvested(1), make_harvested(2, day=15)])
        monkeypatch.setattr(publishing, "replace_rows", replaced)
        monkeypatch.setattr(ledger, "checkpoint", slowly)
        publish(store, ledger)

    assert order == ["safe", *["replaced"] * 4]


@pytest.mark.parametrize("goes_on", [True, False])
def test_never_safe(
    store: Store,
    make_harvested: Callable[..., Harvested],
    monkeypatch: pytest.MonkeyPatch,
    *,
    goes_on: bool,
) -> None:
    """Where it cannot be brought there, nothing is published, and whoever asked for it hears so."""

    def fails() -> None:
        raise StoreError("no space")

    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit([make_harvested(1)])
        monkeypatch.setattr(ledger, "checkpoint", fails)
        with pytest.raises(StoreError, match="no space"):
            publish(store, ledger, proceed=lambda _done, _of: goes_on)

    assert list(store.path.rglob("*.parquet")) == []


def test_chunks_do_not_show(tmp_path: Path, make_harvested: Callable[..., Harvested]) -> None:
    """How rows came together in memory leaves no trace in the file."""
    # Long enough for several pages: only there can it show.
    outcomes = [make_harvested(number, name=f"{number}" * 120) for number in range(8000)]
    whole = rows_of(outcomes)["jobs"]
    pieces = pa.concat_tables([whole.slice(start, 7) for start in range(0, 8000, 7)])
    publishing._write(whole, tmp_path / "whole")
    publishing._write(pieces, tmp_path / "pieces")

    assert (tmp_path / "whole").read_bytes() == (tmp_path / "pieces").read_bytes()


class TestInterrupted:
    """Whatever happens half-way, a reader sees whole files and the next run ends the work."""

    @pytest.mark.slow  # the same for every PUT, and in no time: test_shelves.py
    def test_killed_at_every_step(
        self,
        tmp_path: Path,
        make_harvested: Callable[..., Harvested],
        tree: Callable[[Path], dict[str, bytes]],
    ) -> None:
        """Killed at any rename, flush or commit and run again: the bytes of one clean run."""
        outcomes = [
            make_harvested(1),
            make_harvested(2, uses=0),
            make_harvested(3, day=15, uses=2),
        ]
        lines = [encode_harvested(each) for each in outcomes]
        (tmp_path / "outcomes.jsonl").write_text("\n".join(lines))
        expected = Store.create(tmp_path / "expected")
        harvest(expected, outcomes)

        done = subprocess.run(  # noqa: S603 -- a file beside this one, run by this interpreter
            [
                *(sys.executable, Path(__file__).with_name("killed.py"), "harvest", tmp_path),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        steps = done.stdout.split()

        assert len(steps) > 40
        for step in steps:
            path = tmp_path / step
            assert tree(expected.path) == tree(path), step
            assert _others(expected.path) == _others(path), step

    @pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
    @pytest.mark.parametrize("call", ["replace", "fsync"])
    def test_leaves_nothing_aside(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        make_harvested: Callable[..., Harvested],
        tree: Callable[[Path], dict[str, bytes]],
        call: str,
        failure: BaseException | type[BaseException],
    ) -> None:
        """An interrupt and a full disk leave the old files as they were, and no half of a new."""
        harvest(store, [make_harvested(1)])
        before = tree(store.path)

        def fail(*_arguments: object) -> None:
            raise failure

        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            ledger.commit([make_harvested(2)])
            monkeypatch.setattr(os, call, fail)
            with pytest.raises((KeyboardInterrupt, StoreError)):
                publish(store, ledger)
            monkeypatch.undo()

            assert before == tree(store.path)
            assert list(ledger.aside.iterdir()) == []
            assert publish(store, ledger).jobs == 1

    def test_one_day_fails(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """What stands in the files of other days by then is forgotten, the day that failed is not.

        Days are made side by side: whichever is done when one fails counts.
        """
        (store.path / "jobs" / "date=2026-09-15").write_text("a file where a directory should be")
        with Ledger.open(store.ledger_path(SOURCE)) as ledger:
            ledger.commit([make_harvested(1), make_harvested(2, day=15), make_harvested(3, day=16)])
            with pytest.raises(StoreError, match="cannot write"):
                publish(store, ledger)
            left = ledger.pending_days()

        assert dt.date(2026, 9, 15) in left
        assert dt.date(2026, 9, 14) not in left
        assert [row["job_id"] for row in read(store.path / JOBS)] == [1]

    def test_two_days_fail(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """What is said is what was met first, though another day fails, too."""

        def fail(_store: Store, _ledger: Ledger, each: Any) -> None:  # noqa: ANN401 -- a day
            raise StoreError(f"the {each.day.day}th failed")

        monkeypatch.setattr(publishing, "_replace_day", fail)
        days = [make_harvested(1), make_harvested(2, day=15), make_harvested(3, day=16)]
        with pytest.raises(StoreError, match="the 14th failed"):
            harvest(store, days)

    def test_forgets_together(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """What stands in the files of several days leaves the ledger in one transaction."""
        forgotten: list[list[dt.date]] = []
        published = Ledger.published

        def spy(ledger: Ledger, days: Mapping[dt.date, Iterable[int]]) -> None:
            forgotten.append(sorted(days))
            published(ledger, days)

        monkeypatch.setattr(Ledger, "published", spy)
        monkeypatch.setattr(publishing, "_FORGET", 60.0)
        harvest(store, [make_harvested(number, day=number) for number in range(1, 6)])

        assert forgotten == [[dt.date(2026, 9, number) for number in range(1, 6)]]

    def test_large_days_are_made_alone(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """A day with many rows has the memory for itself."""
        making = []
        replace_day = publishing._replace_day

        def spy(*arguments: Any) -> Any:  # noqa: ANN401 -- as it is called
            making.append(+1)
            time.sleep(0.005)  # long enough for the next one to begin, if it could
            done = replace_day(*arguments)
            making.append(-1)
            return done

        monkeypatch.setattr(publishing, "_replace_day", spy)
        monkeypatch.setattr(publishing, "_LARGE", 0)
        harvest(store, [make_harvested(number, day=number) for number in range(1, 6)])

        assert list(accumulate(making)) == [1, 0] * 5

    def test_one_file_is_merged_at_a_time(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """Two old files are never in memory together, though two days are made side by side."""
        days = range(1, 9)
        harvest(store, [make_harvested(number, day=number) for number in days])
        merging = []
        merged, write = publishing._merged, publishing._write

        def begin(*arguments: Any) -> pa.Table:  # noqa: ANN401 -- as it is called
            merging.append(+1)
            return merged(*arguments)

        def end(rows: pa.Table, path: Path) -> None:
            time.sleep(0.005)  # long enough for the other thread to begin, if it could
            write(rows, path)
            merging.append(-1)

        monkeypatch.setattr(publishing, "_merged", begin)
        monkeypatch.setattr(publishing, "_write", end)
        harvest(store, [make_harvested(100 + number, day=number) for number in days])

        assert max(accumulate(merging)) == 1
        assert merging.count(+1) == 2 * len(days)

    def test_images_come_first(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        make_harvested: Callable[..., Harvested],
    ) -> None:
        """A job is never visible before its images are."""
        seen = []
        replace_file = os.replace

        def spy(old: Path, new: Path) -> None:
            replace_file(old, new)
            seen.append(new.relative_to(store.path).parts[0])

        monkeypatch.setattr(os, "replace", spy)
        harvest(store, [make_harvested(1)])

        assert seen == ["images", "jobs"]


class TestForeignFiles:
    """What publishing finds in its place and did not write."""

    def test_damaged(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """A damaged file is named in one line and left alone; the outcomes stay pending."""
        harvest(store, [make_harvested(1)])
        (store.path / IMAGES).write_bytes(b"PAR1 and nothing else PAR1")
        with pytest.raises(StoreError, match=rf"^cannot read \S*{IMAGES} \(.*\): restore") as error:
            harvest(store, [make_harvested(2)])

        assert "\n" not in str(error.value)
        with Ledger.read(store.ledger_path(SOURCE)) as view:
            assert view.pending_days() == [dt.date(2026, 9, 14)]

    @pytest.mark.parametrize(
        ("metadata", "complaint"),
        [
            ({"schema_version": "3"}, "was written by a newer logminer"),
            ({"schema_version": "two"}, "was not written by logminer"),
            (None, "was not written by logminer"),
        ],
    )
    def test_other_version(
        self,
        store: Store,
        make_harvested: Callable[..., Harvested],
        metadata: dict[str, str] | None,
        complaint: str,
    ) -> None:
        """A file of a schema to come, or of none of ours, is not merged into this one."""
        harvest(store, [make_harvested(1)])
        rows = pq.ParquetFile(store.path / JOBS).read()
        pq.write_table(rows.replace_schema_metadata(metadata), store.path / JOBS)
        with pytest.raises(StoreError, match=complaint):
            harvest(store, [make_harvested(2)])

    def test_newer_beside(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """A newer file of what was kept is refused, though nothing new is kept, and before all."""
        harvest(store, [make_harvested(1)])
        beside = store.path / IMAGES.replace("images", "preambles", 1)
        beside.parent.mkdir(parents=True)
        rows = pq.ParquetFile(store.path / IMAGES).read()
        pq.write_table(rows.replace_schema_metadata({"schema_version": "3"}), beside)
        before = (store.path / IMAGES).read_bytes(), (store.path / JOBS).read_bytes()
        with pytest.raises(StoreError, match=r"preambles.* was written by a newer logminer"):
            harvest(store, [make_harvested(2)])

        assert ((store.path / IMAGES).read_bytes(), (store.path / JOBS).read_bytes()) == before

    def test_nothing_but_data(self, store: Store, make_harvested: Callable[..., Harvested]) -> None:
        """A file says its schema version and nothing of pandas; it has no column `date`."""
        harvest(store, [make_harvested(1)])
        schema: pa.Schema = pq.ParquetFile(store.path / IMAGES).schema_arrow

        assert schema.metadata == {b"schema_version": b"2"}
        assert "date" not in schema.names


def _others(store: Path) -> set[str]:
    """Return the names of everything that is not data."""
    return {str(path.relative_to(store)) for path in (store / "state").rglob("*") if path.is_file()}
