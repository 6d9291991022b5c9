"""What lies in an archive: packed, live, broken, foreign; each is read, left or named."""

from __future__ import annotations

import datetime as dt
import errno
import gc
import gzip
import itertools
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from logminer.archive import logs, reading
from logminer.errors import NotFoundError, UnexpectedAnswerError, UsageError
from logminer.model import Depth
from logminer.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from logminer.archive import Tally
    from logminer.archive.reading import Order
    from logminer.trace import Extractor

    Dig = Callable[..., Tally]
    Put = Callable[..., Path]
    Packed = Callable[[bytes, str], bytes]
    Digests = Callable[[Path], dict[str, str]]

HOUR = 3_600


def test_packed(  # noqa: PLR0913, PLR0917 -- what the test looks at
    put: Put, log: bytes, packed: Packed, dig: Dig, tmp_path: Path, digests: Digests
) -> None:
    """Compressed logs give the rows of plain ones, also where several streams follow each other."""
    for job_id in range(1, 6):
        put(tmp_path / "plain", job_id, log)
    put(tmp_path / "packed", 1, packed(log, "gzip"), name="job.log.gz")
    put(tmp_path / "packed", 2, packed(log, "zstd"), name="job.log.zst")
    half = len(log) // 2
    twice = gzip.compress(log[:half]) + gzip.compress(log[half:])
    put(tmp_path / "packed", 3, twice, name="job.log.gz")
    twice = packed(log[:half], "zstd") + packed(log[half:], "zstd")
    put(tmp_path / "packed", 4, twice, name="job.log.zst")
    put(tmp_path / "packed", 5, log)
    dig(tmp_path / "plain", at="one")
    tally = dig(tmp_path / "packed", at="two")

    assert (tally.jobs_done, tally.exit_code) == (5, 0)
    assert tally.images > 0
    for table in ("images", "jobs"):
        assert digests(tmp_path / "two" / table) == digests(tmp_path / "one" / table)


def test_the_newest_artifact(put: Put, log: bytes, dig: Dig, tmp_path: Path) -> None:
    """Of several logs of a job the newest counts; one that lies elsewhere, too, is not read."""
    put(tmp_path / "a", 1, b"old\n", artifact=9)
    put(tmp_path / "a", 1, log, artifact=10)
    put(tmp_path / "a", 1, b"older, packed", artifact=10, name="job.log.gz")
    put(tmp_path / "b", 1, b"a copy\n", artifact=10)
    tally = dig(tmp_path / "a", tmp_path / "b")

    assert (tally.jobs_done, tally.twice, tally.read) == (1, 1, len(log))


@pytest.mark.parametrize("workers", [1, 2])
def test_broken(  # noqa: PLR0913, PLR0917 -- what the test looks at
    put: Put,
    log: bytes,
    packed: Packed,
    dig: Dig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    """What cannot be read is named, costs nobody else a row, and is tried again."""
    root = tmp_path / "archive"
    good = put(root, 1, log)
    put(root, 2, b"")
    put(root, 3, packed(log * 9, "gzip")[:-20], name="job.log.gz")
    put(root, 4, b"no zstd at all", name="job.log.zst")
    put(root, 5, packed(b"\0" * logs.CHUNK, "gzip"), name="job.log.gz")
    os.mkfifo(put(root, 6, b"PK", name="artifacts.zip").with_name("x"))
    fifo = put(root, 7, b"")
    fifo.unlink()
    os.mkfifo(fifo)
    folder = put(root, 8, b"")
    folder.unlink()
    folder.mkdir()
    loop = put(root, 9, b"")
    loop.unlink()
    loop.symlink_to(loop)
    put(root, 10, b"\xff\xfe\0binary" * 1000)
    put(root, 11, log).with_name("artifacts.zip").write_bytes(b"PK")
    if workers == 1:
        monkeypatch.setattr(logs, "MAX_TRACE_BYTES", logs.CHUNK - 1)
    (root / "notes.txt").write_text("not ours")
    (good.parents[1] / "file").write_text("not ours")
    (good.parents[1] / "999999").write_text("no directory of an artifact")
    (good.parents[2] / "404").write_text("no directory")
    tally = dig(root, workers=workers)
    again = dig(root, workers=workers)

    bombs = workers == 1  # other processes have the real bound
    assert tally.exit_code == again.exit_code == 3
    assert tally.jobs_done == 4 + (not bombs)
    assert tally.failed == len(tally.failures) == 5 + bombs
    named = {job_id for job_id in range(12) if f"/{job_id}/" in " ".join(tally.failures)}
    assert named == {3, 4, 7, 8, 9} | ({5} if bombs else set())
    assert tally.without_log == 2
    assert tally.others == 1
    assert (again.jobs_done, again.known, again.failed) == (0, tally.jobs_done, tally.failed)
    jobs = open_store(tmp_path / "store").jobs().set_index("job_id")
    assert jobs["trace_state"].loc[[1, 2, 10]].tolist() == ["ok", "empty", "ok"]
    assert jobs["recognised"].loc[[1, 10]].tolist() == [True, False]


def test_changed_meanwhile(
    put: Put, log: bytes, dig: Dig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that is rewritten while it is read is not recorded; the next run reads it."""
    path = put(tmp_path / "archive", 1, log)
    feed = reading._feed

    def slow(extractor: Extractor, chunks: Iterator[bytes], order: Order) -> bool:
        cut = feed(extractor, chunks, order)
        with path.open("ab") as file:
            file.write(b"more\n")
        return cut

    monkeypatch.setattr(reading, "_feed", slow)
    first = dig(tmp_path / "archive")
    monkeypatch.undo()
    second = dig(tmp_path / "archive")

    assert (first.jobs_done, first.exit_code) == (0, 3)
    assert "changed while it was read" in first.failures[0]
    assert (second.jobs_done, second.read) == (1, len(log) + 5)


@pytest.mark.parametrize("most", [1, 5, 100])
def test_short_reads(
    put: Put, log: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A file system that gives less than it was asked for costs no byte."""
    path = put(tmp_path / "archive", 1, log[:300])
    found = logs.Log(str(path), 1, 1, dt.date(2026, 9, 14), live=False)
    read = os.read
    monkeypatch.setattr(os, "read", lambda file, size: read(file, min(size, most)))
    for _, file in logs.opened([found]):
        with file as opened:
            pieces = list(opened.chunks)

    assert b"".join(pieces) == log[:300]
    assert max(map(len, pieces)) == most


def test_one_call(put: Put, log: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary log takes one read."""
    path = put(tmp_path / "archive", 1, log)
    found = logs.Log(str(path), 1, 1, dt.date(2026, 9, 14), live=False)
    sizes = []
    read = os.read

    def counted(file: int, size: int) -> bytes:
        sizes.append(size)
        return read(file, size)

    monkeypatch.setattr(os, "read", counted)
    for _, file in logs.opened([found]):
        with file as opened:
            assert list(opened.chunks) == [log]

    assert sizes == [len(log) + 1]


def descriptors() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class TestAhead:
    """Some logs are opened before the first of them is read."""

    @pytest.fixture
    def found(self, put: Put, tmp_path: Path) -> list[logs.Log]:
        """More logs than are opened at a time; each says which it is."""
        paths = [put(tmp_path / "archive", n, f"{n}\n".encode()) for n in range(1, 41)]
        return [
            logs.Log(str(path), n, 1, dt.date(2026, 9, 14), live=False)
            for n, path in enumerate(paths, 1)
        ]

    @staticmethod
    def contents(found: list[logs.Log]) -> list[int]:
        """Return what all of them say."""
        said = []
        for log, file in logs.opened(found):
            with file as opened:
                said.append(int(b"".join(opened.chunks)))
            assert said[-1] == log.job_id
        return said

    def test_what_is_open_cannot_vanish(self, found: list[logs.Log]) -> None:
        """A log that is deleted after it was opened is read; one that was not yet is gone."""
        turns = logs.opened(found)
        next(turns)
        for log in found[1:]:
            Path(log.path).unlink()
        read = gone = 0
        for _, file in turns:
            try:
                with file as opened:
                    read += len(list(opened.chunks))
            except NotFoundError:
                gone += 1

        assert read > 1
        assert gone > 1
        assert read + gone == 39

    def test_one_at_a_time_in_other_threads(self, found: list[logs.Log]) -> None:
        """Of these there may be more than a process may have files open."""
        before = descriptors()

        def most() -> int:
            return max(descriptors() for _ in logs.opened(found))

        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(self.contents, found).result() == list(range(1, 41))
            # One to look with, one of the log.
            assert thread.submit(most).result() == before + 1
        assert most() > before + 2

    def test_hardly_a_descriptor_left(self, found: list[logs.Log]) -> None:
        """What cannot be opened ahead is opened in its turn."""
        used = {int(each.name) for each in Path("/proc/self/fd").iterdir()}
        fourth = list(itertools.islice((n for n in itertools.count() if n not in used), 4))[-1]
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (fourth + 1, hard))
            said = self.contents(found)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        assert said == list(range(1, 41))

    def test_none_stays_open(self, found: list[logs.Log]) -> None:
        """Whoever stops in the midst leaves nothing open."""
        before = descriptors()
        turns = logs.opened(found)
        with next(turns)[1]:
            assert descriptors() > before + 1
        del turns

        assert descriptors() == before

    def test_none_stays_open_behind_one_that_fails(
        self, found: list[logs.Log], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor where the first of them cannot be closed without a fault."""
        before = descriptors()
        close, faults = os.close, iter([OSError(errno.EIO, "Input/output error")])

        def closing(descriptor: int) -> None:
            close(descriptor)
            for fault in faults:
                raise fault

        turns = logs.opened(found)
        next(turns)
        with monkeypatch.context() as context:
            context.setattr(os, "close", closing)
            turns.close()  # type: ignore[attr-defined]  # a generator

        assert next(faults, None) is None
        assert descriptors() == before


def test_a_job_without_a_log_leaves_no_garbage(put: Put, log: bytes, tmp_path: Path) -> None:
    """What went wrong holds nothing of its batch: reading processes look rarely for garbage."""
    paths = [put(tmp_path, 1, log), put(tmp_path, 2, b"PK", name="artifacts.zip")]
    order = reading.Order(
        logs=tuple(
            logs.Log(str(path.parents[1]), n, 1, dt.date(2026, 9, 14), live=False, directory=True)
            for n, path in enumerate(paths, 1)
        ),
        instance="gitlab.example.com",
        mirrors=(),
        depth=Depth.FULL,
        max_bytes=None,
        now=dt.datetime(2026, 9, 15, tzinfo=dt.UTC),
    )
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)  # servers of other tests leave garbage, too: which is ours?
    try:
        tally = reading.read(order).tally
        gc.collect()
        left = [each for each in gc.garbage if _of_ours(each, tmp_path)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()

    assert (tally.jobs_done, tally.without_log) == (1, 1)
    assert left == []


def _of_ours(garbage: object, path: Path) -> bool:
    """Whether this is what was raised for a log below a path, by us or by the system."""
    if isinstance(garbage, OSError):
        return str(garbage.filename).startswith(str(path))
    return isinstance(garbage, NotFoundError)


def test_a_fault_of_ours(
    put: Put, log: bytes, dig: Dig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log on which our own code fails is named, and costs nobody else a row."""
    put(tmp_path / "archive", 1, log)
    put(tmp_path / "archive", 2, log * 2)
    file = logs._File

    def faulty(path: str) -> logs._File:
        if "/2026_09_14/1/" in path:
            raise ZeroDivisionError
        return file(path)

    monkeypatch.setattr(logs, "_File", faulty)
    tally = dig(tmp_path / "archive")

    assert (tally.jobs_done, tally.failed, tally.exit_code) == (1, 1, 3)
    assert "/2026_09_14/1: internal error, ZeroDivisionError()" in tally.failures[0]


def test_gone_meanwhile(put: Put, log: bytes, dig: Dig, tmp_path: Path) -> None:
    """One log deleted since it was found is a fact; a whole batch of them is not believed.

    An older log is not read in place of the newest.
    """
    root = tmp_path / "archive"
    for job_id in range(1, 12):
        path = put(root, job_id, log)
        path.unlink()
        path.symlink_to(tmp_path / "unmounted" / path.name)
    lost = dig(root)
    put(tmp_path / "other", 20, log)
    few = dig(path.parents[1], tmp_path / "other")

    put(tmp_path / "two", 21, b"an older one\n", artifact=9)
    newest = put(tmp_path / "two", 21, log, artifact=10)
    newest.unlink()
    newest.symlink_to(tmp_path / "unmounted" / newest.name)
    one_of_two = dig(tmp_path / "two")

    assert (lost.jobs_done, lost.gone, lost.exit_code) == (0, 0, 3)
    assert "does every worker see the archive" in lost.failures[0]
    assert (few.jobs_done, few.gone, few.exit_code) == (1, 1, 0)
    assert (one_of_two.jobs_done, one_of_two.gone) == (0, 1)


def test_live(log: bytes, dig: Dig, tmp_path: Path) -> None:
    """Live logs carry their project's id; one written lately is left until it cannot grow."""
    folder = tmp_path / "builds" / "2026_09" / "81"
    folder.mkdir(parents=True)
    end = 1_789_400_000  # 2026-09-14
    for name, written in (("1.log", end), ("2.log", time.time() - HOUR), ("3.log", 1e9)):
        (folder / name).write_bytes(log)
        os.utime(folder / name, (written, written))
    tally = dig(folder.parent, now=dt.datetime.now(dt.UTC))
    jobs = open_store(tmp_path / "store").jobs().set_index("job_id")

    assert (tally.jobs_done, tally.waiting, tally.exit_code) == (2, 1, 0)
    assert jobs["project_id"].tolist() == [81, 81]
    days = {job_id: f"{day:%Y-%m-%d}" for job_id, day in jobs["date"].items()}
    assert days == {1: "2026-09-14", 3: "2026-09-01"}


def test_links(put: Put, log: bytes, dig: Dig, tmp_path: Path) -> None:
    """A link to another volume is followed; one that leads back is named, and not in circles."""
    root = tmp_path / "archive"
    put(root, 1, log)
    put(tmp_path / "volume", 2, log, project=2)
    for entry in (tmp_path / "volume").iterdir():
        (root / entry.name).symlink_to(entry)
    (root / "self").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    tally = dig(root)

    assert (tally.jobs_done, tally.failed, tally.exit_code) == (2, 2, 3)
    assert all("leads back" in failure for failure in tally.failures)


def test_projects_nobody_knows(put: Put, log: bytes, dig: Dig, tmp_path: Path) -> None:
    """A project whose hash nobody can turn into an id is named once, and mined when it is known."""
    root = tmp_path / "archive"
    for job_id in (1, 2, 3):
        put(root, job_id, log, project=5_000)
    put(root, 4, log, project=50)
    tally = dig(root, max_project_id=4_999)
    later = dig(root, max_project_id=5_000)

    assert (tally.jobs_done, tally.failed, tally.exit_code) == (1, 1, 3)
    assert "--max-project-id" in tally.failures[0]
    assert (later.jobs_done, later.known, later.exit_code) == (3, 1, 0)


def test_bounds(put: Put, log: bytes, dig: Dig, tmp_path: Path) -> None:
    """Of a longer log only so much is read, and it says so; the preparation alone needs less."""
    long = log + b"x" * 99 + b"\n" + b"y" * 200_000
    put(tmp_path / "a", 1, long)
    put(tmp_path / "a", 2, log)
    cut = dig(tmp_path / "a", at="cut", max_trace_bytes=len(log))
    depth = dig(tmp_path / "a", at="depth", depth=Depth.PREPARE)
    jobs = open_store(tmp_path / "cut").jobs().set_index("job_id")

    assert cut.traces_cut == 1
    assert jobs["truncated"].to_dict() == {1: True, 2: False}
    assert jobs["trace_bytes"].tolist() == [len(log)] * 2
    assert depth.read < 2 * len(log) + 8_192
    assert set(open_store(tmp_path / "depth").jobs()["depth"]) == {"prepare"}


def test_single_files(put: Put, log: bytes, dig: Dig, tmp_path: Path) -> None:
    """A log, a job, a day and a project may be named as well as a whole archive."""
    paths = [put(tmp_path / "archive", job_id, log, day=f"2026_09_{job_id}") for job_id in (10, 11)]
    one = dig(paths[0], at="one")
    job = dig(paths[0].parents[1], at="job")
    day = dig(paths[0].parents[2], at="day")
    project = dig(paths[0].parents[3], at="project")

    assert (one.jobs_done, job.jobs_done, day.jobs_done, project.jobs_done) == (1, 1, 1, 2)


def test_nothing_there(dig: Dig, tmp_path: Path) -> None:
    """A path that is not there is a mistake; one without a log holds none."""
    with pytest.raises(UsageError, match="does not exist"):
        dig(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()

    assert dig(tmp_path / "empty").found == 0


def test_a_file_server_that_fails_in_the_end(
    put: Put, log: bytes, dig: Dig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named in one line whenever it fails, and no descriptor is left open."""
    path = put(tmp_path / "archive", 1, log)
    found = logs.Log(str(path), 1, 1, dt.date(2026, 9, 14), live=False)
    fstat = os.fstat
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for good in (0, 1):
        left = iter([True] * good)

        def stale(descriptor: int, left: Iterator[bool] = left) -> os.stat_result:
            if next(left, False):
                return fstat(descriptor)
            raise OSError(errno.ESTALE, "Stale file handle")

        with monkeypatch.context() as context:
            context.setattr(os, "fstat", stale)
            for _, file in logs.opened([found]):
                with (
                    pytest.raises(
                        UnexpectedAnswerError, match=r"cannot be read \(Stale file handle\)"
                    ),
                    file as opened,
                ):
                    b"".join(opened.chunks)

    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert dig(tmp_path / "archive").jobs_done == 1
