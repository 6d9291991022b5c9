"""Mining on a cluster: a real one of two workers on loopback, of which one is killed."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from logminer.archive import Options, Silence, mine, run
from logminer.errors import UsageError
from logminer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from logminer.archive import Tally

    Dig = Callable[..., Tally]
    Digests = Callable[[Path], dict[str, str]]

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A scheduler and two workers, processes of their own."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as running:
        yield running


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what the cluster's own code warns of is not ours
def test_a_worker_is_killed(  # noqa: PLR0913, PLR0917 -- what the test looks at
    cluster: Any,  # noqa: ANN401 -- distributed has no types
    archive: Path,
    dig: Dig,
    tmp_path: Path,
    digests: Digests,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers of a cluster, one killed meanwhile, give to the byte what one process gives."""
    monkeypatch.setattr(run, "_BATCH", 5)
    monkeypatch.setattr(run, "_RECORD", 0.0)
    clean = dig(archive, at="clean")
    pids = [worker.pid for worker in cluster.workers.values()]
    killed: list[int] = []

    class Killer(Silence):
        def moved(self, tally: Tally) -> None:
            if tally.jobs_done and not killed:
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

    tally = mine(
        Store.create(tmp_path / "store"),
        [str(archive)],
        instance="gitlab.example.com",
        options=Options(scheduler=cluster.scheduler_address),
        progress=Killer(),
        now=NOW,
    )

    assert killed == pids[:1]
    assert (tally.exit_code, tally.jobs_done) == (0, clean.jobs_done)
    for table in ("images", "jobs"):
        assert digests(tmp_path / "store" / table) == digests(tmp_path / "clean" / table)


def test_no_scheduler(archive: Path, dig: Dig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no scheduler answers, one line says what an address looks like."""
    pytest.importorskip("distributed")
    monkeypatch.setattr("logminer.archive.engines._CONNECTING", 0.2)
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        dig(archive, scheduler="tcp://127.0.0.1:9")


def test_without_distributed(archive: Path, dig: Dig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, one line says how to get it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'logminer\[dask\]'"):
        dig(archive, scheduler="tcp://127.0.0.1:8786")
