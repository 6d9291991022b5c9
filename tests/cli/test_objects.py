"""Commands with a store on object storage: a real S3 server on loopback, real processes, kills."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import logminer
from logminer.cli.app import app
from logminer.simulator import Behaviour, Company, Server, serve
from logminer.trace import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typer.testing import Result

    Invoke = Callable[..., Result]
    S3 = Any  # of tests/conftest.py, which nobody can import

STORES = Path(__file__).parents[1] / "stores"
DENIED = {"path": "", "status": 403, "code": "AccessDenied", "times": 99}
SLOW = {"path": "", "status": 503, "code": "SlowDown", "times": 99}


@pytest.fixture
def place(s3: S3) -> Iterator[str]:
    """A prefix of a new bucket."""
    yield f"s3://{s3.bucket()}/stores/ci"
    s3.answer()


def _tree(s3: S3, place: str, table: str) -> dict[str, bytes]:
    """Return the objects of a table, behind the store's back."""
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    start = f"{prefix}/{table}/"
    return {
        name.removeprefix(start): content
        for name, content in s3.objects(bucket).items()
        if name.startswith(start)
    }


def _files(store: Path, table: str) -> dict[str, bytes]:
    return {
        path.relative_to(store / table).as_posix(): path.read_bytes()
        for path in (store / table).rglob("*.parquet")
    }


@pytest.mark.slow
def test_every_command(  # noqa: PLR0913, PLR0917 -- fixtures
    invoke: Invoke,
    s3: S3,
    server: Server,
    place: str,
    harvested: Path,
    complaint: Callable[..., str],
) -> None:
    """A bucket holds the same bytes, and answers what a directory answers."""
    more = {"GITLAB_TOKEN": server.token, "LOGMINER_STORE": place} | s3.environment
    here = more | {"LOGMINER_STORE": str(harvested)}
    nothing = invoke("report", **more)
    guess = invoke("harvest", "--all", "--url", server.url, "--dry-run", **more)
    assert not _tree(s3, place, "state")
    done = invoke("harvest", "--all", "--url", server.url, **more)

    assert nothing.exit_code == 2
    assert "`logminer harvest --store s3://" in complaint(nothing)
    assert guess.exit_code == done.exit_code == 0
    assert f"written to {place}" in done.stderr
    assert _tree(s3, place, "images") == _files(harvested, "images")
    days = "select date, outcome, count(*) from images join jobs using (job_id, date) group by all"
    for question in (
        ("report", "--period", "2026", "--format", "csv"),
        ("exposure", "docker.io/*", "--format", "csv"),
        ("query", f"{days} order by all", "--format", "csv"),
    ):
        there, local = (invoke(*question, **each) for each in (more, here))
        assert there.stdout == local.stdout
        assert there.stdout.count("\n") > 50
    state = invoke("status", "--format", "csv", **more)
    counts = pd.read_csv(io.StringIO(state.stdout))
    assert counts["done"].sum() == len(logminer.open(harvested).jobs())
    verified = invoke("verify", "--since", "400d", "--url", server.url, "--repair", **more)
    assert verified.exit_code == 0
    assert " 0 missing" in verified.stderr


def test_from_an_empty_container(  # noqa: PLR0913, PLR0917 -- fixtures
    invoke: Invoke,
    s3: S3,
    server: Server,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another machine goes on where the last one stopped; nothing is kept here."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    more = {"GITLAB_TOKEN": server.token} | s3.environment
    command = ("harvest", "--all", "--url", server.url, "--store", place)
    traces = [server.requests.counts["trace"]]
    ends = []
    for flags in (("--max-requests", 60), (), ()):
        ends.append(invoke(*command, *flags, **more))
        traces.append(server.requests.counts["trace"])
        assert list(scratch.iterdir()) == []

    assert [end.exit_code for end in ends] == [75, 0, 0]
    assert traces[0] < traces[1] < traces[2] == traces[3]
    assert "a-secret" not in "".join(end.stderr for end in ends)


def test_two_harvesters(  # noqa: PLR0913, PLR0917 -- fixtures
    invoke: Invoke,
    s3: S3,
    server: Server,
    place: str,
    environment: dict[str, str],
    complaint: Callable[..., str],
) -> None:
    """One works, the other leaves with 75, naming the holder, before it asks the server."""
    more = {"GITLAB_TOKEN": server.token, "LOGMINER_STORE": place} | s3.environment
    command = ("harvest", "--all", "--url", server.url)
    assert invoke(*command, "--max-requests", 60, **more).exit_code == 75
    before = server.requests.total
    source = server.url.removeprefix("http://").replace(":", "_")
    code = (
        "import sys; from logminer.store import open_store\n"
        "with open_store(sys.argv[1]).open_ledger(sys.argv[2]): print(1, flush=True); input()"
    )
    with subprocess.Popen(  # noqa: S603 -- our own interpreter, a constant
        [sys.executable, "-c", code, place, source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | s3.environment,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        second = invoke(*command, **more)
        status = invoke("status", **more)
        holder.stdin.write("\n")

    assert second.exit_code == 75
    assert f"{source} is being harvested by process {holder.pid} on " in complaint(second)
    assert server.requests.total == before
    assert status.exit_code == 0
    assert invoke(*command, "--max-requests", 60, **more).exit_code == 75
    assert server.requests.total > before


@pytest.mark.slow
def test_read_again(invoke: Invoke, s3: S3, server: Server, place: str, tmp_path: Path) -> None:
    """What older rules have read is read again from what a bucket keeps, as from a directory."""
    more = {"GITLAB_TOKEN": server.token} | s3.environment
    ends = []
    for store in (place, str(tmp_path / "s")):
        with pytest.MonkeyPatch.context() as then:
            then.setattr("logminer.harvest.reading.VERSION", "1")
            ask = ("harvest", "--all", "--url", server.url, "--keep-preamble", "-q", "-s", store)
            ends.append(invoke(*ask, **more))
        before = server.requests.total
        again = ("harvest", "--all", "--reparse", "--offline", "-s", store)
        ends.append(invoke(*again, **s3.environment))
        ends.append(invoke(*again, "--dry-run", **s3.environment))
        assert server.requests.total == before
    jobs = _jobs_of(s3, place)

    assert {end.exit_code for end in ends} == {0}
    read = jobs[jobs["trace_state"] == "ok"]
    assert set(read["extractor_version"]) == {VERSION} != {"1"}
    assert f"read again: {len(read)} from what was kept" in ends[1].stderr
    assert "a reparse would read 0 logs again" in ends[2].stderr
    assert _tree(s3, place, "images") == _files(tmp_path / "s", "images") != {}


@pytest.mark.slow
def test_an_old_bucket_is_brought_up_to_date(
    invoke: Invoke, s3: S3, place: str, tmp_path: Path
) -> None:
    """`migrate` leaves in a bucket what it leaves in a directory, and has then nothing to do."""
    shutil.copytree(STORES / "v1", tmp_path / "s")
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    for path in (tmp_path / "s").rglob("*"):
        if path.is_file():
            name, content = path.relative_to(tmp_path / "s").as_posix(), path.read_bytes()
            if path.suffix == ".sqlite":  # in a bucket a ledger is compressed
                sink = pa.BufferOutputStream()
                with pa.CompressedOutputStream(sink, "zstd") as packed:
                    packed.write(content)
                name, content = f"{name}.zst", sink.getvalue().to_pybytes()
            obstore.put(s3.client(bucket), f"{prefix}/{name}", content)
    local = invoke("migrate", "-s", "s")
    dry, first, second = (
        invoke("migrate", "-s", place, *flags, **s3.environment)
        for flags in (["--dry-run"], [], [])
    )

    assert {end.exit_code for end in (local, dry, first, second)} == {0}
    assert "4 files of schema version 1" in dry.stdout
    assert first.stderr == f"{place}: 4 files and 1 ledger brought up to date\n"
    assert second.stderr == f"{place}: nothing is older than this logminer\n"
    for table in ("images", "jobs"):
        assert _tree(s3, place, table) == _files(tmp_path / "s", table) != {}
    question = ("query", "select count(*) as n from images", "-f", "csv")
    ends = [invoke(*question, "-s", place, **s3.environment), invoke(*question, "-s", "s")]
    assert ends[0].stdout == ends[1].stdout


@pytest.mark.slow
def test_a_night_into_a_bucket_is_measured(
    invoke: Invoke, s3: S3, server: Server, place: str, tmp_path: Path
) -> None:
    """The figures of `--metrics-file` are the bucket's; a failed night keeps its last success."""
    ask = ("harvest", "--all", "--url", server.url, "-s", place, "--metrics-file", "m.prom")
    good = invoke(*ask, GITLAB_TOKEN=server.token, **s3.environment)
    first = (tmp_path / "m.prom").read_text()
    wrong = invoke(*ask, GITLAB_TOKEN="glpat-wrong", **s3.environment)  # noqa: S106 -- opens nothing
    second = (tmp_path / "m.prom").read_text()
    jobs = _jobs_of(s3, place)

    def sample(text: str, name: str) -> float:
        (line,) = (line for line in text.splitlines() if line.startswith(name))
        return float(line.rpartition(" ")[2])

    success = "logminer_last_success_timestamp_seconds{"
    assert (good.exit_code, wrong.exit_code) == (0, 4)
    assert sample(first, "logminer_last_run_exit_code{") == 0
    assert sample(second, "logminer_last_run_exit_code{") == 4
    assert sample(first, success) == sample(second, success) > 1.7e9
    read = sum(
        sample(first, line.rpartition(" ")[0])
        for line in first.splitlines()
        if line.startswith("logminer_last_run_jobs{")
    )
    assert read == len(jobs) > 100
    assert "a-secret" not in first + second


def _jobs_of(s3: S3, place: str) -> pd.DataFrame:
    """Return the jobs of a bucket, behind the store's back."""
    files = _tree(s3, place, "jobs").values()
    return pd.concat([pd.read_parquet(io.BytesIO(each)) for each in files])


class TestMistakes:
    """What is wrong with a bucket is said in one line, with the right exit code."""

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("logminer.objectstorage._RETRIES", 1)

    @pytest.mark.parametrize(
        ("answer", "code", "says"),
        [
            (DENIED, 4, r"(AccessDenied): these credentials may not"),
            (SLOW, 75, r"object storage asks to slow down (SlowDown); try again later"),
            (
                SLOW | {"status": 500, "code": "InternalError"},
                1,
                "(InternalError): check the endpoint",
            ),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "PUT"])
    def test_refused(  # noqa: PLR0913, PLR0917 -- fixtures
        self,
        invoke: Invoke,
        s3: S3,
        server: Server,
        place: str,
        complaint: Callable[..., str],
        method: str,
        answer: dict[str, Any],
        code: int,
        says: str,
    ) -> None:
        """Permission, throttling and failure are told apart, while reading and while writing."""
        s3.answer(answer | {"method": method})
        more = {"GITLAB_TOKEN": server.token} | s3.environment
        end = invoke("harvest", "--all", "--url", server.url, "--store", place, "--quiet", **more)

        assert end.exit_code == code
        assert says in complaint(end)
        assert place in complaint(end)
        assert "a-secret" not in end.stderr

    def test_no_bucket(self, invoke: Invoke, s3: S3, complaint: Callable[..., str]) -> None:
        """A bucket that is not there is a mistake of whoever named it."""
        for command in (("status",), ("report",)):
            end = invoke(*command, "--store", "s3://nowhere/x", **s3.environment)

            assert end.exit_code == 2
            assert complaint(end) == (
                "there is no bucket for s3://nowhere/x: create it, or check its name"
            )

    def test_no_server(
        self, invoke: Invoke, s3: S3, refusing: str, complaint: Callable[..., str]
    ) -> None:
        """A wrong endpoint is named as such."""
        more = s3.environment | {"AWS_ENDPOINT_URL": refusing}
        end = invoke("status", "--store", "s3://b/x", **more)

        assert end.exit_code == 1
        assert complaint(end).startswith("cannot read s3://b/x/state/store.json (")
        assert "check the endpoint, the region and the credentials" in complaint(end)

    def test_plain_http(self, invoke: Invoke, s3: S3, complaint: Callable[..., str]) -> None:
        """Plain HTTP to anywhere but this machine is refused unless it is asked for."""
        more = s3.environment | {"AWS_ENDPOINT_URL": "http://storage.invalid"}
        end = invoke("status", "--store", "s3://b/x", **more)

        assert end.exit_code == 2
        assert "AWS_ALLOW_HTTP" in complaint(end)


# -- kills -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow_server(company: Company) -> Iterator[Server]:
    """The company's GitLab, far away."""
    with serve(company, behaviour=Behaviour(latency=0.02)) as running:
        yield running


@pytest.fixture(scope="module")
def clean(
    slow_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], pd.DataFrame]:
    """What one undisturbed harvest leaves in a directory."""
    store = tmp_path_factory.mktemp("clean") / "s"
    end = CliRunner(env={"GITLAB_TOKEN": slow_server.token}).invoke(
        app, ["harvest", "--all", "--url", slow_server.url, "--store", str(store)]
    )
    assert end.exit_code == 0
    return _files(store, "images"), _jobs(store)


def _jobs(place: Path | str) -> pd.DataFrame:
    """Return the jobs without the one column that says when they were harvested."""
    jobs = logminer.open(place).jobs().drop(columns="harvested_at")
    return jobs.sort_values("job_id").reset_index(drop=True)


@pytest.mark.slow  # at every PUT, and in no time: tests/store/test_shelves.py
@pytest.mark.timeout(900)
def test_killed_and_run_again(  # noqa: PLR0913, PLR0917 -- fixtures
    command: list[str],
    environment: dict[str, str],
    s3: S3,
    slow_server: Server,
    clean: tuple[dict[str, bytes], pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed at eight moments of reading and publishing, the dataset is that of a clean run."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    chance = random.Random(2)  # noqa: S311 -- moments, no secret
    more = environment | s3.environment | {"GITLAB_TOKEN": slow_server.token}
    place = f"s3://{s3.bucket()}/s"

    def harvest(count: Callable[[], int], most: int) -> int:
        """Kill a harvest once so much has happened; return how it ended."""
        with subprocess.Popen(  # noqa: S603 -- our own interpreter, our own module
            [*command, "harvest", "--all", "--url", slow_server.url, "--store", place],
            env=more,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            tick = threading.Event()
            while process.poll() is None and count() < most:
                tick.wait(0.005)
            process.kill()
        return process.returncode

    def asked() -> int:
        return slow_server.requests.total

    def judge() -> None:
        assert _tree(s3, place, "images") == clean[0]
        pd.testing.assert_frame_equal(_jobs(place), clean[1])

    for kill in range(8):
        count, most = (asked, 120) if kill % 2 else (s3.count, 120)
        code = harvest(count, count() + chance.randrange(1, most))
        if code == 0:
            judge()
            place = f"s3://{s3.bucket()}/s"
    assert harvest(lambda: 0, 1) == 0
    judge()
