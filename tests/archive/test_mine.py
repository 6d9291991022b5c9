"""Mining: the same rows as a harvest, once each, whatever stops it and whoever reads."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerProcess
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import logminer
from logminer.archive import Options, Tally, estimate, logs, mine, run
from logminer.archive.engines import local
from logminer.archive.processes import _Worker
from logminer.archive.reading import read
from logminer.errors import BusyError, FatalError, UsageError
from logminer.gitlab import Settings
from logminer.model import Project
from logminer.store import Ledger, Listing, Store, open_store, source_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from logminer.archive.reading import Order, Reaped
    from logminer.model import Job
    from logminer.simulator import Server

    Dig = Callable[..., Tally]
    Put = Callable[..., Path]
    Digests = Callable[[Path], dict[str, str]]

INSTANCE = "gitlab.example.com"
NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def described(harvested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of the company's jobs, as the server described them."""
    path: Path = tmp_path_factory.mktemp("described") / "jobs.parquet"
    logminer.open(harvested).jobs().to_parquet(path)
    return path


def test_the_same_as_a_harvest(  # noqa: PLR0913, PLR0917 -- what the test looks at
    server: Server,
    harvested: Path,
    archive: Path,
    described: Path,
    dig: Dig,
    tmp_path: Path,
    digests: Digests,
) -> None:
    """With the jobs table an archive gives the image rows that the server gives, to the byte."""
    instance = Settings(url=server.url, token=server.token).instance
    tally = dig(archive, instance=instance, jobs=described)
    store = logminer.open(tmp_path / "store")
    jobs = logminer.open(harvested).jobs()

    assert tally.exit_code == 0
    assert tally.jobs_done == (jobs["trace_state"] == "ok").sum() > 50
    assert tally.without_log == (jobs["trace_state"] == "erased").sum() > 0
    assert tally.undescribed == 0
    assert digests(tmp_path / "store" / "images") == digests(harvested / "images")
    expected = jobs[jobs["trace_state"] == "ok"].drop(columns="harvested_at")
    actual = store.jobs().drop(columns="harvested_at")
    pd.testing.assert_frame_equal(
        actual.sort_values("job_id").reset_index(drop=True),
        expected.sort_values("job_id").reset_index(drop=True),
    )


def test_a_second_time_nothing_is_read(
    archive: Path, dig: Dig, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is walked through; no log is opened, and no byte of the dataset changes."""
    opened = []
    file = logs._File

    def noted(path: str) -> logs._File:
        found = file(path)
        opened.append(path)
        return found

    monkeypatch.setattr(logs, "_File", noted)
    first = dig(archive)
    before = digests(tmp_path / "store" / "images"), digests(tmp_path / "store" / "jobs")
    so_far = len(opened)
    second = dig(archive)

    assert first.jobs_done == second.known == so_far == len(opened) > 50
    assert (second.jobs_done, second.days, second.exit_code) == (0, 0, 0)
    assert (digests(tmp_path / "store" / "images"), digests(tmp_path / "store" / "jobs")) == before


def test_processes(
    archive: Path, dig: Dig, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes give to the byte what this one alone gives."""
    monkeypatch.setattr(run, "_BATCH", 10)
    one = dig(archive, at="one")
    two = dig(archive, at="two", workers=2)

    assert one.jobs_done > 50
    assert one.as_dict() | {"run_id": ""} == two.as_dict() | {"run_id": ""}
    for table in ("images", "jobs"):
        assert digests(tmp_path / "two" / table) == digests(tmp_path / "one" / table)


KILLED = """
import os, signal, sys
from pathlib import Path
from logminer.archive import Options, mine, run
from logminer.archive.progress import Silence
from logminer.store import Store

class Killer(Silence):
    def moved(self, tally):
        if sys.argv[3] == "reading" and tally.jobs_done > 40:
            os.kill(os.getpid(), signal.SIGKILL)
    def published(self, days, of):
        if sys.argv[3] == "publishing" and days > 5:
            os.kill(os.getpid(), signal.SIGKILL)

run._BATCH, run._RECORD = 10, 0.0
mine(Store.create(sys.argv[1]), [sys.argv[2]], instance="gitlab.example.com", progress=Killer())
"""


def test_killed(archive: Path, dig: Dig, tmp_path: Path, digests: Digests) -> None:
    """Killed while it reads and killed while it publishes, it ends up with what one run gives."""
    clean = dig(archive, at="clean")
    for when in ("reading", "publishing"):
        ended = subprocess.run(  # noqa: S603 -- our own interpreter, the script above
            [sys.executable, "-c", KILLED, str(tmp_path / "store"), str(archive), when],
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL
    last = dig(archive)

    assert last.known == clean.jobs_done
    assert digests(tmp_path / "store" / "images") == digests(tmp_path / "clean" / "images")
    rows = open_store(tmp_path / "store").jobs(), open_store(tmp_path / "clean").jobs()
    assert len(rows[0]) == len(rows[1]) == rows[0]["job_id"].nunique()


_READY = """(lambda loaded: (
    loaded["logminer.trace.scanner"]._database.cache_info().currsize,
    loaded["pyarrow"].array([1]).to_pylist(),
    "pandas" in loaded,
))(__import__("sys").modules)"""


def test_reading_processes_begin_ready() -> None:
    """The rules are compiled once, for all of them, and PyArrow makes arrays without pandas."""
    with local(2) as engine:
        assert engine.submit(eval, _READY).result() == (1, [1], False)


def test_the_processes_of_others() -> None:
    """A program's own processes, forked by the same server, have PyArrow with pandas."""
    counts = "__import__('pyarrow').array(__import__('pandas').Series([1.0, None])).null_count"
    with local(2) as engine:
        engine.submit(abs, -1).result()
    with multiprocessing.get_context("forkserver").Pool(1) as pool:
        assert pool.apply(eval, (counts,)) == 1


def test_runs_in_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins processes beside another run, the main program stands where it stood."""
    main = sys.modules["__main__"]
    monkeypatch.setitem(sys.modules, "__main__", main)  # whatever comes of it here
    seen = []

    def start(_process: object) -> None:
        seen.append(sys.modules["__main__"])
        time.sleep(0.05)  # long enough for the others to begin, if they could

    monkeypatch.setattr(ForkServerProcess, "start", start)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: _Worker(target=int).start(), range(4)))

    assert len(seen) == 4
    assert main not in seen
    assert sys.modules["__main__"] is main


class Fatal:
    """Reads a batch; but kills its process, the first time or every time."""

    def __init__(self, mark: Path | None) -> None:
        """Take a file that remembers that it was done; None where it is done again and again."""
        self.mark = mark

    def __call__(self, order: Order) -> Reaped:
        """Read, or kill."""
        if self.mark is None or not self.mark.exists():
            if self.mark is not None:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return read(order)


class Interrupting:
    """Sends a signal to this process once a batch is recorded."""

    def begin(self, phase: object, tally: object) -> None:
        """Do nothing."""

    def moved(self, tally: Tally) -> None:
        """Interrupt, once."""
        if not tally.interrupted:
            os.kill(os.getpid(), signal.SIGINT)

    def published(self, days: int, of: int) -> None:
        """Do nothing."""

    def failed(self, failure: str) -> None:
        """Do nothing."""


def test_interrupted(
    archive: Path, dig: Dig, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal ends it early with what it has committed and published; the next run goes on."""
    monkeypatch.setattr(run, "_BATCH", 10)
    monkeypatch.setattr(run, "_RECORD", 0.0)
    store = Store.create(tmp_path / "store")
    first = mine(store, [str(archive)], instance=INSTANCE, now=NOW, progress=Interrupting())
    published = len(open_store(tmp_path / "store").jobs())
    second = dig(archive)
    dig(archive, at="clean")

    assert (first.exit_code, first.interrupted) == (130, True)
    assert first.jobs_done == published == second.known > 0
    assert second.jobs_done > 0
    for table in ("images", "jobs"):
        assert digests(tmp_path / "store" / table) == digests(tmp_path / "clean" / table)


def test_a_worker_that_dies(
    archive: Path, dig: Dig, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed worker had is read by another one, and nothing is counted twice."""
    monkeypatch.setattr(run, "_BATCH", 10)
    monkeypatch.setattr(run, "read", Fatal(tmp_path / "killed"))
    tally = dig(archive, workers=2)
    monkeypatch.undo()
    clean = dig(archive, at="clean")

    assert (tmp_path / "killed").exists()
    assert tally.jobs_done == clean.jobs_done
    for table in ("images", "jobs"):
        assert digests(tmp_path / "store" / table) == digests(tmp_path / "clean" / table)


def test_a_program_without_a_guard(put: Put, log: bytes, tmp_path: Path) -> None:
    """A script of two lines may mine with several processes: none of them runs it again."""
    for job_id in (1, 2):
        put(tmp_path / "archive", job_id, log)
    script = tmp_path / "script.py"
    script.write_text(
        "print('once')\n"
        "import logminer.store, logminer.archive as archive\n"
        f"store = logminer.store.Store.create(__import__('pathlib').Path({str(tmp_path)!r}, 's'))\n"
        f"tally = archive.mine(store, [{str(tmp_path / 'archive')!r}], instance='x',"
        " options=archive.Options(workers=2))\n"
        "print(tally.jobs_done, __spec__, __file__)\n"
    )
    ran = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, script], capture_output=True, text=True, check=False
    )

    assert (ran.stdout, ran.stderr) == (f"once\n2 None {script}\n", "")


@pytest.mark.slow
def test_workers_that_always_die(
    put: Put, log: bytes, dig: Dig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that kills whoever reads it ends the run in one line, and not in a circle."""
    put(tmp_path / "archive", 1, log)
    monkeypatch.setattr(run, "read", Fatal(None))
    with pytest.raises(FatalError, match="worker was killed"):
        dig(tmp_path / "archive", workers=2)


def test_harvested_before(
    server: Server, harvested: Path, archive: Path, tmp_path: Path, digests: Digests
) -> None:
    """What the server said of a job is not replaced by the little that a place tells."""
    store = tmp_path / "store"
    shutil.copytree(harvested, store)
    instance = Settings(url=server.url, token=server.token).instance
    tally = mine(Store.create(store), [str(archive)], instance=instance)

    assert (tally.jobs_done, tally.days) == (0, 0)
    assert tally.known == tally.found > 50
    for table in ("images", "jobs"):
        assert digests(store / table) == digests(harvested / table)


def test_listed_before(
    put: Put, log: bytes, make_job: Callable[..., Job], dig: Dig, tmp_path: Path
) -> None:
    """A job that a harvest has listed keeps the server's words; one that still ran is left."""
    path = Store.create(tmp_path / "store").ledger_path(source_of(INSTANCE))
    with Ledger.open(path) as ledger:
        jobs = [make_job(1), make_job(2, status="running"), make_job(3, project_id=9)]
        ledger.store_page(Project(id=1, path="shop/api"), jobs, Listing(ceiling=4, cursor="next"))
    for job_id in (1, 2, 3, 4):
        put(tmp_path / "archive", job_id, log)
    tally = dig(tmp_path / "archive")
    rows = open_store(tmp_path / "store").jobs().set_index("job_id")

    assert rows["job_name"].to_dict() == {1: "unit", 4: ""}
    assert rows["project_path"].to_dict() == {1: "shop/api", 4: "shop/api"}
    assert (tally.jobs_done, tally.waiting, tally.undescribed, tally.failed) == (2, 1, 1, 1)
    assert "one of project 9: is this the archive of that instance?" in tally.failures[0]


def test_two_instances(  # noqa: PLR0913, PLR0917 -- what the test looks at
    server: Server, harvested: Path, put: Put, log: bytes, tmp_path: Path, digests: Digests
) -> None:
    """Instances share a store and neither a file nor an id; queries see all of them."""
    store = tmp_path / "store"
    shutil.copytree(harvested, store)
    one = Settings(url=server.url, token=server.token).instance
    jobs = logminer.open(harvested).jobs()
    same = int(jobs["job_id"].iloc[0])
    for instance in ("a.example.com", "b.example.com:8443"):
        put(tmp_path / instance, same, log)
        mine(Store.create(store), [str(tmp_path / instance)], instance=instance)
    both = logminer.open(store).jobs()

    assert open_store(store).sources() == sorted(
        [source_of(one), "a.example.com", "b.example.com_8443"]
    )
    assert both["instance"].value_counts().to_dict() == {
        one: len(jobs),
        "a.example.com": 1,
        "b.example.com:8443": 1,
    }
    assert not both.duplicated(["instance", "job_id"]).any()
    name = f"{source_of(one)}.parquet"
    for table in ("images", "jobs"):
        kept = {each: hash_ for each, hash_ in digests(store / table).items() if name in each}
        assert kept == digests(harvested / table)


def test_locked(archive: Path, dig: Dig, tmp_path: Path) -> None:
    """While somebody else writes this source, nothing is begun."""
    path = Store.create(tmp_path / "store").ledger_path(source_of(INSTANCE))
    with Ledger.open(path), pytest.raises(BusyError):
        dig(archive)


def test_only_some_projects(archive: Path, dig: Dig, described: Path) -> None:
    """A project is asked for by its id, or by its path where somebody knows that."""
    jobs = pd.read_parquet(described)
    row = jobs[jobs["trace_state"] == "ok"].iloc[0]
    expected = int(
        ((jobs["project_id"] == row["project_id"]) & (jobs["trace_state"] == "ok")).sum()
    )
    by_id = dig(archive, projects=(int(row["project_id"]),))
    by_path = dig(archive, at="other", projects=(row["project_path"].upper(),), jobs=described)

    assert by_id.jobs_done == by_path.jobs_done == expected
    with pytest.raises(UsageError, match="no project shop/none is known"):
        dig(archive, at="other", projects=("shop/none",), jobs=described)


def test_estimate(archive: Path, dig: Dig, tmp_path: Path) -> None:
    """What a run would read is counted without opening a log, and nothing is written."""
    guess = estimate(None, [str(archive)], options=Options(), aside=tmp_path / "aside")
    tally = dig(archive)
    with open_store(tmp_path / "store").read_ledger(source_of(INSTANCE)) as view:
        after = estimate(view, [str(archive)], options=Options(), aside=tmp_path / "aside")

    assert (guess.logs, guess.bytes) == (tally.jobs_done, tally.read)
    assert guess.tally.without_log == tally.without_log
    assert (after.logs, after.tally.known) == (0, tally.jobs_done)
