"""A harvest that is stopped or killed at any moment, and what the next one makes of it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import logminer
from logminer.cli.app import app
from logminer.simulator import Behaviour, Company, Server, serve

Run = Callable[..., subprocess.CompletedProcess[str]]
Digests = Callable[[Path], dict[str, str]]

LATENCY = 0.02
"""Seconds: the harvest below has then about a second in which it reads."""
FEW = ("--concurrency", "4")
SIGNALS = [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
"""What a terminal sends, and what everything else does; one way leads on from both."""


@pytest.fixture(scope="module")
def slow_server(company: Company) -> Iterator[Server]:
    """The company's GitLab, far away."""
    with serve(company, behaviour=Behaviour(latency=LATENCY)) as running:
        yield running


@pytest.fixture
def start(
    command: list[str], slow_server: Server, environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.Popen[str]]:
    """Begin a slow harvest of everything, or what else takes its flags, into `s`."""

    def begin(name: str = "harvest") -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
            [*command, name, "--all", "--url", slow_server.url, *FEW, "--store", "s"],
            cwd=tmp_path,
            env=environment | {"GITLAB_TOKEN": slow_server.token},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    return begin


@pytest.fixture(scope="module")
def clean(
    slow_server: Server, tmp_path_factory: pytest.TempPathFactory, digests: Digests
) -> tuple[dict[str, str], pd.DataFrame]:
    """What one undisturbed harvest leaves: the bytes of `images/`, and the jobs."""
    store = tmp_path_factory.mktemp("clean") / "s"
    end = CliRunner(env={"GITLAB_TOKEN": slow_server.token}).invoke(
        app, ["harvest", "--all", "--url", slow_server.url, "--store", str(store)]
    )
    assert end.exit_code == 0
    return digests(store / "images"), _jobs(store)


def _jobs(store: Path) -> pd.DataFrame:
    """Return the jobs without the one column that says when they were harvested."""
    jobs = logminer.open(store).jobs().drop(columns="harvested_at")
    return jobs.sort_values("job_id").reset_index(drop=True)


def _until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """Wait until something has happened, or the process has ended."""
    tick = threading.Event()
    while process.poll() is None and not happened():
        tick.wait(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_harvest_in_good_order(  # noqa: PLR0913, PLR0917 -- six fixtures
    start: Callable[[], subprocess.Popen[str]],
    slow_server: Server,
    clean: tuple[dict[str, str], pd.DataFrame],
    digests: Digests,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """130 within 10 seconds; what was read is published, and is not read again."""
    counts, log = slow_server.requests.counts, slow_server.requests.log
    before, begun = counts["trace"], len(log)
    with start() as process:
        _until(process, lambda: counts["trace"] >= before + 20)
        process.send_signal(number)
        began = time.monotonic()
        _, said = process.communicate(timeout=10)
    published = _jobs(tmp_path / "s")

    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "  Interrupted; everything read so far is kept." in said.splitlines()[-1]
    assert 15 < len(published) < len(clean[1])

    with start() as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert digests(tmp_path / "s" / "images") == clean[0]
    pd.testing.assert_frame_equal(_jobs(tmp_path / "s"), clean[1])
    read = [path for kind, path, status in log[begun:] if kind == "trace" and status == 200]
    assert len(read) == len(set(read)) == clean[1]["trace_state"].isin({"ok", "empty"}).sum()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_job(
    start: Callable[[], subprocess.Popen[str]],
    slow_server: Server,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """Also while the projects are still being found: 130 and one line."""
    requests = slow_server.requests
    before = requests.total
    with start() as process:
        _until(process, lambda: requests.total > before)
        process.send_signal(number)
        _, said = process.communicate(timeout=10)

    assert process.returncode == 130
    assert said == "logminer: interrupted\n"
    assert not (tmp_path / "s").exists()


def _days(store: Path) -> int:
    """Return how many days of images are published."""
    return sum(1 for _ in store.glob("images/date=*"))


def _kill_often(  # noqa: PLR0913 -- what a harvest and its judge need
    times: int,
    *,
    seed: int,
    start: Callable[[], subprocess.Popen[str]],
    server: Server,
    store: Path,
    judge: Callable[[Path], None],
) -> None:
    """Kill harvests into a store at random moments, in each phase; then let one end.

    A harvest that was faster than its killer is judged, and the next begins from nothing.
    """
    chance = random.Random(seed)  # noqa: S311 -- moments, no secret
    survivors = 0
    for kill in range(times):
        before, begun = server.requests.total, _days(store)
        after = chance.randrange(1, 120)

        def enough(before: int = before, after: int = after) -> bool:
            return server.requests.total >= before + after

        def publishing(begun: int = begun, after: int = after) -> bool:
            return _days(store) - begun > after // 8

        with start() as process:
            _until(process, publishing if kill % 3 == 2 else enough)
            process.kill()
            process.communicate(timeout=60)
        if process.returncode == 0:
            survivors += 1
            judge(store)
            store.rename(store.with_name(f"survivor-{survivors}"))
    with start() as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    judge(store)


@pytest.fixture
def judge(clean: tuple[dict[str, str], pd.DataFrame], digests: Digests) -> Callable[[Path], None]:
    """Demand of a store that it holds what one clean harvest gives."""

    def demand(store: Path) -> None:
        assert digests(store / "images") == clean[0]
        pd.testing.assert_frame_equal(_jobs(store), clean[1])

    return demand


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_run_again(
    start: Callable[[], subprocess.Popen[str]],
    slow_server: Server,
    tmp_path: Path,
    judge: Callable[[Path], None],
) -> None:
    """Killed at ten moments, the next run makes the dataset of one clean run, to the byte."""
    _kill_often(10, seed=2, start=start, server=slow_server, store=tmp_path / "s", judge=judge)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_inventory_killed_and_run_again(
    start: Callable[..., subprocess.Popen[str]],
    slow_server: Server,
    tmp_path: Path,
    digests: Digests,
) -> None:
    """Killed at six moments, an inventory's files become those of one clean run."""
    store = tmp_path / "s"
    with start("inventory") as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    clean = digests(store / "declared")
    shutil.rmtree(store)
    chance = random.Random(3)  # noqa: S311 -- moments, no secret
    killed = 0
    for _ in range(6):
        most = slow_server.requests.total + chance.randrange(1, 45)
        with start("inventory") as process:
            _until(process, lambda most=most: slow_server.requests.total >= most)  # type: ignore[misc]
            process.kill()
            process.communicate(timeout=60)
        if process.returncode == 0:
            assert digests(store / "declared") == clean
            shutil.rmtree(store)
        killed += process.returncode != 0
    with start("inventory") as process:
        process.communicate(timeout=60)

    assert killed > 2
    assert process.returncode == 0
    assert digests(store / "declared") == clean
    assert len(clean) > 0
