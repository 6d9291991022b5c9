"""Snapshots of what projects declare: which commit was read last, and what is not yet published.

The tables lie in the ledger of the source, so that one lock, one copy and one backup hold both.
They are made by the first inventory and are no part of the ledger's version: a logminer that takes
none leaves them alone.

Publishing is that of a harvest: a day's file is replaced whole, and a snapshot leaves the ledger
only after it. A second snapshot of a project on one day takes the place of the first.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pyarrow as pa

from logminer.reference import image_columns
from logminer.store.publishing import PublishSummary, replace_rows
from logminer.store.schema import EMPTY, file_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from logminer.model import Declaration, Project, Snapshot
    from logminer.reference import Upstreams
    from logminer.store.dataset import Store
    from logminer.store.ledger import Ledger
    from logminer.store.schema import Row

_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS snapshot (
        project_id INTEGER PRIMARY KEY,
        path TEXT NOT NULL,
        "commit" TEXT,
        tool_version TEXT NOT NULL,
        taken_at TEXT NOT NULL,
        looked_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS pending_snapshot (
        day TEXT NOT NULL,
        project_id INTEGER NOT NULL,
        rows TEXT NOT NULL,
        PRIMARY KEY (day, project_id)
    ) STRICT, WITHOUT ROWID
    """,
)

_SLICE: Final = 100
"""Snapshots read from the ledger at a time: bounds the Python objects alive at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What is known of the last snapshot of a project."""

    commit: str | None
    tool_version: str
    looked_at: dt.datetime
    """When it was last found to hold, by the server's clock."""


class Snapshots:
    """What the ledger of a source knows of snapshots."""

    def __init__(self, ledger: Ledger) -> None:
        """Keep them in this ledger, which stays the caller's."""
        self.ledger = ledger
        with ledger.change() as connection:
            for statement in _TABLES:
                connection.execute(statement)

    def taken(self) -> dict[int, Taken]:
        """Return the last snapshot of every project that has one, by the project's id."""
        rows = self.ledger.ask(
            'SELECT project_id, "commit", tool_version, looked_at FROM snapshot ORDER BY project_id'
        )
        return {
            project_id: Taken(
                commit=commit,
                tool_version=version,
                looked_at=dt.datetime.fromisoformat(looked_at),
            )
            for project_id, commit, version, looked_at in rows
        }

    def keep(
        self,
        snapshots: Sequence[Snapshot],
        looks: Sequence[tuple[Project, dt.datetime]],
        upstreams: Upstreams,
    ) -> None:
        """Record snapshots, whose rows wait to be published, and looks that gave none.

        A project that was looked at and never read is known by no version of ours.
        """
        taken = [
            (
                each.taken_at.date().isoformat(),
                each.project.id,
                json.dumps(declared_rows(each, upstreams), ensure_ascii=False),
            )
            for each in snapshots
        ]
        with self.ledger.change() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO pending_snapshot (day, project_id, rows) VALUES (?, ?, ?)",
                taken,
            )
            connection.executemany(
                'INSERT OR REPLACE INTO snapshot (project_id, path, "commit", tool_version,'
                " taken_at, looked_at) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        each.project.id,
                        each.project.path,
                        each.commit,
                        each.tool_version,
                        each.taken_at.isoformat(),
                        each.taken_at.isoformat(),
                    )
                    for each in snapshots
                ),
            )
            connection.executemany(
                "INSERT INTO snapshot (project_id, path, tool_version, taken_at, looked_at)"
                " VALUES (?, ?, '', ?, ?)"
                " ON CONFLICT (project_id) DO UPDATE SET looked_at = excluded.looked_at",
                (
                    (project.id, project.path, moment.isoformat(), moment.isoformat())
                    for project, moment in looks
                ),
            )

    def days(self) -> list[dt.date]:
        """Return the days that have snapshots to publish, oldest first."""
        rows = self.ledger.ask("SELECT DISTINCT day FROM pending_snapshot ORDER BY day")
        return [dt.date.fromisoformat(day) for (day,) in rows]

    def pending(
        self, day: dt.date, limit: int, *, after: int | None = None
    ) -> dict[int, list[Row]]:
        """Return the rows of at most `limit` projects with ids above `after`, by the id."""
        rows = self.ledger.ask(
            "SELECT project_id, rows FROM pending_snapshot WHERE day = ? AND project_id > ?"
            " ORDER BY project_id LIMIT ?",
            (day.isoformat(), -1 if after is None else after, limit),
        )
        return {project_id: json.loads(text) for project_id, text in rows}

    def published(self, day: dt.date, project_ids: Iterable[int]) -> None:
        """Forget the snapshots of a day that now stand in its Parquet file."""
        with self.ledger.change() as connection:
            connection.executemany(
                "DELETE FROM pending_snapshot WHERE day = ? AND project_id = ?",
                ((day.isoformat(), project_id) for project_id in project_ids),
            )


def publish_snapshots(
    store: Store,
    snapshots: Snapshots,
    *,
    proceed: Callable[[int, int], bool] = lambda _done, _of: True,
) -> PublishSummary:
    """Bring every pending snapshot of a ledger into the Parquet files, as `publish` does."""
    schema, ledger = file_schema("declared"), snapshots.ledger
    pending = snapshots.days()
    if pending:
        ledger.checkpoint()
        store.announce(ledger)
    days = 0
    for day in pending:
        if not proceed(days, len(pending)):
            break
        project_ids: list[int] = []
        parts = [schema.empty_table()]
        while batch := snapshots.pending(
            day, _SLICE, after=project_ids[-1] if project_ids else None
        ):
            project_ids += batch
            rows = [row for each in batch.values() for row in each]
            parts.append(pa.Table.from_pylist(rows, schema=schema))
        replace_rows(store, ledger, "declared", day, project_ids, pa.concat_tables(parts))
        snapshots.published(day, project_ids)
        days += 1
    return PublishSummary(days=days, jobs=0, images=0, left=len(pending) - days)


def declared_rows(snapshot: Snapshot, upstreams: Upstreams) -> list[Row]:
    """Return the rows of a snapshot, never none, with the images as seen through these mirrors."""
    shared: Row = {
        "instance": snapshot.instance,
        "project_id": snapshot.project.id,
        "project_path": snapshot.project.path,
        "commit": snapshot.commit,
        "inventory_version": snapshot.tool_version,
    }
    rows = [
        shared | {"ordinal": ordinal} | _declaration(each, snapshot, upstreams)
        for ordinal, each in enumerate(sorted(snapshot.declarations, key=_order), 1)
    ]
    return rows or [shared | _NOTHING]


_NOTHING: Final[Row] = {
    **{field.name: None for field in file_schema("declared") if field.nullable},
    "ordinal": 0,
    "resolution": EMPTY,
    "variables": [],
}


def _declaration(each: Declaration, snapshot: Snapshot, upstreams: Upstreams) -> Row:
    """Return what a row says of one declaration."""
    named = image_columns(each.resolved, upstreams)
    return {
        "kind": each.kind,
        "name": each.name,
        "role": each.role,
        "image": each.image,
        "resolved": each.resolved,
        "resolution": each.resolution,
        "variables": list(each.variables),
        "pull_policy": each.pull_policy,
        "platform": each.platform,
        "registry": named.registry,
        "repository": named.repository,
        "tag": named.tag,
        "digest": named.digest,
        "reference": named.reference,
        "via": named.via,
        "upstream_registry": named.upstream_registry,
        "upstream_repository": named.upstream_repository,
        "path": each.path,
        "line": each.line,
        "file_url": _address(each, snapshot),
        "note": each.note,
    }


def _address(each: Declaration, snapshot: Snapshot) -> str | None:
    """Return where a person reads the line in the browser."""
    base = snapshot.project.repository.url
    if base is None or snapshot.commit is None or not base.startswith(("https://", "http://")):
        return None  # what else a server may say is no address to be followed
    line = f"#L{each.line}" if each.line is not None else ""
    return f"{base}/-/blob/{snapshot.commit}/{quote(each.path)}{line}"


def _order(each: Declaration) -> tuple[object, ...]:
    """Return the place of a declaration: a total order, whatever order the reader gave."""
    return (
        each.path,
        each.line or 0,
        each.name or "",
        each.role or "",
        each.image or "",
        each.resolved or "",
        repr(each),
    )
