"""`logminer inventory` against a server and `logminer drift`, as a person runs them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from logminer.cli.app import app
from logminer.report import Format, Report, build, drift
from logminer.simulator.configuration import AUDIT, PATH
from logminer.store import Ledger, open_store, source_of

if TYPE_CHECKING:
    from pathlib import Path

    from logminer.simulator import Company, Server

Invoke = Callable[..., Result]
SHARED = ("path", "line", "kind", "name", "role", "image", "resolved", "resolution", "reference")


@pytest.fixture(scope="module")
def store(harvested: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the harvested store, with an inventory; read only."""
    copy = tmp_path_factory.mktemp("inventoried") / "store"
    shutil.copytree(harvested, copy)
    end = CliRunner(env={"GITLAB_TOKEN": server.token}).invoke(
        app, ["inventory", "--all", "-s", str(copy), "--url", server.url], catch_exceptions=False
    )
    assert end.exit_code == 0
    assert "12 projects looked at, 0 of them unchanged" in end.stderr
    return copy


def test_a_dry_run_says_what_it_would_cost(server: Server, invoke: Invoke, tmp_path: Path) -> None:
    """And neither asks for a file nor makes a store."""
    asked = server.requests.counts.copy()
    end = invoke(
        *("inventory", "--all", "-s", tmp_path / "new", "--url", server.url, "--dry-run"),
        GITLAB_TOKEN=server.token,
    )

    assert end.exit_code == 0
    assert "would look at 12 projects with at least 33 requests" in end.stderr
    assert not (tmp_path / "new").exists()
    assert server.requests.counts["branch"] == asked["branch"]


def test_the_status_tells_it_from_a_harvest(store: Path, invoke: Invoke) -> None:
    """The last run was an inventory, and is not called a harvest of no job."""
    lines = [line for line in invoke("status", "-s", store).stdout.splitlines() if "  " in line]

    assert sum("inventory complete" in line and "declarations" in line for line in lines) == 1


def test_a_budget_ends_it_in_good_order(server: Server, invoke: Invoke, tmp_path: Path) -> None:
    """Exit 75, and what was read is published."""
    end = invoke(
        *("inventory", "--all", "-s", tmp_path / "new", "--url", server.url, "--max-requests", 15),
        GITLAB_TOKEN=server.token,
    )

    assert end.exit_code == 75
    assert "the next run goes on from there" in end.stderr
    assert 0 < open_store(tmp_path / "new").declared()["project_id"].nunique() < 11


def test_the_harvest_and_the_inventory_share_a_lock(
    store: Path, server: Server, invoke: Invoke
) -> None:
    """Whoever comes second is told who holds it, before the server is asked."""
    source = source_of(server.url.removeprefix("http://"))
    total = server.requests.total
    with Ledger.open(open_store(store).ledger_path(source)):
        end = invoke(
            "inventory", "--all", "-s", store, "--url", server.url, GITLAB_TOKEN=server.token
        )

    assert end.exit_code == 75
    assert "is being harvested by process" in end.stderr
    assert server.requests.total == total


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ((), "name a local clone with --path DIR, or files; or a --store"),
        (("-s", "new"), "nothing to harvest: give --project, --group or --all"),
        (("-s", "new", "--all", "--check", "p.toml"), "are for local clones"),
        (("-s", "new", "--all", "--max-archive", "much"), "--max-archive"),
    ],
)
def test_a_mistake_is_one_line(invoke: Invoke, flags: tuple[str, ...], complaint: str) -> None:
    """Exit 2, and nothing is asked of anybody."""
    settings = {"GITLAB_URL": "http://127.0.0.1:9", "GITLAB_TOKEN": "x"}
    end = invoke("inventory", *flags, **settings)

    assert end.exit_code == 2
    assert complaint in end.stderr


def test_the_text_has_every_part_and_its_evidence(store: Path, invoke: Invoke) -> None:
    """Counts, names, and the lines of files and logs."""
    text = invoke("drift", "-s", store, "--period", "2025-01-01..2027-01-01").stdout

    for title in ("Declared and pulled", "Declared, never pulled", "Pulled, never declared"):
        assert f"\n{title} (" in text
    assert AUDIT in text
    assert f"/{PATH}#L" in text
    assert "/-/jobs/" in text


@pytest.fixture(scope="module")
def reports(store: Path, harvested: Path) -> list[Report]:
    """The reports on the store with an inventory and on the one without."""
    return [build(open_store(each), "2025-01-01..2027-01-01") for each in (store, harvested)]


@pytest.mark.parametrize("form", [Format.TABLE, Format.MD, Format.HTML])
def test_the_report_has_it_where_an_inventory_was_taken(
    reports: list[Report], form: Format
) -> None:
    """And says nothing of it elsewhere."""
    with_it, without = io.StringIO(), io.StringIO()
    for report, out in zip(reports, (with_it, without), strict=True):
        form.write(report, out)

    for title in drift.SECTIONS.values():
        assert title in with_it.getvalue()
        assert title not in without.getvalue()
    if form is not Format.TABLE:  # which has no room for evidence
        assert f"/{PATH}#L" in with_it.getvalue()


def test_the_report_for_programs_has_the_same_rows(
    store: Path, invoke: Invoke, tmp_path: Path
) -> None:
    """What `logminer drift` writes as JSON is a part of the report's; its CSV has the figures."""
    period = ("--period", "2025-01-01..2027-01-01")
    whole = json.loads(invoke("drift", "-s", store, *period, "-f", "json").stdout)
    part = json.loads(invoke("report", "-s", store, *period, "-f", "json").stdout)["declared"]
    invoke("report", "-s", store, *period, "-f", "csv", "-o", tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="") as file:
        projects = Counter(
            row["section"] for row in csv.DictReader(file) if row["measure"] == "projects"
        )

    assert len(whole["pulled_as_declared"]) > 0
    assert part == {key: whole[key] for key in part}
    for section in drift.SECTIONS:
        assert projects[f"declared_{section}"] == len(whole[section])


def test_csv_and_json_hold_the_same_rows(store: Path, invoke: Invoke, tmp_path: Path) -> None:
    """All of them; what a part does not have is empty or absent."""
    asked = ("drift", "-s", store, "--period", "2025-01-01..2027-01-01")
    whole: dict[str, Any] = json.loads(invoke(*asked, "-f", "json").stdout)
    invoke(*asked, "-f", "csv", "-o", tmp_path / "drift.csv")
    with (tmp_path / "drift.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    counted = Counter(row["section"] for row in rows)

    for section in ("pulled_as_declared", "never_pulled", "never_declared", "moving_tags"):
        assert counted[section] == len(whole[section]) > 0
    assert whole["coverage"]["projects"] > 0
    never = {row["reference"] for row in whole["never_pulled"]}
    assert {row["reference"] for row in rows if row["section"] == "never_pulled"} == never


def test_a_store_without_an_inventory_says_so(
    server: Server, invoke: Invoke, tmp_path: Path
) -> None:
    """And how to take one."""
    invoke(
        *("harvest", "-s", tmp_path / "new", "--url", server.url, "--all", "--max-requests", 10),
        GITLAB_TOKEN=server.token,
    )
    end = invoke("drift", "-s", tmp_path / "new")

    assert end.exit_code == 0
    assert "No inventory was taken yet" in end.stdout


def test_formulas_of_foreign_text_are_text() -> None:
    """Whoever names an image in a file writes into somebody's spreadsheet."""
    from logminer.report.drift import _cell  # noqa: PLC0415 -- where it is used

    out = io.StringIO()
    csv.writer(out).writerow([_cell("=HYPERLINK(1)"), _cell("$IMAGE"), _cell(3), _cell(None)])

    assert out.getvalue() == "'=HYPERLINK(1),$IMAGE,3,\r\n"


def test_three_surfaces_agree(
    store: Path, company: Company, invoke: Invoke, tmp_path: Path
) -> None:
    """The API, a local clone and a check say the same of the same files."""
    project = company.projects[0]  # whose configuration includes nothing from elsewhere
    repository = company.repository(project.id)
    assert repository is not None
    clone = tmp_path / "clone"
    for path, content in repository.files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(content)
    subprocess.run(["git", "init", "-q", clone], check=True)  # noqa: S603, S607 -- as people do
    known = [
        *("--variable", "CI_REGISTRY=registry.gitlab.example:5050"),
        *("--variable", f"CI_REGISTRY_IMAGE=registry.gitlab.example:5050/{project.path}"),
    ]
    policy = tmp_path / "policy.toml"
    policy.write_text('[registries]\nallowed = ["nowhere.example.com"]\n')
    local = json.loads(invoke("inventory", "--path", clone, "-f", "json", *known).stdout)
    checked = invoke("inventory", "--path", clone, "-f", "json", "--check", policy, *known)
    declared = open_store(store).declared()
    mine = declared[declared["project_id"] == project.id]
    cells = mine[list(SHARED)].astype(object)
    by_api = Counter(map(tuple, cells.where(pd.notna(cells), None).to_numpy().tolist()))

    def inside(path: str) -> str:
        return path.removeprefix(f"{clone}/")

    def rows(entries: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
        return Counter(
            tuple(inside(row[name]) if name == "path" else row[name] for name in SHARED)
            for row in entries
        )

    assert rows(local) == by_api
    assert checked.exit_code == 1
    assert rows(json.loads(checked.stdout)) == Counter(
        {row: count for row, count in by_api.items() if row[-1] is not None}
    )
