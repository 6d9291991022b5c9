"""`logminer harvest`: what it needs, what it says, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import Result

import logminer
from logminer.cli.summary import summary_lines
from logminer.cli.watch import PlainWatch
from logminer.foreign import visible
from logminer.harvest import Tally
from logminer.model import TraceState
from logminer.store import Ledger, Store, source_of

if TYPE_CHECKING:
    import subprocess

    from logminer.simulator import Server

Invoke = Callable[..., Result]
Complaint = Callable[..., str]
Digests = Callable[[Path], dict[str, str]]
Answers = dict[str | None, tuple[int, str, bytes]]
Answering = Callable[[Answers], AbstractContextManager[str]]

TOKEN = "glpat-nobody-has-this"  # noqa: S105 -- opens nothing
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")
GITLAB = b'{"version": "18.5.0-ee", "revision": "abc"}'


@pytest.fixture
def everything(server: Server) -> list[str]:
    """A harvest of everything the simulator has, but for the store."""
    return ["harvest", "--all", "--url", server.url, "--store"]


# --- what is right ---------------------------------------------------------------------------


def test_a_harvest_talks_on_stderr_only(
    invoke: Invoke, server: Server, everything: list[str]
) -> None:
    """Exit 0, a store, nothing on stdout, a summary on stderr that fits a screen."""
    end = invoke(*everything, "s", GITLAB_TOKEN=server.token)

    jobs = logminer.open("s").jobs()
    said = [line.split("  ", 1) for line in end.stderr.splitlines()]
    lines = [line for _, line in said]
    assert (end.exit_code, end.stdout) == (0, "")
    assert {RUN_ID.fullmatch(run) is not None for run, _ in said} == {True}
    assert len({run for run, _ in said}) == 1
    assert lines[0] == "harvesting 12 projects, 0 jobs queued before"
    assert lines[1].startswith("11 projects listed, ")
    assert f"{len(jobs)} jobs harvested" in lines[1]
    assert f"{(jobs['trace_state'] == 'ok').sum()} read" in lines[2]
    assert "written to s, " in lines[3]
    assert all(len(line) <= 100 for line in lines[:5])


def test_scopes(invoke: Invoke, server: Server) -> None:
    """A project by path or id, a group, and the variables of the inventory script."""
    paths = sorted(project.path for project in server.company.projects)
    group = paths[0].partition("/")[0]
    first = server.company.project(paths[0])
    assert first is not None
    asked: list[tuple[list[str], dict[str, str], int]] = [
        (["-p", paths[0]], {}, 1),
        (["-p", str(first.id), "-p", paths[0]], {}, 1),
        (["-p", paths[0], "-p", paths[1]], {}, 2),
        (["-g", group], {}, sum(path.startswith(f"{group}/") for path in paths)),
        ([], {"GL_PROJECT_ID": str(first.id)}, 1),
    ]
    for number, (flags, more, expected) in enumerate(asked):
        end = invoke(
            *("harvest", "--url", server.url, "--until", "1971-01-01", "-s", f"s{number}"),
            *flags,
            GITLAB_TOKEN=server.token,
            **more,
        )

        assert end.exit_code == 0
        listed, skipped = (
            int(re.findall(r"  ([0-9]+) projects? listed", end.stderr)[0]),
            end.stderr.partition("skipped, CI is disabled: ")[2].partition("\n")[0],
        )
        assert listed + (skipped.count(",") + 1 if skipped else 0) == expected


def test_a_token_file_is_as_good(
    invoke: Invoke, server: Server, everything: list[str], tmp_path: Path
) -> None:
    """The token may stand in a file, with a line end; a wrong one in the environment loses."""
    (tmp_path / "token").write_text(f"{server.token}\n")
    end = invoke(*everything, "s", "--token-file", "token", GITLAB_TOKEN=TOKEN)

    assert end.exit_code == 0


def test_a_second_harvest_changes_nothing(
    invoke: Invoke, server: Server, everything: list[str], harvested: Path, digests: Digests
) -> None:
    """Nothing new is no failure, and no byte of the dataset moves."""
    before = digests(harvested / "images"), digests(harvested / "jobs")
    end = invoke(*everything, harvested, GITLAB_TOKEN=server.token)

    assert end.exit_code == 0
    assert " 0 jobs harvested, 0 image uses found" in end.stderr
    assert (digests(harvested / "images"), digests(harvested / "jobs")) == before


def test_a_harvest_sees_through_a_table_of_mirrors(
    invoke: Invoke, server: Server, everything: list[str], harvested: Path, tmp_path: Path
) -> None:
    """What comes from a cache says so, and where it really comes from; all else is the same."""
    (tmp_path / "mirrors.toml").write_text(
        '[[mirror]]\nname = "harbor"\nregistry = "harbor.example.com"\nupstream = "quay.io"\n'
    )
    end = invoke(*everything, "s", "--mirrors", "mirrors.toml", GITLAB_TOKEN=server.token)

    seen, unseen = (logminer.open(store).images() for store in ("s", harvested))
    cached = seen["registry"] == "harbor.example.com"
    assert end.exit_code == 0
    assert cached.any()
    assert set(seen.loc[cached, "via"]) == {"harbor"}
    assert set(seen.loc[cached, "upstream_registry"]) == {"quay.io"}
    assert unseen.loc[unseen["registry"] == "harbor.example.com", "via"].isna().all()
    assert (
        seen.loc[~cached, "via"].value_counts().to_dict() == unseen["via"].value_counts().to_dict()
    )


# --- what is wrong with the request ----------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--all", "--since", "yesteryear"], "no moment: 'yesteryear'; write a date"),
        (["--all", "--since", ""], "no moment: ''; write a date"),
        (["--all", "--until", "2026-02-30"], "no moment: '2026-02-30'; write a date"),
        (["--all", "--since", "2026-08-01", "--until", "2026-07-01"], "--since must be earlier"),
        (["--all", "--since", "2026-08-01", "--until", "2026-08-01"], "--since must be earlier"),
        (["--all", "--rps", "0"], "--rps"),
        (["--all", "--rps", "nan"], "--rps"),
        (["--all", "--ca-bundle", "missing.pem"], "missing.pem does not exist"),
        (["--all", "--url", "gitlab.example.com"], "https://"),
        (["--all", "--token-file", "missing"], "missing (No such file or directory)"),
        (["--all", "--mirrors", "missing.toml"], "missing.toml: cannot be read: No such file"),
        (["--all", "--token-file", "directory"], "directory (Is a directory)"),
        (["--all", "--token-file", "empty"], "empty is empty"),
        (["--all", "--token-file", "binary"], "binary holds no token"),
        (["--all", "--token-file", "lines"], "characters that no token has"),
        ([], "give --project, --group or --all"),
    ],
)
def test_wrong_requests_are_2_and_ask_no_server(  # noqa: PLR0913, PLR0917 -- five fixtures
    invoke: Invoke,
    complaint: Complaint,
    server: Server,
    tmp_path: Path,
    flags: list[str],
    why: str,
) -> None:
    """One line that names the flag or the value; no request, no store."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "lines").write_text("one\ntwo\n")
    before = server.requests.total
    end = invoke("harvest", "-s", "s", *flags, GITLAB_URL=server.url, GITLAB_TOKEN=TOKEN)

    assert why in complaint(end)
    assert end.exit_code == 2
    assert server.requests.total == before
    assert not (tmp_path / "s").exists()


def test_without_url_or_token(invoke: Invoke, complaint: Complaint, server: Server) -> None:
    """What is missing is named, with the variable that gives it."""
    no_url = invoke("harvest", "--all", "-s", "s", GITLAB_TOKEN=TOKEN)
    no_token = invoke("harvest", "--all", "-s", "s", GITLAB_URL=server.url)

    assert no_url.exit_code == no_token.exit_code == 2
    assert "No GitLab server: set GITLAB_URL" in complaint(no_url)
    assert "No GitLab token: set GITLAB_TOKEN" in complaint(no_token)


# --- what the server says --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["-p", "no/such"], "No project no/such for this token"),
        (["-p", "999999"], "No project 999999 for this token"),
        (["-g", "no/such/group"], "No group no/such/group for this token"),
    ],
)
def test_unknown_scopes_are_2(
    invoke: Invoke, complaint: Complaint, server: Server, flags: list[str], why: str
) -> None:
    """The scope that is not to be seen is named."""
    end = invoke("harvest", "-s", "s", "--url", server.url, *flags, GITLAB_TOKEN=server.token)

    assert why in complaint(end)
    assert end.exit_code == 2


def test_a_wrong_token_is_4(
    invoke: Invoke, complaint: Complaint, everything: list[str], tmp_path: Path
) -> None:
    """The token is refused, and shown to nobody."""
    end = invoke(*everything, "s", GITLAB_TOKEN=TOKEN)

    assert "the token is refused (401)" in complaint(end)
    assert TOKEN not in end.stderr
    assert end.exit_code == 4
    assert not (tmp_path / "s").exists()


def test_an_unreachable_server_is_1_and_soon(
    run: Callable[..., subprocess.CompletedProcess[str]],
    complaint: Complaint,
    refusing: str,
    tmp_path: Path,
) -> None:
    """A refused connection is tried again for three seconds and no longer."""
    began = time.monotonic()
    end = run("harvest", "--all", "-s", "s", GITLAB_URL=refusing, GITLAB_TOKEN=TOKEN)

    host = refusing.removeprefix("http://")
    assert complaint(end).startswith(f"{host} cannot be reached. ")
    assert complaint(end).endswith("Check the URL and the network, or try again later.")
    assert end.returncode == 1
    assert time.monotonic() - began < 10
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "answer",
    [
        (200, "text/html", b"<html><title>Sign in</title></html>"),
        (200, "application/json", b'{"name": "another server"}'),
        (200, "application/json", b"[]"),
        (200, "application/json", b"not JSON"),
        (404, "text/plain", b"not found"),
    ],
)
def test_a_server_that_is_no_gitlab_is_2(
    invoke: Invoke,
    complaint: Complaint,
    answering: Answering,
    answer: tuple[int, str, bytes],
) -> None:
    """Whatever it answers, the URL is what to look at."""
    with answering({None: answer}) as url:
        end = invoke("harvest", "--all", "-s", "s", "--url", url, GITLAB_TOKEN=TOKEN)

    assert "Check the URL" in complaint(end)
    assert end.exit_code == 2


# --- what is wrong with the store ------------------------------------------------------------


@pytest.mark.parametrize("command", ["harvest", "report"])
def test_a_store_that_is_none_is_2(
    invoke: Invoke, complaint: Complaint, everything: list[str], tmp_path: Path, command: str
) -> None:
    """A file and somebody's directory stay as they are; no server is asked."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("miaow")
    for name in ("file", "photos"):
        begin = everything if command == "harvest" else ["report", "--store"]
        end = invoke(*begin, name, GITLAB_TOKEN=TOKEN)

        assert complaint(end).startswith(f"{name} is no ")
        assert end.exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_store_that_cannot_be_made_is_1(
    invoke: Invoke, complaint: Complaint, server: Server, everything: list[str], tmp_path: Path
) -> None:
    """Below a file there can be no directory."""
    (tmp_path / "file").write_text("mine")
    end = invoke(*everything, "file/s", GITLAB_TOKEN=server.token)

    assert complaint(end).startswith("cannot write file/s (Not a directory)")
    assert end.exit_code == 1


@pytest.mark.parametrize("command", ["harvest", "report"])
def test_a_newer_store_is_2(  # noqa: PLR0913, PLR0917 -- six fixtures
    invoke: Invoke,
    complaint: Complaint,
    everything: list[str],
    harvested: Path,
    digests: Digests,
    command: str,
) -> None:
    """A store of a newer logminer is left alone."""
    shutil.copytree(harvested, "newer")
    marker = Path("newer", "state", "store.json")
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"schema_version": 999}))
    before = digests(Path("newer"))
    begin = everything if command == "harvest" else ["report", "--store"]
    end = invoke(*begin, "newer", GITLAB_TOKEN=TOKEN)

    assert "was written by a newer logminer" in complaint(end)
    assert "upgrade logminer" in complaint(end)
    assert end.exit_code == 2
    assert digests(Path("newer")) == before


def test_a_locked_store_is_75(
    invoke: Invoke, complaint: Complaint, server: Server, everything: list[str]
) -> None:
    """Who holds it is named; reading it is not locked."""
    store = Store.create("s")
    source = source_of(server.url.removeprefix("http://"))
    with Ledger.open(store.ledger_path(source)):
        end = invoke(*everything, "s", GITLAB_TOKEN=server.token)
        reading = invoke("report", "--store", "s")

    assert f"{source} is being harvested by process " in complaint(end)
    assert end.exit_code == 75
    assert reading.exit_code == 0


# --- the summary -----------------------------------------------------------------------------


def test_foreign_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """What a server calls things is only ever printed."""
    evil = "a\x1b[2J\r\nb[red]\u202e\u2028:tada:"
    tally = Tally(skipped_projects=[f"{evil}: forbidden"], failures=[f"{evil}: no answer"])
    PlainWatch(run_id=None).summary(tally, store=evil, seconds=1)

    said = capsys.readouterr().err
    assert set(said) - {"\n"} <= {each for each in said if each.isprintable()}
    assert said.count(visible(evil)) == 3
    assert r"a\x1b[2J\r\nb[red]\u202e\u2028:tada:" in said


def test_a_summary_stays_short() -> None:
    """A thousand failures are a count; every state of a trace has its word."""
    tally = Tally(
        skipped_projects=[f"group/p{number}: CI is disabled" for number in range(1000)],
        failures=[f"job {number}: no answer" for number in range(1000)],
        interrupted=True,
    )
    tally.traces.update(TraceState)
    lines = list(summary_lines(tally, store="s", seconds=1))

    assert len(lines) < 15
    assert "skipped, CI is disabled: group/p0, group/p1, group/p2, group/p3, group/p4" in lines[3]
    assert lines[3].endswith(" and 995 more")
    assert "failed: 995 more. What failed stays queued: harvest again." in lines
    assert lines[1].count("1 ") == len(TraceState)
