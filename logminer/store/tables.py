"""The ledger's file: its tables, how an older file becomes today's, and whether it is one at all.

Durability: the rollback journal with `synchronous=EXTRA`, which also flushes the directory after
each commit, so that neither kill -9 nor a power cut takes back what was committed. Not WAL: it
gains concurrent readers, which one writer and an occasional look do not need, and costs what a
store does need: a ledger at rest is one file that can be copied, read on a read-only mount, and
kept on a network file system.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from logminer.errors import NewerStoreError, OlderLedgerError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER_VERSION: Final = 3
"""SQLite's `user_version`: raised when the tables below change, with a step in `_STEPS`."""

_APPLICATION_ID: Final = 0x6C6D6E72
"""SQLite's `application_id`, "lmnr": tells a ledger from any other SQLite file."""

_PATIENCE: Final = 60.0
"""Seconds to wait for somebody who is reading, or for a commit while reading."""

_JOB: Final = """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY,
        project_id INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'queued', 'done', 'asleep', 'gone')),
        pipeline_id INTEGER CHECK (
            CASE WHEN pipeline_id IS NULL THEN state NOT IN ('open', 'asleep')
            ELSE state IN ('open', 'queued', 'asleep') END
        ),
        pipeline_source TEXT CHECK (pipeline_source IS NULL OR pipeline_id IS NOT NULL),
        day TEXT CHECK (day IS NULL OR state <> 'done'),
        description TEXT CHECK ((description IS NOT NULL) = (state = 'queued'))
    ) STRICT
"""
_JOB_INDEXES: Final = (
    # Whoever has a pipeline is watched: 0 stands for one that the server did not tell.
    "CREATE INDEX job_watched ON job (project_id, id) WHERE pipeline_id IS NOT NULL",
    "CREATE INDEX job_queued ON job (id) WHERE state = 'queued'",
)
_ADDED_IN_2: Final = (
    # A job that is played after its row was published may move to another day: the old one is then
    # to be taken back there.
    """
    CREATE TABLE withdrawn (
        job_id INTEGER PRIMARY KEY,
        day TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE run (
        id TEXT PRIMARY KEY,
        began TEXT NOT NULL,
        ended TEXT,
        exit_code INTEGER,
        tally TEXT,
        CHECK ((ended IS NULL) = (exit_code IS NULL))
    ) STRICT
    """,
)

_PENDING: Final = (
    # What waits to be published is an outcome, or rows bound in a sheaf with those of others.
    """
    CREATE TABLE pending (
        job_id INTEGER PRIMARY KEY,
        project_id INTEGER NOT NULL,
        day TEXT NOT NULL,
        outcome TEXT,
        sheaf INTEGER CHECK ((sheaf IS NULL) = (outcome IS NOT NULL))
    ) STRICT
    """,
    "CREATE INDEX pending_day ON pending (day, job_id)",
    """
    CREATE TABLE sheaf (
        id INTEGER PRIMARY KEY,
        images BLOB NOT NULL,
        jobs BLOB NOT NULL
    ) STRICT
    """,
)

_ADDED_IN_3: Final = (
    # Jobs whose trace was asked for again and is not to be had any more: never asked for a third
    # time, or a budget would be spent on them before anything else.
    """
    CREATE TABLE lost (
        job_id INTEGER PRIMARY KEY
    ) STRICT
    """,
)

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
    _JOB,
    *_JOB_INDEXES,
    *_PENDING,
    *_ADDED_IN_2,
    *_ADDED_IN_3,
)

_STEPS: Final = {
    # SQLite cannot change a CHECK: the table is written anew, some seconds for ten million jobs.
    # Version 1 did not remember which of the done jobs were skipped: those stay done.
    1: (
        "ALTER TABLE job RENAME TO job_1",
        "DROP INDEX job_open",
        "DROP INDEX job_queued",
        _JOB,
        """
        INSERT INTO job (id, project_id, state, pipeline_id, description)
        SELECT id, project_id, state,
               CASE state WHEN 'open' THEN coalesce(pipeline_id, 0) END, description
        FROM job_1 ORDER BY id
        """,
        "DROP TABLE job_1",
        *_JOB_INDEXES,
        *_ADDED_IN_2,
    ),
    2: (
        "ALTER TABLE pending RENAME TO pending_2",
        "DROP INDEX pending_day",
        *_PENDING,
        """
        INSERT INTO pending (job_id, project_id, day, outcome)
        SELECT job_id, project_id, day, outcome FROM pending_2 ORDER BY job_id
        """,
        "DROP TABLE pending_2",
        *_ADDED_IN_3,
    ),
}
"""What makes the next version out of each older one."""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the file; transactions are begun and ended by hand, threads take turns."""
    with one_line(path):
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )


def adopt(path: Path, connection: sqlite3.Connection) -> None:
    """Create the tables in a new file; bring an old one up to date; raise StoreError for others."""
    with one_line(path):
        connection.execute("PRAGMA synchronous = EXTRA")
        with atomic(connection):
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {LEDGER_VERSION}")
            for step in range(_version(path, connection), LEDGER_VERSION):
                for statement in _STEPS[step]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {step + 1}")


def look(path: Path, connection: sqlite3.Connection) -> None:
    """Make the connection one that cannot write; raise StoreError unless it can be read."""
    with one_line(path):
        connection.execute("PRAGMA query_only = ON")
        version = _version(path, connection)
        if version < LEDGER_VERSION:
            raise OlderLedgerError(
                f"{path} was written by an older logminer (ledger version {version}, this one "
                f"reads {LEDGER_VERSION}): run `logminer migrate`, which brings it up to date"
            )


def _version(path: Path, connection: sqlite3.Connection) -> int:
    """Return the version of a ledger; raise StoreError for a newer one, and for another file."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION_ID:
        raise StoreError(f"{path} is an SQLite file, but no ledger of logminer: move it away")
    if version > LEDGER_VERSION:
        raise NewerStoreError(
            f"{path} was written by a newer logminer (ledger version {version}, this one knows "
            f"{LEDGER_VERSION}): upgrade logminer"
        )
    return int(version)


@contextmanager
def atomic(connection: sqlite3.Connection) -> Iterator[None]:
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


@contextmanager
def one_line(path: Path) -> Iterator[None]:
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
