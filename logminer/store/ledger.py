"""The ledger: which jobs are known, which still change, which wait, and what is not yet published.

One SQLite file for each source. A job that it knows is in exactly one state:

    open ──settle──▶ queued ──commit──▶ done
      ▲                 │
      └───store_page────┘   the newest listing is believed, until the job is done

One row holds a job whatever its state, so it cannot be in two. The row of a done job is its id and
little else (about 20 bytes), because a ledger may hold ten million of them; as INTEGER PRIMARY KEY
the id is the key of the table's own b-tree, so a second index, which WITHOUT ROWID saves for other
keys, does not exist here.

Every public method that has something to write is one transaction, the others are none: each costs
a few flushes of the disk, and an ordinary night asks thousands of projects that have nothing new.
Durability: the rollback journal with `synchronous=EXTRA`,
which also flushes the directory after each commit, so that neither kill -9 nor a power cut takes
back what was committed. Not WAL: it gains concurrent readers, which one writer and an occasional
look do not need, and costs what a store does need: a ledger at rest is one file that
can be copied, read on a read-only mount, and kept on a network file system.

Methods may be called from any thread; one runs at a time.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from logminer.errors import StoreError
from logminer.store.codec import (
    decode_harvested,
    decode_job,
    decode_time,
    encode_harvested,
    encode_job,
    encode_time,
)
from logminer.store.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from logminer.model import Harvested, Job, Project

LEDGER_VERSION: Final = 1
"""SQLite's `user_version`: raised when the tables below change."""

_APPLICATION_ID: Final = 0x6C6D6E72
"""SQLite's `application_id`, "lmnr": tells a ledger from any other SQLite file."""

_PATIENCE: Final = 60.0
"""Seconds to wait for somebody who is reading, or for a commit while reading."""

_Values: TypeAlias = tuple[Any, ...]
"""A row as SQLite gives it; STRICT tables vouch for the types."""

_TABLES: Final = (
    """
    CREATE TABLE project (
        id INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        watermark INTEGER,
        ceiling INTEGER,
        cursor TEXT,
        since TEXT,
        checked_at TEXT,
        CHECK (cursor IS NULL OR ceiling IS NOT NULL)
    ) STRICT
    """,
    """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY,
        project_id INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'queued', 'done')),
        pipeline_id INTEGER CHECK (pipeline_id IS NULL OR state = 'open'),
        description TEXT CHECK ((description IS NOT NULL) = (state = 'queued'))
    ) STRICT
    """,
    "CREATE INDEX job_open ON job (project_id, id) WHERE state = 'open'",
    "CREATE INDEX job_queued ON job (id) WHERE state = 'queued'",
    """
    CREATE TABLE pending (
        job_id INTEGER PRIMARY KEY,
        project_id INTEGER NOT NULL,
        day TEXT NOT NULL,
        outcome TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX pending_day ON pending (day, job_id)",
)


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
class OpenJob:
    """A job that had not ended when it was last seen."""

    id: int
    pipeline_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectCounts:
    """What the ledger knows of one project."""

    project_id: int
    path: str
    listing: Listing
    open: int
    queued: int
    done: int
    """Includes the pending ones."""
    pending: int
    """Done, and not yet in the Parquet files."""


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

    def open_jobs(self, project_id: int) -> tuple[OpenJob, ...]:
        """Return the open jobs of a project, oldest first."""
        rows = self._rows(
            "SELECT id, pipeline_id FROM job WHERE state = 'open' AND project_id = ? ORDER BY id",
            (project_id,),
        )
        return tuple(OpenJob(id=job, pipeline_id=pipeline) for job, pipeline in rows)

    def take(self, limit: int, *, after: int | None = None) -> list[Job]:
        """Return at most `limit` queued jobs with ids above `after`; they stay queued.

        Oldest first: their logs are the next to be deleted on the server.
        """
        rows = self._rows(
            "SELECT description FROM job WHERE state = 'queued' AND id > ? ORDER BY id LIMIT ?",
            (-1 if after is None else after, limit),
        )
        return [decode_job(description) for (description,) in rows]

    def pending_days(self) -> list[dt.date]:
        """Return the days that have outcomes to publish, oldest first."""
        rows = self._rows("SELECT DISTINCT day FROM pending ORDER BY day")
        return [dt.date.fromisoformat(day) for (day,) in rows]

    def pending(self, day: dt.date, limit: int, *, after: int | None = None) -> list[Harvested]:
        """Return at most `limit` outcomes of a day to publish, by job id, with ids above `after`.

        In slices, because a first harvest may hold more than memory does.
        """
        rows = self._rows(
            "SELECT outcome FROM pending WHERE day = ? AND job_id > ? ORDER BY job_id LIMIT ?",
            (day.isoformat(), -1 if after is None else after, limit),
        )
        return [decode_harvested(outcome) for (outcome,) in rows]

    def counts(self) -> list[ProjectCounts]:
        """Return how many jobs of each project are in which state, by path.

        Reads one small row for each job ever seen: some seconds for ten million.
        """
        rows = self._rows(
            """
            SELECT id, path, watermark, ceiling, cursor, since, checked_at,
                   coalesce(opened, 0), coalesce(queued, 0), coalesce(done, 0), coalesce(waiting, 0)
            FROM project
            LEFT JOIN (
                SELECT project_id, sum(state = 'open') AS opened, sum(state = 'queued') AS queued,
                       sum(state = 'done') AS done
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
                pending=pending,
            )
            for project_id, path, *listing, opened, queued, done, pending in rows
        ]

    def _rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[_Values]:
        with self._turn, _one_line(self.path):
            return self._connection.execute(sql, parameters).fetchall()


class Ledger(LedgerView):
    """The ledger of one source, held by its one writer."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: Lock) -> None:
        """Wrap an open connection and the lock that goes with it; `open` makes one."""
        super().__init__(path, connection)
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the ledger at `path` for writing, and create it if there is none.

        Takes the source's lock and removes what a killed writer left in `aside`.
        Raises BusyError, which names the holder, and StoreError for a file that is damaged, foreign
        or from a newer logminer.
        """
        lock = Lock(path.with_suffix(".lock"))
        try:
            connection = _connect(path, "rwc")
            try:
                with _one_line(path):
                    connection.execute("PRAGMA synchronous = EXTRA")
                    _adopt(path, connection)
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
        connection = _connect(path, "rw")
        try:
            with _one_line(path):
                connection.execute("PRAGMA query_only = ON")
                _check(path, connection)
        except BaseException:
            connection.close()
            raise
        return LedgerView(path, connection)

    def close(self) -> None:
        """Close the file and give back the lock; a second call does nothing."""
        super().close()
        self._lock.release()

    @property
    def aside(self) -> Path:
        """A directory for files in the making: the lock's holder's own, and no reader's."""
        return self.path.parent / "tmp" / self.source

    def listing(self, project: Project) -> Listing:
        """Return how far a project was listed; learn its path, which a rename may have changed."""
        rows = self._rows(
            "SELECT path, watermark, ceiling, cursor, since, checked_at FROM project WHERE id = ?",
            (project.id,),
        )
        path, *listing = rows[0] if rows else (None,) * 6
        if path != project.path:
            with self._transaction() as connection:
                connection.execute(
                    "INSERT INTO project (id, path) VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET path = excluded.path",
                    (project.id, project.path),
                )
        return _listing(tuple(listing))

    def store_page(self, project_id: int, jobs: Iterable[Job], listing: Listing) -> None:
        """Keep one page of jobs, together with how far the listing has come by it.

        Final jobs are queued, the others are open; a job that is done stays done.
        `listing` replaces what is known: with the ceiling, and the cursor of the next page, while
        pages are left; with the ceiling as the new watermark, and neither of them, when this page
        was the last one.
        Raises ValueError for a project that `listing` was never asked about.
        """
        with self._transaction() as connection:
            _know(connection, project_id, jobs)
            _change(
                connection,
                "UPDATE project SET watermark = ?, ceiling = ?, cursor = ?, since = ?,"
                " checked_at = ? WHERE id = ?",
                (
                    listing.watermark,
                    listing.ceiling,
                    listing.cursor,
                    encode_time(listing.since),
                    encode_time(listing.checked_at),
                    project_id,
                ),
            )

    def settle(
        self, project_id: int, jobs: Iterable[Job], *, checked_at: dt.datetime | None
    ) -> None:
        """Keep what a re-check of open jobs found: final ones are queued, the others stay open.

        `checked_at` is the server's time at the beginning of the re-check; None while more of it
        is to come, so that a re-check that was cut off is not taken for a whole one.
        """
        with self._transaction() as connection:
            _know(connection, project_id, jobs)
            if checked_at is not None:
                _change(
                    connection,
                    "UPDATE project SET checked_at = ? WHERE id = ?",
                    (encode_time(checked_at), project_id),
                )

    def commit(self, batch: Sequence[Harvested], *, requeue: Sequence[Job] = ()) -> None:
        """Record outcomes: their jobs are done, their rows wait to be published.

        `requeue` names jobs that were looked at and may still grow: they stay in the queue, under
        the description given here. An outcome of a job that is already done replaces the old one;
        it must lie on the same day.
        """
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO project (id, path) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                {(each.job.project_id, each.job.project_path) for each in batch},
            )
            connection.executemany(
                "INSERT INTO pending (job_id, project_id, day, outcome) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (job_id) DO UPDATE"
                " SET day = excluded.day, outcome = excluded.outcome",
                (
                    (
                        each.job.id,
                        each.job.project_id,
                        each.job.date.isoformat(),
                        encode_harvested(each),
                    )
                    for each in batch
                ),
            )
            connection.executemany(
                "INSERT INTO job (id, project_id, state) VALUES (?, ?, 'done')"
                " ON CONFLICT (id) DO UPDATE"
                " SET state = 'done', pipeline_id = NULL, description = NULL",
                ((each.job.id, each.job.project_id) for each in batch),
            )
            connection.executemany(
                "UPDATE job SET description = ? WHERE id = ? AND state = 'queued'",
                ((encode_job(job), job.id) for job in requeue),
            )

    def published(self, day: dt.date, job_ids: Iterable[int]) -> None:
        """Forget the outcomes of a day that now stand in the Parquet files."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM pending WHERE job_id = ? AND day = ?",
                ((job_id, day.isoformat()) for job_id in job_ids),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Make what happens inside happen wholly or not at all."""
        with self._turn, _one_line(self.path), _atomic(self._connection):
            yield self._connection


def _know(connection: sqlite3.Connection, project_id: int, jobs: Iterable[Job]) -> None:
    """Queue final jobs and open the others, except those that are done."""
    connection.executemany(
        "INSERT INTO job (id, project_id, state, pipeline_id, description) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
        " pipeline_id = excluded.pipeline_id, description = excluded.description"
        " WHERE state <> 'done'",
        (
            (job.id, project_id, "queued", None, encode_job(job))
            if job.is_final
            else (job.id, project_id, "open", job.pipeline_id, None)
            for job in jobs
        ),
    )


def _change(connection: sqlite3.Connection, sql: str, parameters: tuple[object, ...]) -> None:
    """Change the row of one project; that it exists is the caller's duty."""
    if connection.execute(sql, parameters).rowcount != 1:
        raise ValueError("call listing before anything else of a project")


def _listing(row: _Values) -> Listing:
    watermark, ceiling, cursor, since, checked_at = row
    return Listing(
        watermark=watermark,
        ceiling=ceiling,
        cursor=cursor,
        since=decode_time(since),
        checked_at=decode_time(checked_at),
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file; transactions are begun and ended by hand, threads take turns (see above)."""
    with _one_line(path):
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )


def _adopt(path: Path, connection: sqlite3.Connection) -> None:
    """Create the tables in a new file; check an old one."""
    with _atomic(connection):
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
        _check(path, connection)


@contextmanager
def _atomic(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what happens inside one transaction, which is undone by any exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has already rolled back after some errors, a full disk for one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check(path: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError unless the file is a ledger of this version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file, but no ledger of logminer: move it away")
    if version > LEDGER_VERSION:
        raise StoreError(
            f"{path} was written by a newer logminer (ledger version {version}, this one knows "
            f"{LEDGER_VERSION}): upgrade logminer"
        )


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file that it cannot use into one line that tells what to do.

    Broken constraints and misused connections are faults of ours and pass through as they are.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreError(
                f"{path} is damaged ({error}): restore it, or delete it and harvest again; "
                "published files stay right either way"
            ) from error
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(
                f"cannot use {path} ({error}): look at its permissions, the free space and who "
                "else has it open"
            ) from error
        raise
