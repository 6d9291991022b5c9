"""What a night looks like from outside: metrics files, health checks, upgrades."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

import logminer
from logminer.cli.app import app
from logminer.store import Ledger, source_of

if TYPE_CHECKING:
    from logminer.simulator import Server

Invoke = Callable[..., Result]
Complaint = Callable[..., str]
STORES = Path(__file__).parents[1] / "stores"


def samples(path: Path) -> dict[str, float]:
    """Return the samples that have no label but the source, by name, and the source's."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            rest = "/".join(v for k, v in sorted(sample.labels.items()) if k != "source")
            found[f"{sample.name}/{rest}" if rest else sample.name] = sample.value
            found["source: " + sample.labels["source"]] = 1
    return found


class TestMetricsFile:
    """`harvest --metrics-file`."""

    def test_a_night_is_measured(self, invoke: Invoke, server: Server, tmp_path: Path) -> None:
        """The figures are those of the store and of the server's own book."""
        before = server.requests.counts.copy()
        end = invoke(
            *("harvest", "--all", "--url", server.url, "-s", "s", "--metrics-file", "m.prom"),
            GITLAB_TOKEN=server.token,
        )
        asked = server.requests.counts - before
        jobs = logminer.open("s").jobs()
        found = samples(tmp_path / "m.prom")
        states = jobs["trace_state"].value_counts()
        with Ledger.read(logminer.open("s").ledger_path(_source(server))) as ledger:
            queued, opened = ledger.count_queued(), ledger.count_open()

        assert end.exit_code == 0
        assert found[f"source: {_source(server)}"] == 1
        assert found["logminer_last_run_exit_code"] == 0
        assert found["logminer_last_success_timestamp_seconds"] == pytest.approx(
            dt.datetime.now(dt.UTC).timestamp(), abs=60
        )
        assert {
            state: found[f"logminer_last_run_jobs/{state}"]
            for state in ("ok", "empty", "erased", "missing", "forbidden", "not_started")
        } == {
            state: states.get(state, 0)
            for state in ("ok", "empty", "erased", "missing", "forbidden", "not_started")
        }
        assert found["logminer_last_run_image_uses"] == len(logminer.open("s").images())
        assert found["logminer_queued_jobs"] == queued
        assert found["logminer_open_jobs"] == opened
        requests = {k: v for k, v in found.items() if k.startswith("logminer_last_run_requests/")}
        assert sum(requests.values()) == asked.total()
        assert sum(v for k, v in requests.items() if "/trace/" in k) == asked["trace"]
        assert [each.name for each in tmp_path.glob("*.prom*")] == ["m.prom"]

    def test_a_failed_night_keeps_the_last_success(
        self, invoke: Invoke, server: Server, refusing: str, tmp_path: Path, harvested: Path
    ) -> None:
        """Written also when nothing went well: the exit code changes, the last success stays."""
        ask = ("harvest", "--all", "-s", harvested, "--metrics-file", "m.prom")
        good = invoke(*ask, "--url", server.url, GITLAB_TOKEN=server.token)
        first = samples(tmp_path / "m.prom")
        wrong = invoke(*ask, "--url", server.url, GITLAB_TOKEN="glpat-wrong")  # noqa: S106 -- opens nothing
        refused = samples(tmp_path / "m.prom")
        usage = invoke(*ask)
        unknown = samples(tmp_path / "m.prom")

        last = "logminer_last_success_timestamp_seconds"
        assert (good.exit_code, wrong.exit_code, usage.exit_code) == (0, 4, 2)
        assert [each["logminer_last_run_exit_code"] for each in (first, refused, unknown)] == [
            *(0, 4, 2)
        ]
        assert first[last] == refused[last] == unknown[last]
        assert f"source: {_source(server)}" in unknown
        assert refusing not in (tmp_path / "m.prom").read_text()

    def test_last_success_outlives_the_store(
        self, invoke: Invoke, refusing: str, tmp_path: Path
    ) -> None:
        """Where there is no ledger to ask, the file itself remembers."""
        source = source_of(refusing.removeprefix("http://"))
        (tmp_path / "m.prom").write_text(
            "# TYPE logminer_last_success_timestamp_seconds gauge\n"
            f'logminer_last_success_timestamp_seconds{{source="{source}"}} 1.7e9\n# EOF\n'
        )
        end = invoke(
            *("harvest", "-p", "a/b", "--url", refusing, "-s", "s", "--metrics-file", "m.prom"),
            *("--max-duration", "1s"),
            GITLAB_TOKEN="glpat-nobody",  # noqa: S106 -- opens nothing
        )
        found = samples(tmp_path / "m.prom")

        assert end.exit_code in {1, 75}
        assert found["logminer_last_run_exit_code"] == end.exit_code
        assert found["logminer_last_success_timestamp_seconds"] == 1.7e9

    @pytest.mark.parametrize("name", ["m.txt", "none/m.prom"])
    def test_a_place_for_none(
        self, invoke: Invoke, complaint: Complaint, tmp_path: Path, name: str
    ) -> None:
        """A file that nobody would read, or that cannot be, is said before anything is asked."""
        end = invoke("harvest", "--all", "-s", "s", "--metrics-file", name)

        assert end.exit_code == 2
        assert f"--metrics-file {name}" in complaint(end)
        assert not (tmp_path / "s").exists()

    def test_a_dry_run_is_no_run(self, invoke: Invoke, server: Server, tmp_path: Path) -> None:
        """Nothing is written for what did not happen."""
        end = invoke(
            *("harvest", "--all", "--url", server.url, "-s", "s", "--metrics-file", "m.prom"),
            "--dry-run",
            GITLAB_TOKEN=server.token,
        )

        assert end.exit_code == 0
        assert not (tmp_path / "m.prom").exists()

    def test_no_token_in_it(self, invoke: Invoke, server: Server, tmp_path: Path) -> None:
        """Neither the token nor anything but figures and the source."""
        invoke(
            *("harvest", "--all", "--url", server.url, "-s", "s", "--metrics-file", "m.prom"),
            GITLAB_TOKEN=server.token,
        )

        assert server.token not in (tmp_path / "m.prom").read_text()


def _source(server: Server) -> str:
    return source_of(server.url.removeprefix("http://"))


def _aged(store: Path, source: str, hours: float, exit_code: int = 0) -> None:
    """Remember a run that ended so many hours ago."""
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
    with Ledger.open(logminer.open(store).ledger_path(source)) as ledger:
        ledger.begin_run(f"{source} {hours}", ended)
        ledger.end_run(f"{source} {hours}", ended, exit_code=exit_code, tally={})


class TestMaxAge:
    """`status --max-age`: a health check in one line."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        """An empty store."""
        return logminer.store.Store.create(tmp_path / "s").path

    def test_fresh(self, invoke: Invoke, store: Path) -> None:
        """A complete run within the time: exit 0, and a line that says so."""
        _aged(store, "one", 25)
        end = invoke("status", "-s", store, "--max-age", "26h")

        assert (end.exit_code, end.stderr) == (0, "")
        assert end.stdout.startswith("fresh: one: last complete run: 20")
        assert end.stdout.count("\n") == 1

    def test_stale(self, invoke: Invoke, store: Path) -> None:
        """A complete run before it: exit 3."""
        _aged(store, "one", 27)
        end = invoke("status", "-s", store, "--max-age", "26h")

        assert (end.exit_code, end.stdout) == (3, "")
        assert end.stderr.startswith("logminer: stale: one: last complete run: 20")
        assert end.stderr.count("\n") == 1

    def test_only_complete_runs_count(self, invoke: Invoke, store: Path) -> None:
        """Partial, failed and cut-off runs of this night leave the last success where it was."""
        _aged(store, "one", 30)
        for hours, code in ((3, 3), (2, 75), (1, 1)):
            _aged(store, "one", hours, code)
        end = invoke("status", "-s", store, "--max-age", "26h")

        assert end.exit_code == 3

    def test_one_of_two(self, invoke: Invoke, store: Path) -> None:
        """Every source must be fresh; each has its line."""
        _aged(store, "one", 1)
        _aged(store, "two", 99)
        end = invoke("status", "-s", store, "--max-age", "26h")

        assert end.exit_code == 3
        assert end.stdout.startswith("fresh: one: ")
        assert end.stderr.startswith("logminer: stale: two: ")

    def test_nothing_yet(self, invoke: Invoke, store: Path) -> None:
        """A store into which nobody ever harvested is not healthy."""
        end = invoke("status", "-s", store, "--max-age", "26h")

        assert (end.exit_code, end.stdout) == (3, "")
        assert end.stderr == "logminer: stale: nothing was harvested yet\n"

    def test_for_programs(self, invoke: Invoke, store: Path) -> None:
        """With `--format json` the answer is the whole one, and the exit code the same."""
        _aged(store, "one", 27)
        end = invoke("status", "-s", store, "--max-age", "26h", "--format", "json")

        assert end.exit_code == 3
        assert [each["source"] for each in json.loads(end.stdout)] == ["one"]
        assert invoke("status", "-s", store, "--format", "json").exit_code == 0

    def test_no_length_of_time(self, invoke: Invoke, complaint: Complaint, store: Path) -> None:
        """What is no time is a mistake of the user's, not a sick store."""
        end = invoke("status", "-s", store, "--max-age", "soon")

        assert end.exit_code == 2
        assert "--max-age 'soon' is no length of time" in complaint(end)


class TestMigrate:
    """`logminer migrate`."""

    def test_dry_run_and_run(self, invoke: Invoke, tmp_path: Path) -> None:
        """What would be done is a result; what was done is said; a second time there is nothing."""
        shutil.copytree(STORES / "v1", tmp_path / "s")
        dry = invoke("migrate", "-s", "s", "--dry-run")
        first = invoke("migrate", "-s", "s")
        second = invoke("migrate", "-s", "s")

        assert dry.stdout == (
            "gitlab.example.com: 4 files of schema version 1\ngitlab.example.com: the ledger\n"
        )
        assert (first.exit_code, first.stdout) == (0, "")
        assert first.stderr == "s: 4 files and 1 ledger brought up to date\n"
        assert second.stderr == "s: nothing is older than this logminer\n"

    def test_a_harvest_says_that_old_files_remain(
        self, invoke: Invoke, server: Server, tmp_path: Path
    ) -> None:
        """A harvest into an old store brings up to date what it touches, and names the rest."""
        shutil.copytree(STORES / "v1", tmp_path / "s")
        ask = ("harvest", "--all", "--url", server.url, "-s", "s")
        end = invoke(*ask, GITLAB_TOKEN=server.token)
        says = "files of schema version 1 remain: run `logminer migrate`"

        assert end.exit_code == 0
        assert says in end.stderr
        invoke("migrate", "-s", "s", "-q")
        assert says not in invoke(*ask, GITLAB_TOKEN=server.token).stderr

    def test_status_of_an_old_store_says_what_to_do(
        self, invoke: Invoke, complaint: Complaint, tmp_path: Path
    ) -> None:
        """Who cannot write a ledger cannot bring it up to date, and says who can."""
        shutil.copytree(STORES / "v1", tmp_path / "s")

        assert complaint(invoke("status", "-s", "s")).endswith(
            "run `logminer migrate`, which brings it up to date"
        )

    def test_a_newer_store_is_refused(
        self, invoke: Invoke, complaint: Complaint, tmp_path: Path
    ) -> None:
        """Exit 2 and one line, whoever asks."""
        (tmp_path / "s" / "state").mkdir(parents=True)
        marker = tmp_path / "s" / "state" / "store.json"
        marker.write_text('{"format": "logminer store", "schema_version": 99}')
        for command in ("migrate", "status", "report"):
            end = invoke(command, "-s", "s")

            assert end.exit_code == 2
            assert complaint(end).startswith("s was written by a newer logminer")


@pytest.fixture(scope="module")
def long_ago(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store by rules of long ago, with what is needed to read its logs again; read only."""
    store = tmp_path_factory.mktemp("long_ago") / "s"
    with pytest.MonkeyPatch.context() as then:
        then.setattr("logminer.harvest.reading.VERSION", "1")
        end = CliRunner(env={"GITLAB_TOKEN": server.token}).invoke(
            app,
            [
                *("harvest", "--all", "--url", server.url, "--keep-preamble", "-q"),
                *("-s", str(store)),
            ],
        )
    assert (end.exit_code, end.stderr) == (0, "")
    return store


class TestReparse:
    """`harvest --reparse`."""

    @pytest.fixture
    def old(self, long_ago: Path, tmp_path: Path) -> str:
        """A copy of it, as `s`."""
        shutil.copytree(long_ago, tmp_path / "s")
        return "s"

    def test_offline(self, invoke: Invoke, old: str, server: Server) -> None:
        """No token, no server: what was kept is read by today's rules."""
        before = server.requests.counts.total()
        dry = invoke("harvest", "--all", "-s", old, "--reparse", "--offline", "--dry-run")
        end = invoke("harvest", "--all", "-s", old, "--reparse", "--offline")
        jobs = logminer.open(old).jobs()
        read = int((jobs["trace_state"] == "ok").sum())

        assert server.requests.counts.total() == before
        assert f"a reparse would read {read} logs again" in dry.stderr
        assert end.exit_code == 0
        assert (
            f"read again: {read} from what was kept, 0 from the server; 0 jobs left" in end.stderr
        )
        assert set(jobs[jobs["trace_state"] == "ok"]["extractor_version"]) == {"2"}
        assert invoke("status", "-s", old, "--max-age", "1h").exit_code == 0

    def test_names(self, invoke: Invoke, old: str) -> None:
        """A project by path or id, a group by its path; both sum up; nothing else is touched."""
        jobs = logminer.open(old).jobs()
        jobs = jobs[jobs["trace_state"] == "ok"]
        path = str(jobs["project_path"].iloc[0])
        group = path.partition("/")[0]
        number = jobs[jobs["project_path"] == path]["project_id"].iloc[0]
        again = ("harvest", "-s", old, "--reparse", "--offline")
        wanted = int((jobs["project_path"] == path).sum())
        grouped = int(jobs["project_path"].str.startswith(f"{group}/").sum())

        for flags, count in (
            (("-p", path), wanted),
            (("-p", number), wanted),
            (("-g", group), grouped),
            (("--all", "--include", path), wanted),
            (("--all", "--exclude", path), len(jobs) - wanted),
        ):
            dry = invoke(*again, *flags, "--dry-run")
            assert f"would read {count:,} log" in dry.stderr, flags

    @pytest.mark.parametrize(
        ("flags", "says"),
        [
            (["--all", "--offline"], "--offline reads again what was kept of logs: give --reparse"),
            (["-p", "no/such", "--reparse", "--offline"], "no/such was never harvested"),
            (
                ["--all", "--reparse", "--offline", "--url", "https://other.example.com"],
                "nothing of other.example.com was harvested into s yet",
            ),
        ],
    )
    def test_what_cannot_be(
        self, invoke: Invoke, complaint: Complaint, old: str, flags: list[str], says: str
    ) -> None:
        """A clear line, and nothing is done."""
        end = invoke("harvest", "-s", old, *flags)

        assert end.exit_code in {1, 2}
        assert says in complaint(end)
