"""An inventory over real sockets is the company's truth, whatever the server and the night do."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
import pyarrow.parquet as pq
import pytest

from logminer.analysis import drift
from logminer.errors import ServerError
from logminer.gitlab import Budget, RetryPolicy
from logminer.running import Silence
from logminer.running import run as whole_run
from logminer.simulator import Behaviour, Fault, Faults
from logminer.simulator.configuration import AUDIT, COMPLIANCE
from logminer.simulator.repository import is_closed, lint_forbidden
from logminer.snapshot import SnapshotOptions, reading
from logminer.snapshot import run as snapshot_run
from logminer.store import Store, migrate, open_store, outdated
from logminer.store.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from logminer.simulator import Company, Server
    from logminer.snapshot import SnapshotTally

DAY = 86_400.0
Run: TypeAlias = "Callable[..., SnapshotTally]"


@pytest.fixture
def agrees(
    company: Company, rows_of: Callable[..., Any], truth_of: Callable[..., Any]
) -> Callable[[pd.DataFrame], None]:
    """Hold a frame against everything that was planted, project by project."""

    def check(frame: pd.DataFrame) -> None:
        for project in company.projects:
            expected = truth_of(company, project.id)

            assert rows_of(frame, project.id) == expected, project.path

    return check


def test_every_planted_declaration_is_found_and_no_other(
    company: Company, run: Run, agrees: Callable[[pd.DataFrame], None], tmp_path: Path
) -> None:
    """Kind, line, name, role, text, meaning and variables of each; nothing out of the noise."""
    tally = run(tmp_path / "store")
    declared = open_store(tmp_path / "store").declared()

    agrees(declared)
    assert set(declared["resolution"]) >= {"literal", "resolved", "alternative", "unresolved"}
    assert "compatibility: [python, 3.13]" in set(declared["name"])
    assert tally.exit_code == 0
    assert tally.declarations == sum(len(company.declared(each.id)) for each in company.projects)
    assert tally.by_tree == 0


def test_images_are_seen_through_proxies_and_lead_to_their_line(
    company: Company, run: Run, tmp_path: Path
) -> None:
    """The normalised columns are those of `images`; the address is that of the commit's line."""
    run(tmp_path / "store")
    declared = open_store(tmp_path / "store").declared()
    proxied = declared[declared["resolved"].str.contains("/dependency_proxy/", na=False)]

    assert set(proxied["via"]) == {"dependency_proxy"}
    assert set(proxied["upstream_registry"]) == {"docker.io"}
    audit = declared[declared["image"] == AUDIT].iloc[0]
    project = company.project(str(audit["project_id"]))
    repository = company.repository(int(audit["project_id"]))
    assert project is not None
    assert repository is not None
    assert audit["reference"] == AUDIT
    assert audit["commit"] == repository.commit
    assert audit["file_url"].endswith(
        f"/{project.path}/-/blob/{repository.commit}/{audit['path']}#L{audit['line']}"
    )
    elsewhere = declared[declared["image"] == COMPLIANCE]
    assert elsewhere["line"].isna().all()
    assert not elsewhere["file_url"].str.contains("#").any()


def test_an_unchanged_branch_costs_one_request(
    company: Company, server: Server, run: Run, digests: Callable[..., Any], tmp_path: Path
) -> None:
    """At most 1.1 for each project, discovery included, and not a byte of the dataset changes."""
    run(tmp_path / "store")
    before, asked = digests(tmp_path / "store" / "declared"), server.requests.total
    kinds = server.requests.counts.copy()
    tally = run(tmp_path / "store")

    assert server.requests.total - asked <= 1.1 * len(company.projects) + 3
    assert server.requests.counts["archive"] == kinds["archive"]
    assert server.requests.counts["lint"] == kinds["lint"]
    assert digests(tmp_path / "store" / "declared") == before
    assert tally.unchanged == len(company.projects) - len(tally.skipped_projects)


def test_a_night_in_which_branches_move(
    company: Company,
    server: Server,
    run: Run,
    agrees: Callable[[pd.DataFrame], None],
    tmp_path: Path,
) -> None:
    """Only what moved is read; the view of a day is what each project declared on it."""
    run(tmp_path / "store")
    store = open_store(tmp_path / "store")
    first, day = store.declared(), company.now.date()
    commits = {
        each.id: getattr(company.repository(each.id), "commit", None) for each in company.projects
    }
    server.live(DAY)
    moved = [
        each.id
        for each in company.projects
        if getattr(company.repository(each.id), "commit", None) != commits[each.id]
        and not is_closed(each)
    ]
    tally = run(tmp_path / "store")

    assert 0 < len(moved) < len(company.projects)
    assert tally.snapshots == len(moved)
    agrees(store.declared())
    pd.testing.assert_frame_equal(store.declared(as_of=day), first)
    newer = store.declared()
    assert set(newer[newer["date"] > pd.Timestamp(day)]["project_id"]) <= set(moved)


def test_a_project_that_stops_declaring_leaves_the_view(
    company: Company, server: Server, run: Run, tmp_path: Path
) -> None:
    """Its newest snapshot is one row that says so; the ones before stay what they were."""
    project = company.projects[2]
    run(tmp_path / "store")
    server.live(DAY)
    repository = company.repository(project.id)
    assert repository is not None
    company.push(project.id, dict.fromkeys(repository.files) | {"README.md": b"moved away\n"})
    run(tmp_path / "store")
    store = open_store(tmp_path / "store")
    raw = pd.read_parquet(tmp_path / "store" / "declared")
    newest = raw[(raw["project_id"] == project.id) & (raw["date"] == str(company.now.date()))]

    now = store.declared()
    assert now[now["project_id"] == project.id]["resolution"].tolist() == ["empty"]
    assert newest[["ordinal", "resolution"]].to_numpy().tolist() == [[0, "empty"]]


def test_every_project_has_a_row_in_its_snapshot(
    company: Company, run: Run, tmp_path: Path
) -> None:
    """Empty repositories, too; forbidden ones have none, and are named."""
    tally = run(tmp_path / "store")
    raw = pd.read_parquet(tmp_path / "store" / "declared")
    closed = [each for each in company.projects if is_closed(each)]

    assert set(raw["project_id"]) == {each.id for each in company.projects} - {
        each.id for each in closed
    }
    assert tally.skipped_projects == [f"{each.path}: forbidden" for each in closed]


def test_configuration_that_the_server_does_not_merge(
    company: Company, run: Run, tmp_path: Path
) -> None:
    """Invalid or not permitted: a row says why, and the file is read instead."""
    run(tmp_path / "store")
    declared = open_store(tmp_path / "store").declared()
    gaps = declared[declared["resolution"] == "unread"]
    invalid = [each for each in company.projects if each.number % 19 == 8]
    refused = [each for each in company.projects if lint_forbidden(each) and each.ci_enabled]

    for projects, reason in ((invalid, "invalid (jobs:release"), (refused, "may not ask")):
        for project in projects:
            notes = gaps[gaps["project_id"] == project.id]["note"]
            assert any(reason in note for note in notes), project.path


@pytest.mark.parametrize("why", ["refused", "heavy", "too long on the way", "out of time"])
def test_without_an_archive_files_come_one_by_one(  # noqa: PLR0913, PLR0917 -- a night, and why
    company: Company,
    server: Server,
    run: Run,
    agrees: Callable[[pd.DataFrame], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    """The same rows, by the tree."""
    options = SnapshotOptions(max_archive=100 if why == "too long on the way" else 10**6)
    server.behaviour = Behaviour(
        archive_refused=why == "refused", tells_sizes=why != "too long on the way"
    )
    if why == "out of time":
        faults = Faults(rate=1.0, kinds=("error_500",), on=frozenset({"archive"}))
        server.behaviour = Behaviour(faults=(faults,))
        monkeypatch.setattr(RetryPolicy, "wait", lambda *_, **__: None)
    if why == "heavy":
        company.weights.update((each.id, 10**9) for each in company.projects)
    tally = run(tmp_path / "store", options=options)

    agrees(open_store(tmp_path / "store").declared())
    assert tally.by_tree == server.requests.counts["tree"] > 0
    assert (server.requests.counts["archive"] > 0) == (why != "heavy")


@pytest.mark.parametrize("searches", [True, False])
def test_of_a_tree_without_end_the_search_names_the_files(  # noqa: PLR0913, PLR0917 -- see above
    company: Company,
    server: Server,
    run: Run,
    rows_of: Callable[..., Any],
    truth_of: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    searches: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """Where the server has one; else a gap says that the rest was not read."""
    monkeypatch.setattr(reading, "MAX_TREE_PAGES", 1)
    project = company.projects[2]
    company.push(project.id, {f"a/{number:04}.txt": b"x" for number in range(120)})
    server.behaviour = Behaviour(archive_refused=True, blob_search=searches)
    run(tmp_path / "store")
    declared = open_store(tmp_path / "store").declared()
    found, planted = rows_of(declared, project.id), truth_of(company, project.id)
    mine = declared[declared["project_id"] == project.id]

    assert (found == planted) == searches
    assert found <= planted
    assert (mine["resolution"] == "unread").any()


def test_what_a_storm_breaks_another_try_mends(
    server: Server, run: Run, agrees: Callable[[pd.DataFrame], None], tmp_path: Path
) -> None:
    """Broken connections, cut bodies and failing servers change no row."""
    kinds: tuple[Fault, ...] = (
        *("reset", "reset_midbody", "truncated", "torn", "error_500", "cut_gzip"),
    )
    reads = frozenset({"branch", "lint", "archive"})
    faults = Faults(rate=0.2, kinds=kinds, on=reads, in_a_row=1)
    server.behaviour = Behaviour(faults=(faults,), gzip=True)
    tally = run(tmp_path / "store")

    assert tally.failures == []
    assert tally.retries > 0
    agrees(open_store(tmp_path / "store").declared())


def test_a_server_that_is_down_ends_the_run(
    server: Server, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many failures in a row are the server's; what was read stands in the store."""
    monkeypatch.setattr(whole_run, "HOPELESS", 5)
    server.when(
        "branch",
        6,
        lambda: setattr(
            server,
            "behaviour",
            Behaviour(faults=(Faults(rate=1.0, kinds=("nothing",), on=frozenset({"branch"})),)),
        ),
    )
    with pytest.raises(ServerError, match="5 times in a row"):
        run(tmp_path / "store", options=SnapshotOptions(concurrency=1))

    assert len(open_store(tmp_path / "store").declared()) > 0


def test_a_spent_budget_goes_on_where_it_ended(
    run: Run, digests: Callable[..., Any], tmp_path: Path
) -> None:
    """As often as it takes; the dataset is then what one run gives."""
    run(tmp_path / "whole")
    codes = []
    while (tally := run(tmp_path / "store", budget=Budget(18))).spent is not None:
        codes.append(tally.exit_code)

    assert set(codes) == {75}
    assert len(codes) > 1
    assert digests(tmp_path / "store" / "declared") == digests(tmp_path / "whole" / "declared")


class Killed(BaseException):
    """The run is over; its files are as they were."""


@pytest.mark.parametrize("step", [1, 6, 14, 15])
def test_killed_anywhere_the_next_run_makes_it_whole(
    run: Run, digests: Callable[..., Any], tmp_path: Path, step: int
) -> None:
    """The files of that moment, taken on by another run, give the bytes of a clean one."""
    run(tmp_path / "whole")
    store = tmp_path / "store"

    class Killer(Silence):
        steps = step

        def _step(self) -> None:
            self.steps -= 1
            if self.steps == 0:
                shutil.copytree(store, tmp_path / "killed")
                raise Killed

        def moved(self, tally: SnapshotTally) -> None:
            del tally
            self._step()

        def published(self, days: int, of: int) -> None:
            del days, of
            self._step()

    with pytest.raises(Killed):
        run(store, progress=Killer(), options=SnapshotOptions(concurrency=1))
    run(tmp_path / "killed")

    assert digests(tmp_path / "killed" / "declared") == digests(tmp_path / "whole" / "declared")


def test_the_same_day_twice_leaves_the_newer_snapshot(
    company: Company, run: Run, rows_of: Callable[..., Any], tmp_path: Path
) -> None:
    """A branch that moves within a day takes the place of its own snapshot, no other."""
    project = company.projects[2]
    run(tmp_path / "store")
    company.push(project.id, {"compose.yaml": b"services:\n  web:\n    image: nginx:1.27\n"})
    run(tmp_path / "store")
    declared = open_store(tmp_path / "store").declared()
    mine = declared[(declared["project_id"] == project.id) & (declared["kind"] == "compose")]

    assert mine["image"].tolist() == ["nginx:1.27"]
    assert declared["date"].nunique() <= 2
    other = company.projects[4].id
    assert rows_of(declared, other).total() == len(company.declared(other))


def test_a_newer_logminer_and_again_read_everything_again(
    company: Company, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of another version may see more; templates elsewhere may have changed."""
    first = run(tmp_path / "store")
    again = run(tmp_path / "store", options=replace(SnapshotOptions(), again=True))
    monkeypatch.setattr(snapshot_run, "__version__", "99.0")
    newer = run(tmp_path / "store")

    assert again.snapshots == newer.snapshots == first.snapshots > len(company.projects) / 2
    assert set(open_store(tmp_path / "store").declared()["inventory_version"]) == {"99.0"}


def test_an_inventory_is_no_success_of_a_harvest(run: Run, tmp_path: Path) -> None:
    """Complete as it may be, it brought no job up to date."""
    run(tmp_path)
    store = open_store(tmp_path)
    with store.read_ledger(store.sources()[0]) as ledger:
        assert ledger.runs(1)[0].exit_code == 0
        assert ledger.last_success() is None


def test_an_older_store_is_told_first_and_migrated_whole(run: Run, tmp_path: Path) -> None:
    """The marker names the version of the new files; old files of snapshots become today's."""
    store = Store.create(tmp_path)
    marker = tmp_path / "state" / "store.json"
    marker.write_text('{"format": "logminer store", "schema_version": 1}')
    run(tmp_path)
    told = store.versions()
    before, files = store.declared(), store.files("declared")
    for file in files:
        rows = pq.ParquetFile(file).read()
        pq.write_table(rows.replace_schema_metadata({"schema_version": "1"}), file)
    wanted = outdated(store)
    migrate(store, wanted)

    assert (told.oldest, told.newest) == (1, SCHEMA_VERSION)
    assert [each.table for each in wanted.files] == ["declared"] * len(files)
    assert outdated(store).files == ()
    assert store.versions().oldest == SCHEMA_VERSION
    pd.testing.assert_frame_equal(store.declared(), before)


def test_one_project_that_breaks_costs_no_other(company: Company, run: Run, tmp_path: Path) -> None:
    """A damaged archive is a failure of its project, which the next run reads again."""
    project = company.projects[2]
    company.packed[project.id] = b"\x1f\x8b\x08 and no more"
    tally = run(tmp_path / "store")
    declared = open_store(tmp_path / "store").declared()
    del company.packed[project.id]
    mended = run(tmp_path / "store")

    assert tally.exit_code == 3
    assert [each.partition(":")[0] for each in tally.failures] == [project.path]
    assert project.id not in set(declared["project_id"])
    assert mended.exit_code == 0
    assert mended.snapshots == 1


def test_a_bucket_holds_what_a_directory_does(
    run: Run,
    s3: Any,  # noqa: ANN401 -- of the conftest above
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same objects, the same view, and the same answer of the drift."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    run(tmp_path / "store")
    bucket = s3.bucket()
    run(f"s3://{bucket}")
    again = run(f"s3://{bucket}")
    local, remote = open_store(tmp_path / "store"), open_store(f"s3://{bucket}")
    objects = {
        name: content for name, content in s3.objects(bucket).items() if name.startswith("declared")
    }

    assert objects == {
        str(path.relative_to(tmp_path / "store")): path.read_bytes()
        for path in (tmp_path / "store" / "declared").rglob("*.parquet")
    }
    assert again.snapshots == 0
    pd.testing.assert_frame_equal(remote.declared(), local.declared())
    pd.testing.assert_frame_equal(drift.never_pulled(remote), drift.never_pulled(local))
