"""Every answer about a harvested company, against loops over what the simulator planted.

Nothing here reads the store but the verbs: what they must say is counted from `Company.truth`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from typer.testing import CliRunner

import logminer
from logminer import analysis
from logminer.cli.app import app
from logminer.simulator import Company, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from logminer.simulator.life import Job
    from logminer.simulator.planted import Planted
    from logminer.store import Store

HUB = "docker.io"
SIX_HOURS = dt.timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A planted image use and the job it belongs to."""

    use: Planted
    job: Job

    @property
    def moment(self) -> dt.datetime:
        """When the job was."""
        ms = self.job.created if self.job.started is None else self.job.started
        return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=ms)

    @property
    def name(self) -> tuple[str | None, str | None]:
        """The image's registry and repository, as asked for."""
        return self.use.registry, self.use.repository

    @property
    def truly(self) -> tuple[str | None, str | None]:
        """The same, seen through a proxy."""
        if self.use.upstream_registry is None:
            return self.name
        return self.use.upstream_registry, self.use.upstream_repository

    @property
    def pinned(self) -> bool:
        """Whether a digest is written."""
        return "@" in self.use.image


@pytest.fixture(scope="module")
def company() -> Company:
    """A company of a year with enough jobs for something to fail, too; read only."""
    return Company.generate(seed=1, today=dt.date(2026, 11, 23), days=360, projects=20, jobs=400)


@pytest.fixture(scope="module")
def facts(company: Company) -> list[Fact]:
    """Every image use that a harvest must find."""
    found = []
    for job_id, expected in company.truth().items():
        job = company.job(job_id)
        assert job is not None
        if expected.settled:  # what may still grow is left for the next harvest
            found += [Fact(use=use, job=job) for use in expected.planted]
    return found


@pytest.fixture(scope="module")
def store(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with everything in it that the company's server has."""
    path = tmp_path_factory.mktemp("answers") / "store"
    with serve(company) as server:
        end = CliRunner(env={"GITLAB_TOKEN": server.token}).invoke(
            app,
            ["harvest", "--all", "--store", str(path), "--url", server.url],
            catch_exceptions=False,
        )
    assert end.exit_code == 0
    return logminer.open(path)


def rows(frame: pd.DataFrame, *names: str) -> list[tuple[object, ...]]:
    """Return these columns as tuples of plain values, None for what is missing."""
    return [
        tuple(
            None if pd.isna(cell) else cell.to_pydatetime() if hasattr(cell, "value") else cell
            for cell in row
        )
        for row in frame[list(names)].itertuples(index=False)
    ]


def pulls(facts: Iterable[Fact]) -> int:
    """Count pulls."""
    return sum(fact.use.outcome == "pulled" for fact in facts)


def test_there_is_something_to_find(facts: list[Fact]) -> None:
    """The company does what the questions are about: else nothing below could fail."""
    assert len(facts) > 100
    assert any(fact.use.via for fact in facts)
    assert any(fact.pinned for fact in facts)
    assert any(fact.use.outcome == "failed" for fact in facts)
    assert any(fact.job.pipeline.source == "schedule" for fact in facts)


def test_exposure(store: Store, facts: list[Fact]) -> None:
    """Every job that depends on a name is there, with how often, how and when, and no other."""
    fits: dict[str, Callable[[str, str], bool]] = {
        "docker.io/library/*": lambda host, path: host == HUB and path.startswith("library/"),
        "bitnami": lambda host, path: host == HUB and path.startswith("bitnami/"),
        "quay.io": lambda host, _path: host == "quay.io",
        "docker": lambda host, path: (
            host == HUB and (path == "library/docker" or path.startswith("docker/"))
        ),
    }
    groups: dict[tuple[object, ...], list[Fact]] = defaultdict(list)
    for name, fit in fits.items():
        for fact in facts:
            names = (fact.name, fact.truly)
            if any(host and path and fit(host, path) for host, path in names):
                where = fact.job.project.id, fact.job.project.path, fact.job.template.name
                groups[name, *fact.truly, fact.use.via, *where].append(fact)
    expected = {
        (
            *key,
            len(group),
            sum(fact.job.pipeline.source == "schedule" for fact in group),
            pulls(group),
            sum(fact.use.outcome == "failed" for fact in group),
            len({fact.job.id for fact in group}),
            max(fact.moment for fact in group),
            len({fact.use.digest for fact in group} - {None}),
            ", ".join(sorted({fact.use.role for fact in group})),
            ", ".join(sorted({fact.job.pipeline.source for fact in group})),
        )
        for key, group in groups.items()
    }

    frame = analysis.exposure(store, fits)

    assert len(expected) > 20
    assert len({key[0] for key in groups}) > 2
    assert expected == set(
        rows(
            frame,
            *("name", "registry", "repository", "via", "project_id", "project_path", "job_name"),
            *("uses", "scheduled_uses", "pulls", "failed", "jobs", "last_seen", "digest_count"),
            *("roles", "pipeline_sources"),
        )
    )
    assert len(frame) == len(expected)


def test_docker_hub_pressure(store: Store, facts: list[Fact]) -> None:
    """A runner's windows count what reached Docker Hub from it, a proxy's what it must fetch."""
    asked: dict[tuple[object, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        use = fact.use
        if fact.truly[0] == HUB and use.downloaded is not False:
            if not use.pull_attempts and use.outcome != "pulled":
                continue
            start = fact.moment.replace(minute=0, second=0, microsecond=0)
            start = start.replace(hour=start.hour - start.hour % 6)
            runner = fact.job.runner
            direct = f"{runner.description} #{runner.id}" if use.via is None else None
            asked[start, direct, use.via, use.registry if use.via else None].append(fact)

    frame = analysis.docker_hub_pressure(store, limit=10_000)

    assert {
        (
            *key,
            pulls(group),
            len({reference(fact) for fact in group})
            if key[2]
            else sum(max(fact.use.pull_attempts, 1) for fact in group),
            len({fact.job.id for fact in group}),
        )
        for key, group in asked.items()
    } == set(rows(frame, "start", "runner", "via", "proxy", "pulls", "requests", "jobs"))
    assert (frame["peak"] >= frame["requests"]).all()
    assert frame["peak"].is_monotonic_decreasing


def reference(fact: Fact) -> tuple[object, ...]:
    """Return what tells two references apart: the digest where one is written, else the tag."""
    written = fact.use.image.partition("@")[2]
    return (*fact.name, written or fact.use.tag or "latest")


def test_proxy_bypass(store: Store, facts: list[Fact]) -> None:
    """Who goes to a registry directly that somebody reaches through a proxy."""
    named = [fact for fact in facts if fact.use.repository]
    proxied = {fact.truly[0] for fact in named if fact.use.via}
    direct: dict[tuple[object, ...], list[Fact]] = defaultdict(list)
    for fact in named:
        if fact.use.via is None and fact.use.registry in proxied:
            direct[(*fact.name, fact.job.project.path)].append(fact)
    through = Counter(fact.truly for fact in named if fact.use.via)

    frame = analysis.proxy_bypass(store)

    assert {
        (*key, len(group), pulls(group), through[key[0], key[1]])  # type: ignore[index]
        for key, group in direct.items()
    } == set(
        rows(
            frame,
            *("registry", "repository", "project_path"),
            *("direct_uses", "direct_pulls", "proxied_uses"),
        )
    )


def test_digest_drift(store: Store, facts: list[Fact]) -> None:
    """Each digest of a tag that had several, when it came and when the next one did."""
    seen: dict[tuple[object, ...], dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        if fact.use.digest and fact.use.repository and not fact.pinned:
            seen[(*fact.name, fact.use.tag or "latest")][fact.use.digest].append(fact)
    expected = set()
    for tag, digests in seen.items():
        order = sorted(
            (min(fact.moment for fact in group), digest) for digest, group in digests.items()
        )
        for place, (first, digest) in enumerate(order):
            if len(order) > 1:
                group = digests[digest]
                after = order[place + 1][0] if place + 1 < len(order) else None
                stale = sum(after is not None and fact.moment >= after for fact in group)
                projects = {fact.job.project.path for fact in group}
                seen_by = len(projects), ", ".join(sorted(projects)[:10])
                expected.add((*tag, digest, len(order), first, after, len(group), stale, *seen_by))

    frame = analysis.digest_drift(store, limit=10_000)

    assert expected
    assert expected == set(
        rows(
            frame,
            *("registry", "repository", "tag", "digest", "digests", "first_seen", "replaced_at"),
            *("uses", "stale_uses", "projects", "seen_by"),
        )
    )


@pytest.mark.parametrize("split", ["registry", "repository", "project", "role", "runner"])
def test_splits(store: Store, facts: list[Fact], split: analysis.Split) -> None:
    """Unpinned and pulled, for each group: the same loops for every split."""

    def group_of(fact: Fact) -> str | None:
        return {
            "registry": fact.use.registry,
            "repository": fact.use.registry and f"{fact.use.registry}/{fact.use.repository}",
            "project": fact.job.project.path,
            "role": fact.use.role,
            "runner": f"{fact.job.runner.description} #{fact.job.runner.id}",
        }[split]

    groups: dict[str | None, list[Fact]] = defaultdict(list)
    months: Counter[tuple[dt.date, str | None]] = Counter()
    for fact in facts:
        months[fact.moment.date().replace(day=1), group_of(fact)] += fact.use.outcome == "pulled"
        if fact.use.registry:
            groups[group_of(fact)].append(fact)

    frame = analysis.unpinned(store, split=split, limit=10_000)

    assert {
        (
            name,
            len(group),
            sum(fact.pinned for fact in group),
            sum(not fact.pinned and fact.use.tag == "latest" for fact in group),
            sum(not fact.pinned and fact.use.tag is None for fact in group),
            len({fact.job.project.id for fact in group if not fact.pinned}),
        )
        for name, group in groups.items()
    } == set(rows(frame, split, "uses", "pinned", "latest", "untagged", "projects"))

    over_time = analysis.pulls_over_time(store, by="month", split=split, limit=10_000)
    assert {(*key, count) for key, count in months.items() if count} == {
        (start.date(), name, count)  # type: ignore[attr-defined]
        for start, name, count in rows(over_time, "start", split, "pulls")
        if count
    }


def test_failed_pulls_over_time(store: Store, facts: list[Fact]) -> None:
    """Every month's failures, by registry and kind, and those that were got over."""
    found: dict[tuple[object, ...], list[Fact]] = defaultdict(list)
    for fact in facts:
        use = fact.use
        got = use.outcome in {"used", "present", "pulled"}
        if use.outcome == "failed" or (got and use.error_kind):
            found[fact.moment.date().replace(day=1), use.registry, use.error_kind].append(fact)

    frame = analysis.failed_pulls_over_time(store, by="month")

    assert found
    assert {
        (*key, sum(fact.use.outcome == "failed" for fact in group), len({f.job.id for f in group}))
        for key, group in found.items()
    } == {
        (row[0].date(), *row[1:])  # type: ignore[attr-defined]
        for row in rows(frame, "start", "registry", "error_kind", "failed", "jobs")
    }


def test_new_gone_and_unused(store: Store, facts: list[Fact], company: Company) -> None:
    """What was used in one quarter and not in the other; what was not used for 90 days."""
    edges = [dt.datetime(2026, month, 1, tzinfo=dt.UTC) for month in (4, 7, 10)]
    before, now = (
        {fact.name for fact in facts if fact.use.repository and since <= fact.moment < until}
        for since, until in pairwise(edges)
    )
    last: dict[tuple[object, ...], dt.datetime] = {}
    for fact in facts:
        if fact.use.repository:
            last[fact.name] = max(last.get(fact.name, fact.moment), fact.moment)

    change = analysis.new_and_gone(store, period="2026-Q3")
    unused = analysis.first_and_last_seen(store, unused_for=90, now=company.now)

    assert {("new", *name) for name in now - before} | {
        ("gone", *name) for name in before - now
    } == set(rows(change, "change", "registry", "repository"))
    assert {
        (*name, moment)
        for name, moment in last.items()
        if company.now - moment >= dt.timedelta(days=90, hours=1)
    } <= set(rows(unused, "registry", "repository", "last_seen"))
    assert all(
        company.now - moment >= dt.timedelta(days=89, hours=23)  # type: ignore[operator]
        for (moment,) in rows(unused, "last_seen")
    )


def test_gaps(store: Store, company: Company) -> None:
    """Every log that could not be read, by the reason."""
    states = Counter(each.trace_state for each in company.truth().values() if each.settled)
    del states["ok"]

    frame = analysis.gaps(store)

    counted = frame[frame["gap"].isin(list(states))].groupby("gap")["jobs"].sum()
    assert dict(states) == counted.to_dict()
    assert states


def test_evidence_leads_to_the_line(store: Store, facts: list[Fact], company: Company) -> None:
    """The address names a job of the row and a line of its log that names the image."""
    frame = analysis.top_repositories(store, limit=5)
    for _, repository, address in rows(frame, "registry", "repository", "evidence"):
        page, line = str(address).split("#L")
        job_id = int(page.rpartition("/")[2])
        text = company.trace(job_id).split(b"\n")[int(line) - 1]
        assert any(fact.job.id == job_id and fact.use.repository == repository for fact in facts)
        assert str(repository).removeprefix("library/").encode() in text

    every = analysis.evidence(store, limit=10_000)
    assert len(every) == len(facts)
    failed = analysis.evidence(store, outcome="failed", registry=HUB)
    assert len(failed) == sum(
        fact.use.outcome == "failed" and fact.use.registry == HUB for fact in facts
    )


def test_query(store: Store, facts: list[Fact]) -> None:
    """A statement counts the same rows."""
    frame = analysis.query(store, "select role, outcome, count(*) n from images group by all")

    assert Counter((fact.use.role, fact.use.outcome) for fact in facts) == {
        (role, outcome): n for role, outcome, n in rows(frame, "role", "outcome", "n")
    }
