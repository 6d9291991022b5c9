"""One behaviour of a store, whether it lies in a directory or in a bucket; its files looked at.

`StoreTests` says what both promise. What a bucket must do beside that (conditions, a lock that
lapses, a ledger that is carried) comes after it, against a real S3 server on loopback.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.exceptions import PreconditionError

import logminer
from logminer.errors import BusyError, ChangedError, NotAStoreError, StoreError, UsageError
from logminer.store import Ledger, Listing, Sheaf, Store, lease, open_store, publish
from logminer.store.bucket import Bucket
from logminer.store.schema import file_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from logminer.model import Harvested, Project

    Make = Callable[..., Harvested]
    S3 = Any  # of tests/conftest.py, which nobody can import

SOURCE = "gitlab.example.com"
STORES = Path(__file__).parents[1] / "stores"
IMAGES = f"images/date=2026-09-14/{SOURCE}.parquet"
JOBS = f"jobs/date=2026-09-14/{SOURCE}.parquet"
PREAMBLES = f"preambles/date=2026-09-14/{SOURCE}.parquet"
LEDGER = f"state/{SOURCE}.sqlite.zst"
LOCK = f"state/{SOURCE}.lock"


HOLDER = """
import sys
from logminer.store import Store
with Store.create(sys.argv[1]).open_ledger("gitlab.example.com"):
    print("held", flush=True)
    sys.stdin.read()
"""


def harvest(store: Store, outcomes: Iterable[Harvested]) -> None:
    """Record outcomes and publish them, in one run."""
    with store.open_ledger(SOURCE) as ledger:
        ledger.commit(list(outcomes))
        publish(store, ledger)


def rows(content: bytes) -> pd.DataFrame:
    """Return the rows of one file."""
    frame: pd.DataFrame = pq.ParquetFile(io.BytesIO(content)).read().to_pandas()
    return frame


def before_a_put(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, act: Callable[[], object]
) -> None:
    """Have somebody else act once, between what was read and the PUT that replaces it."""
    confirm, acts = ledger.confirm, [act]

    def confirmed() -> None:
        confirm()
        while acts:
            acts.pop()()

    monkeypatch.setattr(ledger, "confirm", confirmed)


class StoreTests:
    """What every store promises; a subclass says where it lies and how to look behind it."""

    can_remove: bool

    @pytest.fixture
    def place(self) -> str:
        """Return a new place for a store."""
        raise NotImplementedError

    @pytest.fixture
    def files(self, place: str) -> Callable[[], dict[str, bytes]]:
        """Return a function that reads everything at the place, by relative name."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, place: str) -> Store:
        """Return an empty store."""
        return Store.create(place)

    @pytest.fixture
    def data(self, files: Callable[[], dict[str, bytes]]) -> Callable[[], dict[str, bytes]]:
        """Return a function that reads what plain readers see."""
        return lambda: {
            name: content for name, content in files().items() if not name.startswith("state/")
        }

    def test_new(self, place: str, store: Store, files: Callable[[], dict[str, bytes]]) -> None:
        """A new store has its marker and nothing else, and is found where it was made."""
        assert open_store(place) == store == Store.create(place)
        assert (files()) == {
            "state/store.json": b'{"format": "logminer store", "schema_version": 2}\n'
        }
        assert str(store) == place

    def test_nowhere(self, place: str) -> None:
        """Where nothing is, there is no store, and how to get one is said."""
        with pytest.raises(NotAStoreError, match="is no logminer store: `logminer harvest --store"):
            open_store(place)

    def test_nothing_harvested(self, store: Store) -> None:
        """An empty store answers with no rows, and has no ledger to be read."""
        assert store.images().empty
        assert logminer.analysis.totals(store)["uses"].tolist() == [0]
        assert store.sources() == []
        assert not store.has_ledger(SOURCE)
        with pytest.raises(StoreError, match="there is no ledger at"):
            store.read_ledger(SOURCE)

    def test_same_bytes(
        self, store: Store, data: Callable[[], dict[str, bytes]], make_harvested: Make
    ) -> None:
        """Files hold what was recorded, and the same bytes however many runs it came in."""
        harvest(store, [make_harvested(2, uses=2), make_harvested(3, day=15)])
        harvest(store, [make_harvested(1)])
        found = data()
        images = rows(found[IMAGES])

        assert list(zip(images["job_id"], images["ordinal"], strict=True)) == [
            (1, 1),
            (2, 1),
            (2, 2),
        ]
        assert rows(found[JOBS])["job_id"].tolist() == [1, 2]
        assert {name.replace("09-14", "09-15") for name in (IMAGES, JOBS)} | {IMAGES, JOBS} == (
            set(found)
        )

    def test_as_in_a_directory(
        self,
        store: Store,
        data: Callable[[], dict[str, bytes]],
        make_harvested: Make,
        tmp_path: Path,
        tree: Callable[[Path], dict[str, bytes]],
    ) -> None:
        """Wherever it lies, its data is the same to the byte."""
        outcomes = [make_harvested(number, day=13 + number % 3) for number in range(9)]
        local = Store.create(tmp_path / "local")
        for part in (outcomes[4:], outcomes[:6]):
            harvest(store, part)
            harvest(local, part)

        assert tree(local.path) == data()

    def test_moved(
        self, store: Store, data: Callable[[], dict[str, bytes]], make_harvested: Make
    ) -> None:
        """A job that was skipped on one day and played on another has one row, on the latter."""
        harvest(store, [make_harvested(1, uses=0, status="skipped"), make_harvested(2)])
        harvest(store, [make_harvested(1, day=15)])
        found = data()

        assert rows(found[JOBS])["job_id"].tolist() == [2]
        assert rows(found[JOBS.replace("09-14", "09-15")])["job_id"].tolist() == [1]

    def test_last_image_gone(
        self, store: Store, data: Callable[[], dict[str, bytes]], make_harvested: Make
    ) -> None:
        """A day that has lost its last image shows none."""
        harvest(store, [make_harvested(1)])
        harvest(store, [make_harvested(1, uses=0)])

        assert (IMAGES not in data()) is self.can_remove
        assert store.images().empty
        assert store.jobs()["images"].tolist() == [0]

    def test_two_sources(
        self, store: Store, data: Callable[[], dict[str, bytes]], make_harvested: Make
    ) -> None:
        """Two instances share a store, each with its own files and its own lock."""
        harvest(store, [make_harvested(1)])
        before = data()
        with store.open_ledger(SOURCE), store.open_ledger("gitlab.example.org") as ledger:
            ledger.commit([make_harvested(1)])
            publish(store, ledger)
        after = data()

        assert before == {name: after[name] for name in before}
        assert len(after) == 4
        assert store.sources() == ["gitlab.example.com", "gitlab.example.org"]
        assert len(store.images()) == 2

    def test_frames(self, store: Store, make_harvested: Make) -> None:
        """Frames are cut by day and column, and have their types."""
        harvest(store, [make_harvested(day, day=day, uses=day - 12) for day in (13, 14, 15)])
        frame = store.images(since="2026-09-14", until="2026-09-15", columns=["job_id", "date"])

        assert frame["job_id"].tolist() == [14, 14]
        assert frame["date"].tolist() == [pd.Timestamp("2026-09-14")] * 2
        assert len(store.files("images")) == 3
        assert all(each.startswith(f"{store}/images/date=") for each in store.files("images"))
        with pytest.raises(UsageError, match="images has no column nothing"):
            store.images(columns=["nothing"])

    def test_verbs(self, store: Store, make_harvested: Make) -> None:
        """A verb says the same of a store and of its frame, and opens the days of the period."""
        harvest(store, [make_harvested(day, day=day, uses=day - 12) for day in (13, 14, 15)])
        by_store = logminer.analysis.top_repositories(store, period="2026-09-14..2026-09-16")
        by_frame = logminer.analysis.top_repositories(
            store.images(), period="2026-09-14..2026-09-16"
        )

        pd.testing.assert_frame_equal(by_store, by_frame)
        assert by_store["uses"].tolist() == [5]

    def test_continued(
        self, place: str, store: Store, make_harvested: Make, project: Project
    ) -> None:
        """The next run finds what this one recorded, published or not."""
        with store.open_ledger(SOURCE) as ledger:
            ledger.store_page(project, [make_harvested(9).job], Listing(watermark=9))
            ledger.commit([make_harvested(1)])
        again = open_store(place)
        with again.read_ledger(SOURCE) as view:
            assert view.pending_days() == [dt.date(2026, 9, 14)]
        with again.open_ledger(SOURCE) as ledger:
            assert [job.id for job in ledger.take(5)] == [9]
            assert ledger.listing(project).watermark == 9
            assert publish(again, ledger).jobs == 1

    def test_second_writer(self, place: str, store: Store) -> None:
        """A second writer is turned away at once and told who holds the lock; readers are not."""
        harvest(store, [])
        with _holder(place) as process:
            with pytest.raises(BusyError) as error:
                store.open_ledger(SOURCE)
            with store.read_ledger(SOURCE) as view:
                assert view.counts() == []

            assert re.match(
                rf"gitlab\.example\.com is being harvested by process {process.pid} on \S+ since "
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: wait for it to end, or stop it, and try again",
                str(error.value),
            )
        store.open_ledger(SOURCE).close()

    def test_killed_holder(self, place: str, store: Store) -> None:
        """A killed writer of this machine keeps nobody waiting."""
        with _holder(place) as process:
            process.kill()
            process.wait()
            with store.open_ledger(SOURCE) as ledger:
                ledger.close()
                ledger.close()

    def test_damaged(self, place: str, store: Store, make_harvested: Make) -> None:
        """A damaged file is named in one line and left alone; the outcomes stay pending."""
        harvest(store, [make_harvested(1)])
        self.overwrite(place, IMAGES, b"PAR1 and nothing else PAR1")
        with pytest.raises(StoreError, match=rf"^cannot read \S*{IMAGES} \(.*\): restore") as error:
            harvest(store, [make_harvested(2)])

        assert "\n" not in str(error.value)
        with store.read_ledger(SOURCE) as view:
            assert view.pending_days() == [dt.date(2026, 9, 14)]
        with pytest.raises(StoreError):
            store.images()

    def test_newer(self, place: str, store: Store) -> None:
        """A store of a newer logminer asks for an upgrade."""
        self.overwrite(
            place, "state/store.json", b'{"format": "logminer store", "schema_version": 99}'
        )
        with pytest.raises(StoreError, match=r"newer logminer \(schema version 99, this one"):
            open_store(place)
        assert str(store) == place

    def test_not_empty(self, place: str) -> None:
        """A place with anything in it is refused and left as it was."""
        self.overwrite(place, "thesis.tex", b"")
        with pytest.raises(NotAStoreError, match=r"and not empty \(thesis.tex lies in it\)"):
            Store.create(place)

    def overwrite(self, place: str, name: str, content: bytes) -> None:
        """Write a file behind the store's back."""
        raise NotImplementedError


class TestDirectory(StoreTests):
    """A directory."""

    can_remove = True

    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        """Return a new directory."""
        return str(tmp_path / "store")

    @pytest.fixture
    def files(self, tmp_path: Path) -> Callable[[], dict[str, bytes]]:
        """Read the directory."""
        path = tmp_path / "store"
        return lambda: {
            each.relative_to(path).as_posix(): each.read_bytes()
            for each in path.rglob("*")
            if each.is_file()
        }

    def overwrite(self, place: str, name: str, content: bytes) -> None:
        """Write a file."""
        os.makedirs(os.path.dirname(f"{place}/{name}"), exist_ok=True)  # noqa: PTH103, PTH120
        with open(f"{place}/{name}", "wb") as file:  # noqa: PTH123 -- places are text here
            file.write(content)


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket, and an environment that knows its server."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    yield s3.bucket()
    s3.answer()


class TestBucket(StoreTests):
    """A bucket."""

    can_remove = False

    @pytest.fixture
    def place(self, bucket: str) -> str:
        """Return a prefix of a new bucket."""
        return f"s3://{bucket}/a/prefix"

    @pytest.fixture
    def files(self, s3: S3, bucket: str) -> Callable[[], dict[str, bytes]]:
        """Read the bucket; nothing lies beside the prefix."""

        def read() -> dict[str, bytes]:
            found: dict[str, bytes] = s3.objects(bucket)
            assert all(name.startswith("a/prefix/") for name in found)
            return {name.removeprefix("a/prefix/"): content for name, content in found.items()}

        return read

    def overwrite(self, place: str, name: str, content: bytes) -> None:
        """Put an object, whatever is there."""
        obstore.put(Bucket.at(place).objects, name, content)


def _holder(place: str) -> subprocess.Popen[str]:
    """Return another process, which has the ledger open until its input ends."""
    process = subprocess.Popen(  # noqa: S603 -- a constant, run by this interpreter
        [sys.executable, "-c", HOLDER, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def store(bucket: str) -> Store:
    """Return an empty store in a bucket."""
    return Store.create(f"s3://{bucket}/p")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the server's clock and the one that measures leases go on by so many seconds."""
    now, clock = Bucket.now, lease._clock

    def go_on(seconds: float) -> None:
        monkeypatch.setattr(
            Bucket, "now", lambda self, name: now(self, name) + dt.timedelta(seconds=seconds)
        )
        monkeypatch.setattr(lease, "_clock", lambda: clock() + seconds)

    return go_on


class TestConditions:
    """Nothing is overwritten that was not read before."""

    def test_every_put(self, s3: S3, store: Store, bucket: str, make_harvested: Make) -> None:
        """Every object is put once for each time it is read, on a condition."""
        begun = len(s3.requests())
        harvest(store, [make_harvested(1)])
        harvest(store, [make_harvested(2)])
        puts = [
            (path.removeprefix(f"/{bucket}/p/"), condition)
            for method, path, condition in s3.requests()[begun:]
            if method == "PUT"
        ]

        assert [name for name, _ in puts] == [LOCK, LEDGER, IMAGES, JOBS, LEDGER, LOCK] * 2
        assert [name for name, condition in puts if condition == "*"] == [
            *(LOCK, LEDGER, IMAGES, JOBS)
        ]
        assert all(condition for _, condition in puts)
        assert not [each for each in s3.requests()[begun:] if each[0] in {"POST", "DELETE"}]

    def test_few_requests(self, s3: S3, store: Store, bucket: str, make_harvested: Make) -> None:
        """A new file is asked for once, one that is there a second time: then its rows are needed.

        What was kept of traces is only looked at: a newer file is refused.
        """
        asked = []
        for number in (1, 2):
            begun = len(s3.requests())
            harvest(store, [make_harvested(number)])
            paths = [path for method, path, _ in s3.requests()[begun:] if method in {"GET", "HEAD"}]
            names = [path.removeprefix(f"/{bucket}/p/") for path in paths]
            asked.append([name for name in names if name.endswith(".parquet")])

        looked = [PREAMBLES, IMAGES, JOBS]
        assert [sorted(each) for each in asked] == [sorted(looked), sorted([*looked, IMAGES, JOBS])]

    def test_refused(self, store: Store) -> None:
        """A PUT whose condition fails changes nothing."""
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        first = shelf.put("x", b"1", seen=None)
        shelf.put("x", b"2", seen=first)
        for seen in (first, None):
            with pytest.raises(ChangedError, match="x was replaced by somebody else"):
                shelf.put("x", b"3", seen=seen)
        with pytest.raises(ChangedError):
            shelf.put("never", b"", seen=first)

        assert shelf.read("x") == b"2"
        assert shelf.read("never") is None

    @pytest.mark.parametrize(
        ("e_tag", "version", "condition"),
        [
            ('"a"', None, {"e_tag": '"a"'}),
            ('"a"', "7", {"e_tag": '"a"', "version": "7"}),
            (None, "7", {"version": "7"}),
        ],
    )
    def test_what_is_compared(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        e_tag: str | None,
        version: str | None,
        condition: dict[str, str],
    ) -> None:
        """A condition names all that a server gave: some compare one, some the other."""
        modes: list[object] = []

        def put(*_arguments: object, mode: object, **_options: object) -> dict[str, str | None]:
            modes.append(mode)
            return {"e_tag": e_tag, "version": version}

        monkeypatch.setattr(obstore, "put", put)
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        shelf.put("x", b"", seen=shelf.put("x", b"", seen=None))

        assert modes == ["create", condition]

    def test_somebody_wrote_in_between(
        self, store: Store, make_harvested: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A day that was replaced since it was read is read again, where the lock is ours."""
        harvest(store, [make_harvested(1)])
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        other = shelf.fetch(IMAGES)
        harvest(store, [make_harvested(1, uses=2), make_harvested(2)])
        assert other is not None
        with store.open_ledger(SOURCE) as ledger:
            ledger.commit([make_harvested(3)])
            before_a_put(
                monkeypatch, ledger, lambda: obstore.put(shelf.objects, IMAGES, other.data)
            )
            publish(store, ledger)

        assert store.images()["job_id"].tolist() == [1, 3]

    def test_somebody_wrote_first(
        self, store: Store, make_harvested: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that came since there was none is not overwritten: its rows stay."""
        harvest(store, [make_harvested(1)])
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        files = {name: shelf.read(name) or b"" for name in (IMAGES, JOBS)}
        for name in files:
            obstore.delete(shelf.objects, name)
        with store.open_ledger(SOURCE) as ledger:
            ledger.commit([make_harvested(2)])
            before_a_put(
                monkeypatch,
                ledger,
                lambda: [obstore.put(shelf.objects, *file) for file in files.items()],
            )
            publish(store, ledger)

        assert store.images()["job_id"].tolist() == [1, 2]
        assert store.jobs()["job_id"].tolist() == [1, 2]


class TestLease:
    """One writer, also where nobody sees it die."""

    def test_age(self, store: Store, later: Callable[[float], None]) -> None:
        """A lock that was not renewed for a lease, by the server's clock, is taken over."""
        with store.open_ledger(SOURCE) as first:
            later(40)
            with pytest.raises(BusyError, match=r"try again; if it was killed, in (19|20|21) sec"):
                store.open_ledger(SOURCE)
            later(lease.LEASE + 2)
            with store.open_ledger(SOURCE):
                with pytest.raises(BusyError, match="which took the lock over: this run ends"):
                    first.confirm()
                with pytest.raises(BusyError, match="took the lock over"):
                    first.commit([])
            with pytest.raises(BusyError):
                first.close()

    def test_renewed(self, store: Store, later: Callable[[float], None]) -> None:
        """Who renews is not taken over, however long it takes."""
        with store.open_ledger(SOURCE) as first:
            for _ in range(3):
                first.conflicted()
                later(lease.LEASE - 5)
                with pytest.raises(BusyError):
                    store.open_ledger(SOURCE)

    def test_heart(
        self,
        s3: S3,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A holder renews by itself, and goes on when a beat fails."""
        monkeypatch.setattr(lease, "_BEAT", 0.01)
        with store.open_ledger(SOURCE):
            before = _count(s3, LOCK)
            end = time.monotonic() + 10
            s3.answer({"method": "PUT", "path": LOCK, "status": 400, "code": "Odd", "times": 1})
            while _count(s3, LOCK) < before + 4:
                assert time.monotonic() < end
        assert _count(s3, LOCK) >= before + 5

    def test_lost_answer(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A PUT that was done, and whose answer was lost and which was repeated, is no conflict."""
        put = obstore.put

        def twice(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- whatever is put
            put(*arguments, **options)
            raise PreconditionError("once more")

        with store.open_ledger(SOURCE) as ledger:
            monkeypatch.setattr(obstore, "put", twice)
            ledger.conflicted()
            monkeypatch.undo()

    @pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"holder": 7, "pid": "x"}'])
    def test_foreign(self, store: Store, later: Callable[[float], None], content: bytes) -> None:
        """A lock that says nothing is believed until it is old."""
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        shelf.put(LOCK, content, seen=None)
        with pytest.raises(BusyError, match=r"harvested by (another process|7): wait"):
            store.open_ledger(SOURCE)
        later(lease.LEASE + 2)
        store.open_ledger(SOURCE).close()

    def test_other_machine(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process of another machine, or container, is not looked for here."""
        claim = {"holder": "a", "pid": 2**22 + 1, "began": "1", "machine": lease._machine()}
        assert lease._is_dead(claim)
        assert not lease._is_dead(claim | {"machine": "another"})
        assert not lease._is_dead(claim | lease._process())
        monkeypatch.setattr(lease, "_machine", lambda: None)
        assert not lease._is_dead(claim | {"machine": None})
        store.open_ledger(SOURCE).close()


class TestZombies:
    """Who stood still for a lease and goes on, cannot do harm."""

    def test_before_it_reads(
        self, store: Store, make_harvested: Make, later: Callable[[float], None]
    ) -> None:
        """It does not overwrite what its successor knows better."""
        old = store.open_ledger(SOURCE)
        old.commit([make_harvested(1, uses=0, status="skipped")])
        old.checkpoint()
        later(lease.LEASE + 2)
        harvest(store, [make_harvested(1, uses=2)])
        with pytest.raises(BusyError, match="took the lock over"):
            publish(store, old)
        with pytest.raises(BusyError):
            old.close()

        assert store.jobs()["job_status"].tolist() == ["success"]
        assert len(store.images()) == 2

    def test_between_confirming_and_writing(
        self,
        store: Store,
        make_harvested: Make,
        later: Callable[[float], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its PUT is refused where the successor has written."""
        old = store.open_ledger(SOURCE)
        old.commit([make_harvested(1, status="skipped"), make_harvested(2)])
        confirm = old.confirm
        stood_still: list[bool] = []

        def stand_still() -> None:
            confirm()
            if not stood_still:
                stood_still.append(True)
                later(lease.LEASE + 2)
                harvest(store, [make_harvested(1, uses=2)])

        monkeypatch.setattr(old, "confirm", stand_still)
        with pytest.raises(BusyError, match="took the lock over"):
            publish(store, old)
        with pytest.raises(BusyError):
            old.close()

        assert store.jobs()["job_status"].tolist() == ["success", "success"]
        assert store.images()["job_id"].tolist() == [1, 1, 2]

    def test_its_ledger(
        self, store: Store, make_harvested: Make, later: Callable[[float], None]
    ) -> None:
        """Its ledger does not come back."""
        old = store.open_ledger(SOURCE)
        later(lease.LEASE + 2)
        harvest(store, [make_harvested(1)])
        with pytest.raises(BusyError):
            old.checkpoint()
        with pytest.raises(BusyError):
            old.close()
        with store.read_ledger(SOURCE) as view:
            assert view.states([1]) == {1: "done"}


class Killed(BaseException):
    """The process is no more."""


class TestKilled:
    """Whenever a run ends, the next one makes the data of one clean run."""

    @pytest.mark.parametrize(
        ("moment", "checkpoints"),
        [
            pytest.param("before", "few", marks=pytest.mark.slow),
            ("after", "few"),
            pytest.param("after", "many", marks=pytest.mark.slow),
        ],
    )
    def test_at_every_put(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        s3: S3,
        bucket: str,
        make_harvested: Make,
        project: Project,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        tree: Callable[[Path], dict[str, bytes]],
        moment: str,
        checkpoints: str,
    ) -> None:
        """Killed at any PUT while a job moves to another day: no gap, no duplicate, same bytes."""
        before = [make_harvested(1, uses=0, status="skipped"), make_harvested(2)]
        now = [make_harvested(1, day=15, uses=2), make_harvested(2), make_harvested(3, day=15)]
        expected = Store.create(tmp_path / "expected")
        _run(expected, now, project)
        if checkpoints == "many":
            monkeypatch.setattr("logminer.store.carried._CHECKPOINT", 0.0)
            monkeypatch.setattr("logminer.store.carried._SHARE", 0)
        monkeypatch.setattr(lease, "_is_dead", lambda _claim: True)
        put, steps = obstore.put, 0
        while True:
            steps += 1
            place, puts = f"s3://{bucket}/{steps}", iter(range(1, 1_000))

            def kill(
                *arguments: Any,  # noqa: ANN401 -- whatever is put
                step: int = steps,
                puts: Iterator[int] = puts,
                **options: Any,  # noqa: ANN401 -- the same
            ) -> Any:  # noqa: ANN401 -- the same
                number = next(puts)
                if number < step:
                    return put(*arguments, **options)
                if number == step and moment == "after":
                    put(*arguments, **options)
                raise Killed

            monkeypatch.setattr(obstore, "put", kill)
            try:
                _run(Store.create(place), before, project)
            except Killed:
                monkeypatch.setattr(obstore, "put", put)
                _run(Store.create(place), now, project)
                found = {
                    name.removeprefix(f"{steps}/"): content
                    for name, content in s3.objects(bucket).items()
                    if name.startswith((f"{steps}/images", f"{steps}/jobs"))
                }
                # A day that lost its last row keeps a file without any.
                left = found.keys() - tree(expected.path).keys()
                assert all(rows(found.pop(name)).empty for name in left), steps
                assert found == tree(expected.path), steps
            else:
                break

        assert steps > (7 if checkpoints == "few" else 8)


def _run(store: Store, outcomes: list[Harvested], project: Project) -> None:
    """Do what a run does: list, take, record in batches, publish."""
    by_id = {each.job.id: each for each in outcomes}
    with store.open_ledger(SOURCE) as ledger:
        jobs = [each.job for each in outcomes]
        ledger.store_page(project, jobs, Listing(watermark=max(by_id)))
        while taken := ledger.take(2):
            ledger.commit([by_id[job.id] for job in taken])
        publish(store, ledger)


class TestCarried:
    """The ledger of a bucket."""

    def test_checkpoints(
        self,
        s3: S3,
        store: Store,
        make_harvested: Make,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is carried back when it is due, and not where nothing has changed."""
        with store.open_ledger(SOURCE) as ledger:
            ledger.commit([make_harvested(1)])
            assert _count(s3, LEDGER, store) == 0
            monkeypatch.setattr(ledger, "_due", 0.0)
            ledger.commit([make_harvested(2)])
            assert _count(s3, LEDGER, store) == 1
            ledger.checkpoint()
            ledger.commit([make_harvested(3)])
            assert _count(s3, LEDGER, store) == 1
        assert _count(s3, LEDGER, store) == 2

        with store.read_ledger(SOURCE) as view:
            assert view.states([1, 2, 3]) == {1: "done", 2: "done", 3: "done"}

    def test_other_tables(self, s3: S3, store: Store) -> None:
        """Also a change of its tables alone is carried back, as that of an older one is."""
        with store.open_ledger(SOURCE) as ledger:
            ledger.checkpoint()
            ledger.checkpoint()
            assert _count(s3, LEDGER, store) == 1
            ledger._connection.execute("CREATE INDEX more ON job (project_id)")
            ledger.checkpoint()
            assert _count(s3, LEDGER, store) == 2
        assert _count(s3, LEDGER, store) == 2
        store.open_ledger(SOURCE).close()
        assert _count(s3, LEDGER, store) == 2

    def test_forgotten(self, s3: S3, bucket: str, store: Store) -> None:
        """What it has forgotten is not carried on."""
        packed = os.urandom(500_000), os.urandom(500_000)
        with store.open_ledger(SOURCE) as ledger:
            ledger.store_sheaves([Sheaf(jobs=(), projects=(), rows=packed)])
            ledger.checkpoint()
            assert len(s3.objects(bucket)[f"p/{LEDGER}"]) > 1_000_000
            ledger.forget_sheaves()

        assert len(s3.objects(bucket)[f"p/{LEDGER}"]) < 10_000

    def test_forgotten_by_a_migration(
        self, s3: S3, bucket: str, store: Store, tmp_path: Path
    ) -> None:
        """Nor is what an older ledger's tables held."""
        path = tmp_path / "ledger"
        path.write_bytes((STORES / f"v1/state/{SOURCE}.sqlite").read_bytes())
        with contextlib.closing(sqlite3.connect(path)) as older:
            older.executemany(
                "INSERT INTO pending (job_id, project_id, day, outcome)"
                " VALUES (?, 1, '2026-09-14', ?)",
                ((job_id, os.urandom(500).hex()) for job_id in range(10_000, 12_000)),
            )
            older.commit()
        packed = pa.compress(path.read_bytes(), "zstd", asbytes=True)
        obstore.put(s3.client(bucket), f"p/{LEDGER}", packed)
        with store.open_ledger(SOURCE) as ledger:
            ledger._connection.execute("DELETE FROM pending")

        assert len(packed) > 1_000_000
        assert len(s3.objects(bucket)[f"p/{LEDGER}"]) < 20_000

    def test_nothing_left_behind(
        self, store: Store, make_harvested: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Copies are gone after the run, and after a look."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        harvest(store, [make_harvested(1)])
        with store.read_ledger(SOURCE):
            assert len(list(tmp_path.iterdir())) == 1
        store.images()

        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("content", [b"", b"no zstd", pa.compress(b"x", "zstd", asbytes=True)])
    def test_damaged(self, store: Store, content: bytes) -> None:
        """One that cannot be read is named by its URL, and the lock is given back."""
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        shelf.put(LEDGER, content, seen=None)
        for look in (store.open_ledger, store.read_ledger, store.open_ledger):
            with pytest.raises(StoreError, match=rf"^{store}/{LEDGER} is damaged \("):
                look(SOURCE)


class TestReading:
    """Reading objects in parts."""

    def test_large(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is larger than one request is read right, column by column."""
        monkeypatch.setattr("logminer.store.bucket._AHEAD", 2_000)
        content = _big(store, 3_000)
        assert len(content) > 10_000
        frame = store.jobs(columns=["job_id", "job_name"])

        assert frame["job_id"].tolist() == list(range(3_000))
        assert frame["job_name"].tolist() == [f"{number:x}" for number in range(3_000)]
        assert int(logminer.analysis.coverage(store)["jobs"][0]) == 3_000

    def test_replaced_meanwhile(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """Parts of two versions are never put together."""
        monkeypatch.setattr("logminer.store.bucket._AHEAD", 2_000)
        _big(store, 3_000)
        shelf = store.shelf
        assert isinstance(shelf, Bucket)
        get = obstore.get

        def replace_after(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- the same
            result = get(*arguments, **options)
            monkeypatch.setattr(obstore, "get", get)
            obstore.put(shelf.objects, JOBS, b"another")
            return result

        monkeypatch.setattr(obstore, "get", replace_after)
        with pytest.raises(StoreError, match="was replaced while it was read; ask again"):
            store.jobs()


def _big(store: Store, count: int) -> bytes:
    """Put a file of so many jobs; return its bytes."""
    schema = file_schema("jobs")
    columns: dict[str, Any] = {}
    for field in schema:
        if field.name == "job_id":
            columns[field.name] = list(range(count))
        elif field.name == "job_name":
            columns[field.name] = [f"{number:x}" for number in range(count)]
        elif field.nullable:
            columns[field.name] = [None] * count
        else:
            default = {pa.string(): "", pa.int64(): 1, pa.bool_(): False}
            moment = dt.datetime(2026, 9, 14, tzinfo=dt.UTC)
            is_list = pa.types.is_list(field.type)
            columns[field.name] = [[] if is_list else default.get(field.type, moment)] * count
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), buffer)
    shelf = store.shelf
    assert isinstance(shelf, Bucket)
    shelf.put(JOBS, buffer.getvalue(), seen=None)
    return buffer.getvalue()


def _count(s3: S3, name: str, store: Store | None = None) -> int:
    """Return how often an object was put."""
    below = str(store).removeprefix("s3:/") if store is not None else ""
    return sum(
        method == "PUT" and path.startswith(below) and path.endswith(name)
        for method, path, _ in s3.requests()
    )


class TestWhere:
    """Places that are none."""

    @pytest.mark.parametrize("place", ["ftp://host/path", "http://host/path", "file:///x"])
    def test_other_scheme(self, place: str) -> None:
        """Other kinds of URL are refused in one line."""
        with pytest.raises(UsageError, match="give a directory, or s3://, gs:// or az://"):
            open_store(place)

    @pytest.mark.parametrize("place", ["s3://", "s3:///x", "az://container/x"])
    def test_half_a_url(self, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A URL without a bucket, or without an account, is refused in one line."""
        monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
        with pytest.raises(
            UsageError, match=r"names no place on object storage \(.+\): give it as s3://"
        ) as error:
            open_store(place)
        assert "\n" not in str(error.value)

    def test_without_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What to install is said where it is missing."""
        monkeypatch.setitem(sys.modules, "obstore", None)
        monkeypatch.delitem(sys.modules, "logminer.store.bucket")
        with pytest.raises(UsageError, match=r"needs obstore: pip install 'logminer\[s3\]'"):
            open_store("s3://bucket/x")

    def test_no_directory(self, store: Store) -> None:
        """What only a directory has, is not to be had of a bucket."""
        with pytest.raises(UsageError, match="is no directory"):
            _ = store.path
