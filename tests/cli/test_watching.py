"""What can be seen of harvests: dry runs, status, verify, lines for logs, and every other exit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import Result

import logminer
from logminer.cli import values
from logminer.cli.check import _tell
from logminer.cli.watch import JsonWatch, PlainWatch, Volume
from logminer.errors import UsageError
from logminer.gitlab import discover
from logminer.harvest import Phase, Tally, harvest
from logminer.harvest.verify import Checked, Verification
from logminer.model import Project
from logminer.simulator import Behaviour, Company, Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.gitlab import Pacer

Invoke = Callable[..., Result]
Complaint = Callable[..., str]
Ask = Callable[..., Result]
Answering = Callable[[dict[str | None, tuple[int, str, bytes]]], AbstractContextManager[str]]


@pytest.fixture
def ask(invoke: Invoke, server: Server) -> Ask:
    """Run a command with the server's URL and token in the environment."""

    def run(*arguments: object, to: Server = server) -> Result:
        return invoke(*arguments, GITLAB_URL=to.url, GITLAB_TOKEN=to.token)

    return run


@pytest.fixture
def own(company: Company) -> Iterator[Server]:
    """The company's GitLab once more, to be changed by one test."""
    with serve(company) as running:
        yield running


# --- dry runs ----------------------------------------------------------------------------------


def test_a_dry_run_of_everything(
    ask: Ask, company: Company, server: Server, tmp_path: Path
) -> None:
    """Writes nothing, reads no log, and its figure is near: every list fits one page here."""
    before = server.requests.counts["trace"]
    end = ask("harvest", "--all", "-s", "s", "--dry-run")

    jobs = len(company.truth())
    assert end.exit_code == 0
    assert f"would read about {jobs:,} jobs of {len(company.projects)} projects" in end.stderr
    assert "An estimate, from the newest jobs of" in end.stderr
    assert server.requests.counts["trace"] == before
    assert not (tmp_path / "s").exists()


def test_a_dry_run_of_a_finished_scope(
    ask: Ask, company: Company, harvested: Path, digests: Callable[..., object]
) -> None:
    """Knows what was harvested and what waits, and changes nothing of it."""
    waiting = sum(not each.settled for each in company.truth().values())
    before = digests(harvested)
    end = ask("harvest", "--all", "-s", harvested, "--dry-run")

    assert f"would read about {waiting} jobs of" in end.stderr
    assert digests(harvested) == before


# --- status ------------------------------------------------------------------------------------


def test_status(invoke: Invoke, company: Company, harvested: Path) -> None:
    """The totals, the last run, each project; at most 80 columns."""
    end = invoke("status", "-s", harvested, COLUMNS="80")
    settled = [each.settled for each in company.truth().values()]
    done, waiting = sum(settled), len(settled) - sum(settled)

    lines = end.stdout.splitlines()
    assert end.exit_code == 0
    assert f" {done:,} jobs done, {waiting} queued," in lines[0]
    assert lines[1].startswith("last complete run: 20")
    assert any(f"complete, {done:,} jobs" in line for line in lines[2:7])
    assert max(map(len, lines)) <= 80


def test_status_for_programs(invoke: Invoke, harvested: Path) -> None:
    """JSON and CSV say the same of each project, and add up."""
    (source,) = json.loads(invoke("status", "-s", harvested, "-f", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(invoke("status", "-s", harvested, "-f", "csv").stdout)))

    done = len(logminer.open(harvested).jobs())
    assert [row["project"] for row in rows] == [each["project"] for each in source["projects"]]
    assert sum(int(row["done"]) for row in rows) == done
    assert source["runs"][-1]["tally"]["jobs_done"] == done
    assert source["last_success"] == source["runs"][0]["ended"]


def test_status_of_one_project(invoke: Invoke, harvested: Path, complaint: Complaint) -> None:
    """By path in any case; one that no harvest saw is 2."""
    (source,) = json.loads(invoke("status", "-s", harvested, "-f", "json").stdout)
    path = source["projects"][0]["project"]
    (same,) = json.loads(invoke("status", "-s", harvested, "-f", "json", "-p", path.upper()).stdout)
    unknown = invoke("status", "-s", harvested, "-p", "no/such")

    assert [each["project"] for each in same["projects"]] == [path]
    assert "has seen no/such" in complaint(unknown)
    assert unknown.exit_code == 2


# --- verify ------------------------------------------------------------------------------------


def test_verify(ask: Ask, own: Server) -> None:
    """0 and a summary; with a day's file lost, 3 and the jobs by name; repaired, 0 again."""
    ask("harvest", "--all", "-s", "s", to=own)
    whole = ask("verify", "-s", "s", "--since", "2020-01-01", to=own)
    lost = min(Path("s", "jobs").glob("*/*.parquet"))
    day = logminer.open("s").jobs().sort_values("date")["date"].iloc[0]
    jobs = logminer.open("s").jobs()
    ids = {str(job) for job in jobs[jobs["date"] == day]["job_id"]}
    lost.unlink()
    broken = ask("verify", "-s", "s", "--since", "2020-01-01", "--repair", to=own)
    ask("harvest", "--all", "-s", "s", to=own)
    mended = ask("verify", "-s", "s", "--since", "2020-01-01", to=own)

    assert (whole.exit_code, whole.stdout) == (0, "")
    assert " 0 missing;" in whole.stderr
    assert broken.exit_code == 3
    assert all(job in broken.stdout for job in ids)
    assert "queued: harvest again to read them" in broken.stderr
    assert (mended.exit_code, mended.stdout) == (0, "")


def test_verify_of_nothing(ask: Ask, complaint: Complaint) -> None:
    """A server of which nothing was harvested is said to be one."""
    ask("harvest", "--all", "-s", "s", "--until", "1971-01-01")
    end = ask("verify", "-s", "s", "-p", "no/such")

    assert "no/such was never harvested" in complaint(end)
    assert end.exit_code == 2


def test_verify_with_a_token_that_is_refused(
    ask: Ask, own: Server, complaint: Complaint, invoke: Invoke
) -> None:
    """4 and one line, at once and half-way."""
    ask("harvest", "--all", "-s", "s", to=own)
    wrong = invoke(
        "verify",
        *("-s", "s"),
        GITLAB_URL=own.url,
        GITLAB_TOKEN="glpat-nobody-has-this",  # noqa: S106 -- opens nothing
    )
    own.when("jobs", 3, lambda: setattr(own, "behaviour", Behaviour(revoked=True)))
    revoked = ask("verify", "-s", "s", to=own)

    for end in (wrong, revoked):
        assert "the token is refused (401)" in complaint(end)
        assert end.exit_code == 4


# --- ends --------------------------------------------------------------------------------------


def test_a_budget_is_75(ask: Ask) -> None:
    """The last line says what was used up."""
    end = ask("harvest", "--all", "-s", "s", "--max-requests", "20")

    assert end.exit_code == 75
    assert "(--max-requests) is used up." in end.stderr.splitlines()[-1]


def test_a_budget_that_discovery_spends_is_75(ask: Ask, complaint: Complaint) -> None:
    """There is nothing to keep yet, and no store."""
    end = ask("harvest", "--all", "-s", "s", "--max-requests", "1")

    assert "(--max-requests) is used up." in complaint(end)
    assert end.exit_code == 75
    assert not Path("s").exists()


def test_a_partial_night_is_3(ask: Ask, own: Server) -> None:
    """Quiet says what went wrong and nothing else."""
    ask("harvest", "--all", "-s", "s", to=own)
    own.behaviour = Behaviour(empty=frozenset({"jobs"}))
    end = ask("harvest", "--all", "-s", "s", "--quiet", to=own)

    assert end.exit_code == 3
    first, last = end.stderr.splitlines()
    assert "  failed: the server lists no job of any of the " in first
    assert last.endswith("What failed stays queued: harvest again.")


def test_a_locked_store_is_known_before_the_server_is_asked(ask: Ask, server: Server) -> None:
    """No request is spent on a harvest that cannot be."""
    from logminer.store import Ledger, Store, source_of  # noqa: PLC0415 -- only here

    path = Store.create("s").ledger_path(source_of(server.url.removeprefix("http://")))
    with Ledger.open(path):
        before = server.requests.total
        end = ask("harvest", "--all", "-s", "s")

    assert end.exit_code == 75
    assert server.requests.total == before


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--max-duration", "soon"], "--max-duration 'soon' is no length of time"),
        (["--max-duration", "0m"], "--max-duration '0m' is no length of time"),
        (["--max-trace-size", "much"], "--max-trace-size 'much' is no size"),
        (["--max-requests", "0"], "--max-requests"),
        (["--include", "no/such/*"], "no project of the scope fits --include and --exclude"),
    ],
)
def test_wrong_flags_are_2(ask: Ask, complaint: Complaint, flags: list[str], why: str) -> None:
    """One line that names the flag."""
    end = ask("harvest", "--all", "-s", "s", *flags)

    assert why in complaint(end)
    assert end.exit_code == 2


# --- lines -------------------------------------------------------------------------------------


def test_json_lines(ask: Ask) -> None:
    """Every line is an object with the run's id; the last one is the whole tally."""
    end = ask("harvest", "--all", "-s", "s", "--log-format", "json")

    events = [json.loads(line) for line in end.stderr.splitlines()]
    assert len({event["run"] for event in events}) == 1
    assert [event.get("phase") for event in events[:-1]] == ["discover", "harvest", "publish"]
    assert events[-1]["event"] == "end"
    assert events[-1]["exit_code"] == 0
    assert events[-1]["jobs_done"] == len(logminer.open("s").jobs())


def test_json_errors(invoke: Invoke, server: Server) -> None:
    """An error is an object, too, and holds no token."""
    end = invoke(
        *("harvest", "--all", "-s", "s", "--log-format", "json"),
        GITLAB_URL=server.url,
        GITLAB_TOKEN="glpat-nobody-has-this",  # noqa: S106 -- opens nothing
    )

    events = [json.loads(line) for line in end.stderr.splitlines()]
    assert (events[-1]["event"], events[-1]["exit_code"], end.exit_code) == ("error", 4, 4)
    assert "glpat" not in end.stderr


ROW = {
    "id": 12,
    "name": "unit",
    "stage": "test",
    "ref": "main",
    "status": "manual",
    "created_at": "2026-09-14T02:00:00Z",
    "pipeline": {"id": 3},
}
"""A job, as far as it has to be one."""


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_what_is_logged_is_in_the_same_form(
    invoke: Invoke, answering: Answering, log_format: str
) -> None:
    """A warning from the depth is a line with the run's id, too; a row that is damaged is 3."""
    kind = "application/json"
    with answering(
        {
            "/api/v4/version": (200, kind, b'{"version": "18.5.0-ee"}'),
            "/api/v4/projects/5": (200, kind, b'{"id": 5, "path_with_namespace": "shop/api"}'),
            None: (200, kind, json.dumps([ROW, ROW | {"id": 11, "status": 5}]).encode()),
        }
    ) as url:
        end = invoke(
            *("harvest", "-p", "5", "-s", "s", "--url", url, "--log-format", log_format),
            GITLAB_TOKEN="glpat-any",  # noqa: S106 -- opens nothing
        )

    lines = end.stderr.splitlines()
    runs = {json.loads(line)["run"] if log_format == "json" else line[:21] for line in lines}
    assert end.exit_code == 3
    assert len(runs) == 1
    assert sum("a job is passed over. job 11: status should be text" in line for line in lines) == 2


def test_an_early_end_in_the_same_form(
    ask: Ask, complaint: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while projects are found: an object for programs, one line for people."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("logminer.cli.asking.discover", interrupted)
    plain = ask("harvest", "--all", "-s", "s")
    programs = ask("harvest", "--all", "-s", "s", "--log-format", "json")

    assert complaint(plain) == "interrupted"
    last = json.loads(programs.stderr.splitlines()[-1])
    assert (last["event"], last["exit_code"], last["message"]) == ("error", 130, "interrupted")
    assert plain.exit_code == programs.exit_code == 130


def test_one_pace_for_all(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finding projects keeps to --rps, too, and the harvest goes on at the same pace."""
    given: list[Pacer] = []

    def noted(what: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: Any) -> object:  # noqa: ANN401 -- whatever it takes
            given.append(more["pacer"])
            return what(*arguments, **more)

        return call

    monkeypatch.setattr("logminer.cli.asking.discover", noted(discover))
    monkeypatch.setattr("logminer.cli.nightly.harvest", noted(harvest))
    ask("harvest", "--all", "-s", "s", "--until", "1971-01-01", "--rps", "256")

    first, second = given
    assert first is second
    first.take(1e9)
    assert first.wait(1e9) == 1 / 256


def test_lines_come_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """However often a run moves; quiet ones say nothing of it."""
    now = 0.0
    watches = [
        PlainWatch(run_id="r", clock=lambda: now),
        PlainWatch(run_id="q", volume=Volume.QUIET, clock=lambda: now),
        JsonWatch(run_id="j", clock=lambda: now),
    ]
    tally = Tally(projects=9, projects_listed=2, jobs_queued=700, jobs_done=30, requests_left=5)
    for second in range(65):
        now = float(second)
        for watch in watches:
            watch.moved(tally)
            watch.begin(Phase.PUBLISH, tally) if second == 64 else None

    said = capsys.readouterr().err.splitlines()
    line = "r  listed 2 of 9 projects, read 30 of 700 jobs, 0 images, 5 requests left in the limit"
    assert [each for each in said if each.startswith("r")] == [line] * 2
    assert not any(each.startswith("q") for each in said)
    progress = [json.loads(each) for each in said if each.startswith("{")]
    assert [each["jobs_done"] for each in progress if each["event"] == "progress"] == [30, 30]


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("30m", 1_800), ("1h30m", 5_400), (" 2H ", 7_200)]
)
def test_lengths_of_time(text: str, expected: float) -> None:
    """Units of one letter, added up."""
    assert values.seconds(text, flag="--x") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("500", 500), ("500K", 512_000), ("20MiB", 20 * 2**20), ("1g", 2**30)]
)
def test_sizes(text: str, expected: int) -> None:
    """Powers of 1,024, with or without a B."""
    assert values.size(text, flag="--x") == expected


@pytest.mark.parametrize("text", ["", "-1", "1.5h", "h", "1h 30m x", "٣m"])
def test_what_is_no_length_of_time(text: str) -> None:
    """The flag and the right forms are named."""
    with pytest.raises(UsageError, match=r"--x .* is no length of time: write 90s"):
        values.seconds(text, flag="--x")


@pytest.mark.parametrize(
    ("settled", "said"),
    [
        (0, "2 open jobs of deleted pipelines: verify --repair ends the waiting for them"),
        (2, "2 jobs of deleted pipelines: nothing waits for them any more"),
    ],
)
def test_verify_says_what_waits_for_nothing(
    capsys: pytest.CaptureFixture[str], settled: int, said: str
) -> None:
    """And how to end it, or that it was ended."""
    checked = Checked(project=Project(id=1, path="shop/api"), forgotten=[3, 4])
    _tell(Verification(projects=[checked], settled=settled))

    assert said in capsys.readouterr().err
