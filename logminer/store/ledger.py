"""The ledger: which jobs are known, which still change, which wait, and what is not yet published.

One SQLite file for each source. A job that it knows is in exactly one state:

    open ──▶ queued ──commit──▶ done
      │        ▲  │
      │        │  └─commit, skipped──▶ asleep ──woken──▶ open or queued
      └─▶ gone └── the newest listing is believed, until the job is done

* asleep: the job was skipped, and has its row. When what it waited for is retried, GitLab wakes it
  under the same id (ResetSkippedJobsService), so its pipeline is watched like an open job's, from
  the moment it is queued.
* gone: the server forgot the job before it ended. Nobody can say what it did: it has no row.

One row holds a job whatever its state, so it cannot be in two. The row of a done job is its id and
little else (about 20 bytes), because a ledger may hold ten million of them; as INTEGER PRIMARY KEY
the id is the key of the table's own b-tree, so a second index, which WITHOUT ROWID saves for other
keys, does not exist here.

Every public method that has something to write is one transaction, the others are none: each costs
a few flushes of the disk, and an ordinary night asks thousands of projects that have nothing new.

Methods may be called from any thread; one runs at a time.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

from logminer.errors import StoreError
from logminer.model import Project
from logminer.store.codec import (
    decode_harvested,
    decode_job,
    decode_time,
    encode_harvested,
    encode_job,
    encode_time,
)
from logminer.store.lock import Lock
from logminer.store.tables import adopt, atomic, connect, look, one_line

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from logminer.model import Harvested, Job
    from logminer.store.sheaf import Sheaf

_KEPT_RUNS: Final = 1_000
"""Runs remembered: three years of nights."""

_SKIPPED: Final = "skipped"
"""The one status that ends a job and may be left again under the same id."""

_AT_ONCE: Final = 64
"""Most rows that one statement writes, a power of two. SQLite keeps what it has compiled, for each
number of rows anew: 20 MB where any number up to 512 occurs."""

# A cross join, because SQLite then looks jobs up by what was said, never the other way round.
_WITHDRAW: Final = """
    WITH said (id, day) AS (VALUES {rows})
    INSERT INTO withdrawn (job_id, day)
    SELECT job.id, job.day FROM said CROSS JOIN job ON job.id = said.id
    WHERE job.day <> said.day ON CONFLICT (job_id) DO NOTHING
"""
"""Where the rows of these jobs stood, if not on these days: they are taken back there."""

_Values: TypeAlias = tuple[Any, ...]
"""A row as SQLite gives it; STRICT tables vouch for the types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """How far the jobs of a project have been listed."""

    watermark: int | None = None
    """The job id up to which every job is stored; None before the first complete listing."""
    ceiling: int | None = None
    """The newest job id when the unfinished listing began; None if none is unfinished."""
    cursor: str | None = None
    """Where the unfinished listing goes on; None if none is unfinished."""
    since: dt.datetime | None = None
    """`created_at` of the oldest jobs that are completely covered; None means everything."""
    checked_at: dt.datetime | None = None
    """Time of the server when the open jobs were last re-checked; None if never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedJob:
    """A job that may change: it had not ended when it was last seen, or is asleep."""

    id: int
    pipeline_id: int | None
    pipeline_source: str | None = None
    """What started its pipeline; None where the server did not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCounts:
    """What the ledger knows of one project."""

    project_id: int
    path: str
    listing: Listing
    open: int
    queued: int
    done: int
    """Includes the pending ones, and those asleep."""
    gone: int
    pending: int
    """Done, and not yet in the Parquet files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One harvest, as it is remembered."""

    id: str
    began: dt.datetime
    ended: dt.datetime | None
    """None while it runs, and for ever where it was killed."""
    exit_code: int | None
    tally: Mapping[str, Any]
    """What it did, by names; empty where it did not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one outcome writes."""

    job_id: int
    project_id: int
    path: str
    day: str
    outcome: str
    state: _Values
    """The job's row."""
    skipped: str | None
    """The description of a job that was skipped; None of any other."""

    @classmethod
    def of(cls, harvested: Harvested) -> Self:
        job, day = harvested.job, harvested.job.date.isoformat()
        skipped = job.status == _SKIPPED
        asleep = (job.pipeline_id or 0, job.pipeline_source, day)
        return cls(
            job_id=job.id,
            project_id=job.project_id,
            path=job.project_path,
            day=day,
            outcome=encode_harvested(harvested),
            state=(
                (job.id, job.project_id, "asleep", *asleep)
                if skipped
                else (job.id, job.project_id, "done", None, None, None)
            ),
            skipped=encode_job(job) if skipped else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one transaction records, as the file keeps it.

    Made apart from being written, because making it is Python and writing it is SQLite: an event
    loop that waits for another thread's Python loses five milliseconds at each system call.
    """

    outcomes: tuple[_Outcome, ...]
    requeued: tuple[_Values, ...]

    @classmethod
    def of(cls, batch: Iterable[Harvested], *, requeue: Iterable[Job] = ()) -> Self:
        """Return a batch of outcomes, and of jobs that stay queued."""
        return cls(
            outcomes=tuple(map(_Outcome.of, batch)),
            requeued=tuple((encode_job(job), job.id) for job in requeue),
        )


class LedgerView:
    """The questions a ledger answers; `Ledger.read` gives one without taking the lock."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Wrap an open connection; `Ledger.open` and `Ledger.read` make one."""
        self.path = path
        self._connection = connection
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the ledger."""
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._turn:
            self._connection.close()

    @property
    def source(self) -> str:
        """The source whose progress this is: the name of its Parquet files."""
        return self.path.stem

    def watched(self, project_id: int) -> tuple[WatchedJob, ...]:
        """Return the jobs of a project that may change, oldest first."""
        rows = self._rows(
            "SELECT id, pipeline_id, pipeline_source FROM job"
            " WHERE pipeline_id IS NOT NULL AND project_id = ? ORDER BY id",
            (project_id,),
        )
        return tuple(
            WatchedJob(id=job, pipeline_id=pipeline or None, pipeline_source=source)
            for job, pipeline, source in rows
        )

    def states(self, job_ids: Iterable[int]) -> dict[int, str]:
        """Return the states of those of the jobs that are known."""
        rows = self._rows(
            "SELECT id, state FROM job WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(job_ids)),),
        )
        return dict(rows)

    def projects(self) -> dict[Project, Listing]:
        """Return every project that was ever listed, by id, and how far."""
        rows = self._rows(
            "SELECT id, path, watermark, ceiling, cursor, since, checked_at FROM project"
            " ORDER BY id"
        )
        return {
            Project(id=number, path=path): _listing(tuple(listing))
            for number, path, *listing in rows
        }

    def count_queued(self) -> int:
        """Return how many jobs are queued."""
        return self._count("SELECT count(*) FROM job WHERE state = 'queued'")

    def count_open(self) -> int:
        """Return how many jobs had not ended when they were last seen."""
        # The first condition is that of the index: nothing else is read.
        return self._count(
            "SELECT count(*) FROM job WHERE pipeline_id IS NOT NULL AND state = 'open'"
        )

    def runs(self, limit: int) -> list[Run]:
        """Return the last runs, newest first."""
        rows = self._rows(
            "SELECT id, began, ended, exit_code, tally FROM run ORDER BY rowid DESC LIMIT ?",
            (limit,),
        )
        return [_run(row) for row in rows]

    def last_success(self) -> Run | None:
        """Return the last harvest that was complete; None if none was.

        One that only read old logs again, or what is declared, brought no job up to date.
        """
        rows = self._rows(
            "SELECT id, began, ended, exit_code, tally FROM run WHERE exit_code = 0"
            " AND NOT coalesce(json_extract(tally, '$.reparse'), 0)"
            " AND NOT coalesce(json_extract(tally, '$.inventory'), 0) ORDER BY rowid DESC LIMIT 1"
        )
        return _run(rows[0]) if rows else None

    def take(self, limit: int, *, after: int | None = None) -> list[Job]:
        """Return at most `limit` queued jobs with ids above `after`; they stay queued.

        Oldest first: their logs are the next to be deleted on the server.
        """
        rows = self._rows(
            "SELECT description FROM job WHERE state = 'queued' AND id > ? ORDER BY id LIMIT ?",
            (-1 if after is None else after, limit),
        )
        return [decode_job(description) for (description,) in rows]

    def take_newest(self, limit: int, *, before: int | None = None) -> list[Job]:
        """Return at most `limit` queued jobs with ids below `before`, newest first."""
        rows = self._rows(
            "SELECT description FROM job WHERE state = 'queued' AND id < coalesce(?, id + 1)"
            " ORDER BY id DESC LIMIT ?",
            (before, limit),
        )
        return [decode_job(description) for (description,) in rows]

    def described(self, job_ids: Iterable[int]) -> list[Job]:
        """Return those of the jobs that are queued, by id."""
        rows = self._rows(
            "SELECT description FROM job WHERE state = 'queued'"
            " AND id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(job_ids)),),
        )
        return [decode_job(description) for (description,) in rows]

    def pending_days(self) -> list[dt.date]:
        """Return the days that have outcomes to publish or rows to take back, oldest first."""
        rows = self._rows("SELECT day FROM pending UNION SELECT day FROM withdrawn ORDER BY day")
        return [dt.date.fromisoformat(day) for (day,) in rows]

    def pending(
        self, first: dt.date, limit: int, *, after: int | None = None
    ) -> list[tuple[dt.date, Harvested]]:
        """Return at most `limit` outcomes to publish, by day and job id, from a day on.

        Of this day those with ids above `after`. In slices, because a first harvest may hold more
        than memory does.
        """
        # In two parts, or the day would be gone through from its beginning each time.
        rows = self._rows(
            "SELECT day, outcome, job_id FROM pending WHERE day = ?1 AND job_id > ?2"
            " AND outcome IS NOT NULL UNION ALL"
            " SELECT day, outcome, job_id FROM pending WHERE day > ?1 AND outcome IS NOT NULL"
            " ORDER BY day, job_id LIMIT ?3",
            (first.isoformat(), -1 if after is None else after, limit),
        )
        return [(dt.date.fromisoformat(day), decode_harvested(outcome)) for day, outcome, _ in rows]

    def count_bound(self) -> int:
        """Return of how many jobs rows wait bound in sheaves."""
        return self._count("SELECT count(*) FROM pending WHERE sheaf IS NOT NULL")

    def bound_days(self, first: dt.date) -> list[tuple[dt.date, int]]:
        """Return the days from `first` on of which rows wait bound in sheaves: of how many jobs."""
        rows = self._rows(
            "SELECT day, count(*) FROM pending WHERE sheaf IS NOT NULL AND day >= ?"
            " GROUP BY day ORDER BY day",
            (first.isoformat(),),
        )
        return [(dt.date.fromisoformat(day), jobs) for day, jobs in rows]

    def bound(self, first: dt.date, last: dt.date) -> dict[dt.date, list[int]]:
        """Return the jobs that wait bound in a span of days, by day, both in order."""
        rows = self._rows(
            "SELECT day, job_id FROM pending WHERE sheaf IS NOT NULL"
            " AND day BETWEEN ? AND ? ORDER BY day, job_id",
            (first.isoformat(), last.isoformat()),
        )
        days = groupby(rows, itemgetter(0))
        return {dt.date.fromisoformat(day): [job_id for _, job_id in jobs] for day, jobs in days}

    def bound_sheaves(self) -> list[tuple[int, int]]:
        """Return the sheaves of which rows wait, in the order in which they were stored.

        With each, of how many jobs.
        """
        return self._rows(
            "SELECT sheaf, count(*) FROM pending WHERE sheaf IS NOT NULL GROUP BY sheaf ORDER BY 1"
        )

    def days_bound(self, job_ids: Iterable[int], *, sheaf: int | None = None) -> dict[int, str]:
        """Return the days of those of the jobs whose rows wait in a sheaf, or in this one."""
        rows = self._rows(
            "SELECT job_id, day FROM pending WHERE job_id IN (SELECT value FROM json_each(?))"
            " AND sheaf IS NOT NULL AND sheaf = coalesce(?, sheaf)",
            (json.dumps(list(job_ids)), sheaf),
        )
        return dict(rows)

    def sheaf(self, number: int) -> tuple[bytes, bytes]:
        """Return the rows of `images` and of `jobs` that are bound in a sheaf, packed."""
        ((images, jobs),) = self._rows("SELECT images, jobs FROM sheaf WHERE id = ?", (number,))
        return images, jobs

    def unpublished(self, job_ids: Iterable[int]) -> set[int]:
        """Return those of the jobs whose outcomes are recorded and not yet published."""
        rows = self._rows(
            "SELECT job_id FROM pending WHERE job_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(job_ids)),),
        )
        return {job_id for (job_id,) in rows}

    def lost(self, job_ids: Iterable[int]) -> set[int]:
        """Return those of the jobs whose traces are known to be gone since they were read."""
        rows = self._rows(
            "SELECT job_id FROM lost WHERE job_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(job_ids)),),
        )
        return {job_id for (job_id,) in rows}

    def withdrawn(self, day: dt.date) -> list[int]:
        """Return the jobs whose rows are to be taken back from a day, by id."""
        rows = self._rows(
            "SELECT job_id FROM withdrawn WHERE day = ? ORDER BY job_id", (day.isoformat(),)
        )
        return [job_id for (job_id,) in rows]

    def counts(self) -> list[ProjectCounts]:
        """Return how many jobs of each project are in which state, by path.

        Reads one small row for each job ever seen: some seconds for ten million.
        """
        rows = self._rows(
            """
            SELECT id, path, watermark, ceiling, cursor, since, checked_at,
                   coalesce(opened, 0), coalesce(queued, 0), coalesce(done, 0),
                   coalesce(gone, 0), coalesce(waiting, 0)
            FROM project
            LEFT JOIN (
                SELECT project_id, sum(state = 'open') AS opened, sum(state = 'queued') AS queued,
                       sum(state IN ('done', 'asleep')) AS done, sum(state = 'gone') AS gone
                FROM job GROUP BY project_id
            ) AS known ON known.project_id = project.id
            LEFT JOIN (
                SELECT project_id, count(*) AS waiting FROM pending GROUP BY project_id
            ) AS late ON late.project_id = project.id
            ORDER BY path, id
            """
        )
        return [
            ProjectCounts(
                project_id=project_id,
                path=path,
                listing=_listing(tuple(listing)),
                open=opened,
                queued=queued,
                done=done,
                gone=gone,
                pending=pending,
            )
            for project_id, path, *listing, opened, queued, done, gone, pending in rows
        ]

    def ask(self, sql: str, parameters: tuple[object, ...] = ()) -> list[_Values]:
        """Return the rows of a question of this room's about tables of its own: see `snapshots`."""
        return self._rows(sql, parameters)

    def _count(self, sql: str) -> int:
        ((number,),) = self._rows(sql)
        return int(number)

    def _rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[_Values]:
        with self._turn, one_line(self.path):
            return self._connection.execute(sql, parameters).fetchall()


class Held(Protocol):
    """A lock that is held."""

    def release(self) -> None:
        """Let the next writer in; a second call does nothing."""
        ...


class Ledger(LedgerView):
    """The ledger of one source, held by its one writer."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: Held) -> None:
        """Wrap an open connection and the lock that goes with it; `open` makes one."""
        super().__init__(path, connection)
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` for writing, and create it if there is none.

        Takes the source's lock, brings a file of an older logminer up to date, and removes what a
        killed writer left in `aside`.
        Raises BusyError, which names the holder, and StoreError for a file that is damaged, foreign
        or from a newer logminer.
        """
        lock = Lock(path.with_suffix(".lock"))
        try:
            connection = connect(path, "rwc")
            try:
                # Some systems' SQLite overwrites with zeros what is deleted, though files beside it
                # hold the same: forgetting sheaves took six times as long.
                connection.execute("PRAGMA secure_delete = OFF")
                adopt(path, connection)
                ledger = cls(path, connection, lock)
                shutil.rmtree(ledger.aside, ignore_errors=True)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.release()
            raise
        return ledger

    @staticmethod
    def read(path: Path) -> LedgerView:
        """Open the ledger at `path` to look at it, also while a harvest is writing.

        Raises StoreError if there is none or it cannot be read.
        """
        if not path.is_file():
            raise StoreError(f"there is no ledger at {path}: nothing was harvested into it yet")
        # Opened for writing where that is permitted: only so can SQLite roll back what a killed
        # harvest left half written.
        connection = connect(path, "rw")
        try:
            look(path, connection)
        except BaseException:
            connection.close()
            raise
        return LedgerView(path, connection)

    def close(self) -> None:
        """Close the file and give back the lock; a second call does nothing."""
        super().close()
        self._lock.release()

    def confirm(self) -> None:
        """Raise BusyError unless the lock is still held; the kernel takes none away."""

    def conflicted(self) -> None:
        """Raise BusyError if that somebody else has written means that the lock is lost."""

    def checkpoint(self) -> None:
        """Bring what is recorded to where the next run finds it; every transaction does."""

    @property
    def aside(self) -> Path:
        """A directory for files in the making: the lock's holder's own, and no reader's."""
        return self.path.parent / "tmp" / self.source

    def listing(self, project: Project) -> Listing:
        """Return how far a project was listed; learn the new path of one that was renamed."""
        rows = self._rows(
            "SELECT path, watermark, ceiling, cursor, since, checked_at FROM project WHERE id = ?",
            (project.id,),
        )
        if not rows:
            return Listing()
        path, *listing = rows[0]
        if path != project.path:
            with self._transaction() as connection:
                connection.execute(
                    "UPDATE project SET path = ? WHERE id = ?", (project.path, project.id)
                )
        return _listing(tuple(listing))

    def store_page(self, project: Project, jobs: Iterable[Job], listing: Listing) -> None:
        """Keep one page of jobs, together with how far the listing has come by it.

        Final jobs are queued, the others are open; a job that is done stays done, and one that is
        asleep stays asleep while the server calls it skipped.
        `listing` replaces what is known: with the ceiling, and the cursor of the next page, while
        pages are left; with the ceiling as the new watermark, and neither of them, when this page
        was the last one.
        """
        with self._transaction() as connection:
            _know(connection, project.id, jobs)
            connection.execute(
                "INSERT INTO project (id, path, watermark, ceiling, cursor, since, checked_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
                " SET path = excluded.path, watermark = excluded.watermark,"
                " ceiling = excluded.ceiling, cursor = excluded.cursor, since = excluded.since,"
                " checked_at = excluded.checked_at",
                (
                    project.id,
                    project.path,
                    listing.watermark,
                    listing.ceiling,
                    listing.cursor,
                    encode_time(listing.since),
                    encode_time(listing.checked_at),
                ),
            )

    def settle(
        self,
        project_id: int,
        jobs: Iterable[Job],
        *,
        gone: Iterable[int] = (),
        checked_at: dt.datetime | None,
    ) -> None:
        """Keep what a re-check of watched jobs found: final ones are queued, others stay open.

        `gone` names watched jobs that the server has forgotten; what has a row keeps it.
        `checked_at` is the server's time at the beginning of the re-check; None while more of it
        is to come, so that a re-check that was cut off is not taken for a whole one.
        """
        with self._transaction() as connection:
            _know(connection, project_id, jobs)
            connection.executemany(
                "UPDATE job SET state = CASE WHEN day IS NULL THEN 'gone' ELSE 'done' END,"
                " pipeline_id = NULL, pipeline_source = NULL, day = NULL"
                " WHERE id = ? AND state IN ('open', 'asleep')",
                ((job_id,) for job_id in gone),
            )
            if checked_at is not None:
                _change(
                    connection,
                    "UPDATE project SET checked_at = ? WHERE id = ?",
                    (encode_time(checked_at), project_id),
                )

    def restore(self, project_id: int, jobs: Iterable[Job]) -> None:
        """Queue jobs whose rows are missing from the dataset, whatever is known of them."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO job (id, project_id, state, description) VALUES (?, ?, 'queued', ?)"
                " ON CONFLICT (id) DO UPDATE SET state = 'queued', pipeline_id = NULL,"
                " pipeline_source = NULL, description = excluded.description",
                ((job.id, project_id, encode_job(job)) for job in jobs),
            )

    def commit(self, batch: Sequence[Harvested], *, requeue: Sequence[Job] = ()) -> None:
        """Record outcomes: their jobs are done, their rows wait to be published.

        `requeue` names jobs that were looked at and may still grow: they stay in the queue, under
        the description given here. An outcome of a job that is already done replaces the old one;
        it must lie on the same day. That of a job that was asleep may lie on another one: its row
        is then taken back where it was. One that was woken since it was read is not taken in.
        """
        self.write(Batch.of(batch, requeue=requeue))

    def write(self, batch: Batch) -> None:
        """Record a batch as `commit` does."""
        with self._transaction() as connection:
            outcomes = [each for each in batch.outcomes if _still_so(connection, each)]
            connection.executemany(
                "INSERT INTO project (id, path) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                {(each.project_id, each.path) for each in outcomes},
            )
            _write(
                connection,
                "INSERT INTO pending (job_id, project_id, day, outcome) VALUES {rows}"
                " ON CONFLICT (job_id) DO UPDATE"
                " SET day = excluded.day, outcome = excluded.outcome, sheaf = NULL",
                ((each.job_id, each.project_id, each.day, each.outcome) for each in outcomes),
            )
            _write(connection, _WITHDRAW, ((each.job_id, each.day) for each in outcomes))
            _write(
                connection,
                "INSERT INTO job (id, project_id, state, pipeline_id, pipeline_source, day)"
                " VALUES {rows} ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
                " pipeline_id = excluded.pipeline_id, pipeline_source = excluded.pipeline_source,"
                " day = excluded.day, description = NULL",
                (each.state for each in outcomes),
            )
            connection.executemany(
                "UPDATE job SET description = ? WHERE id = ? AND state = 'queued'", batch.requeued
            )

    def store_sheaves(self, sheaves: Iterable[Sheaf]) -> None:
        """Record what was read from an archive: its jobs are done, its rows wait to be published.

        A job that is done already keeps what it has.
        """
        with self._transaction() as connection:
            found: dict[int, _Values] = {}
            for each in sheaves:
                connection.executemany(
                    "INSERT INTO project (id, path) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                    each.projects,
                )
                sheaf = connection.execute(
                    "INSERT INTO sheaf (images, jobs) VALUES (?, ?)", each.rows
                ).lastrowid
                for job_id, project_id, day in each.jobs:
                    found.setdefault(job_id, (day, job_id, project_id, sheaf))
            known = self.states(found)
            # In the order of the index: a page is found and changed once for many rows.
            jobs = sorted(each for each in found.values() if known.get(each[1]) != "done")
            _write(
                connection,
                "INSERT INTO pending (day, job_id, project_id, sheaf) VALUES {rows}"
                " ON CONFLICT (job_id) DO UPDATE"
                " SET day = excluded.day, outcome = NULL, sheaf = excluded.sheaf",
                jobs,
            )
            _write(
                connection,
                _WITHDRAW,
                ((job_id, day) for day, job_id, _, _ in jobs if job_id in known),
            )
            _write(
                connection,
                "INSERT INTO job (id, project_id, state) VALUES {rows}"
                " ON CONFLICT (id) DO UPDATE SET state = 'done', pipeline_id = NULL,"
                " pipeline_source = NULL, day = NULL, description = NULL",
                ((job_id, project_id, "done") for _, job_id, project_id, _ in jobs),
            )

    def forget_sheaves(self) -> None:
        """Forget the sheaves of which every row is published."""
        if self._count("SELECT EXISTS (SELECT 1 FROM sheaf)"):
            with self._transaction() as connection:
                connection.execute(
                    "DELETE FROM sheaf WHERE id NOT IN"
                    " (SELECT sheaf FROM pending WHERE sheaf IS NOT NULL)"
                )

    def lose(self, job_ids: Iterable[int]) -> None:
        """Remember jobs whose traces are gone since they were read; their rows stay."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO lost (job_id) VALUES (?) ON CONFLICT (job_id) DO NOTHING",
                ((job_id,) for job_id in job_ids),
            )

    def published(self, days: Mapping[dt.date, Iterable[int]]) -> None:
        """Forget the outcomes of days that now stand in the Parquet files, or no longer do."""
        with self._transaction() as connection:
            for day, job_ids in days.items():
                done = (day.isoformat(), json.dumps(list(job_ids)))
                for table in ("pending", "withdrawn"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE day = ?"  # noqa: S608 -- names of our own
                        " AND job_id IN (SELECT value FROM json_each(?))",
                        done,
                    )

    def begin_run(self, run_id: str, began: dt.datetime) -> None:
        """Remember that a run has begun, and forget very old ones."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO run (id, began) VALUES (?, ?)", (run_id, encode_time(began))
            )
            connection.execute(
                "DELETE FROM run WHERE rowid NOT IN"
                " (SELECT rowid FROM run ORDER BY rowid DESC LIMIT ?)",
                (_KEPT_RUNS,),
            )

    def end_run(
        self, run_id: str, ended: dt.datetime, *, exit_code: int, tally: Mapping[str, Any]
    ) -> None:
        """Remember how a run ended, and what it did."""
        with self._transaction() as connection:
            _change(
                connection,
                "UPDATE run SET ended = ?, exit_code = ?, tally = ? WHERE id = ?",
                (encode_time(ended), exit_code, json.dumps(tally), run_id),
            )

    def change(self) -> AbstractContextManager[sqlite3.Connection]:
        """Begin a transaction on tables of this room's own, which is made wholly or not at all."""
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Make what happens inside happen wholly or not at all."""
        with self._turn, one_line(self.path), atomic(self._connection):
            yield self._connection


def _know(connection: sqlite3.Connection, project_id: int, jobs: Iterable[Job]) -> None:
    """Queue final jobs and open the others, except those that are done or sleep on."""
    _write(
        connection,
        "WITH said (id, project_id, state, pipeline_id, pipeline_source, description, skipped)"
        " AS (VALUES {rows}) INSERT INTO job"
        " (id, project_id, state, pipeline_id, pipeline_source, description)"
        " SELECT id, project_id, state, pipeline_id, pipeline_source, description FROM said"
        " WHERE NOT (skipped AND EXISTS"
        " (SELECT 1 FROM job WHERE id = said.id AND state = 'asleep'))"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
        " pipeline_id = excluded.pipeline_id, pipeline_source = excluded.pipeline_source,"
        " description = excluded.description WHERE state <> 'done'",
        (
            (
                job.id,
                project_id,
                "queued" if job.is_final else "open",
                (job.pipeline_id or 0) if _may_change(job) else None,
                job.pipeline_source if _may_change(job) else None,
                encode_job(job) if job.is_final else None,
                job.status == _SKIPPED,
            )
            for job in jobs
        ),
    )


def _write(connection: sqlite3.Connection, sql: str, rows: Iterable[_Values]) -> None:
    """Write rows, which stand in `sql` for `{rows}`, many in a statement.

    `executemany` lets another thread go first at each row, and a busy event loop gives the turn
    back after five milliseconds.
    """
    left, at = list(rows), 0
    while at < len(left):
        # The greatest power of two that there are, so that few numbers occur.
        some = left[at : at + min(_AT_ONCE, 1 << ((len(left) - at).bit_length() - 1))]
        at += len(some)
        row = f"({', '.join('?' * len(some[0]))})"
        marks = ", ".join([row] * len(some))
        connection.execute(sql.replace("{rows}", marks), list(chain.from_iterable(some)))


def _may_change(job: Job) -> bool:
    return not job.is_final or job.status == _SKIPPED


def _still_so(connection: sqlite3.Connection, outcome: _Outcome) -> bool:
    """Whether nothing newer is known of a job than that it was skipped; others never change."""
    if outcome.skipped is None:
        return True
    row = connection.execute(
        "SELECT state, description FROM job WHERE id = ?", (outcome.job_id,)
    ).fetchone()
    return row is None or row == ("queued", outcome.skipped) or row[0] in {"done", "asleep"}


def _change(connection: sqlite3.Connection, sql: str, parameters: tuple[object, ...]) -> None:
    """Change one row; that it exists is the caller's duty."""
    if connection.execute(sql, parameters).rowcount != 1:
        raise ValueError("its row does not exist: store_page or begin_run comes first")


def _listing(row: _Values) -> Listing:
    watermark, ceiling, cursor, since, checked_at = row
    return Listing(
        watermark=watermark,
        ceiling=ceiling,
        cursor=cursor,
        since=decode_time(since),
        checked_at=decode_time(checked_at),
    )


def _run(row: _Values) -> Run:
    run_id, began, ended, exit_code, tally = row
    return Run(
        id=run_id,
        began=dt.datetime.fromisoformat(began),
        ended=decode_time(ended),
        exit_code=exit_code,
        tally=json.loads(tally) if tally else {},
    )
