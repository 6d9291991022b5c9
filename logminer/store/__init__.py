"""Where the facts are kept: the ledger (progress) and the Parquet dataset (the product).

    snapshots   what projects declare: known, pending and published
    publishing  a ledger's outcomes become rows of Parquet files
    dataset     a store: its layout, its files, its tables as DataFrames
    migration   files of an older version become today's
    rereading   jobs whose rows were made by older rules
    shelf       where the files lie: what a directory and a bucket have in common
    directory   files below a directory
    bucket      objects below a prefix, on S3, Google Cloud or Azure
    carried     the ledger of a bucket, fetched and carried back
    lease       one writer for each source of a bucket
    ledger      which jobs are known, queued, done, and not yet published
    tables      the ledger's file: SQLite tables, and how an older file becomes today's
    runs        that a run began, and how it ended
    lock        one writer for each source of a directory
    durable     files replaced so that no reader and no power cut sees half of one
    codec       jobs and outcomes as JSON, for the ledger
    outcomes    what a harvest recorded, as rows cut into days
    rows        outcomes as rows of both tables
    sheaf       rows of many jobs that pass through the ledger in one piece
    schema      the data dictionary: every column and its meaning

Names are imported when first asked for, so that `logminer --help` pays for none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.lazy import lazily

if TYPE_CHECKING:
    from logminer.store.dataset import Store as Store
    from logminer.store.dataset import open_store as open_store
    from logminer.store.dataset import source_of as source_of
    from logminer.store.ledger import Batch as Batch
    from logminer.store.ledger import Ledger as Ledger
    from logminer.store.ledger import LedgerView as LedgerView
    from logminer.store.ledger import Listing as Listing
    from logminer.store.ledger import ProjectCounts as ProjectCounts
    from logminer.store.ledger import Run as Run
    from logminer.store.ledger import WatchedJob as WatchedJob
    from logminer.store.migration import Outdated as Outdated
    from logminer.store.migration import migrate as migrate
    from logminer.store.migration import outdated as outdated
    from logminer.store.publishing import PublishSummary as PublishSummary
    from logminer.store.publishing import publish as publish
    from logminer.store.rereading import OldJob as OldJob
    from logminer.store.rereading import Wanted as Wanted
    from logminer.store.rereading import count_old as count_old
    from logminer.store.rereading import old_jobs as old_jobs
    from logminer.store.runs import new_run_id as new_run_id
    from logminer.store.runs import remembered as remembered
    from logminer.store.sheaf import Sheaf as Sheaf
    from logminer.store.shelf import shelf_of as shelf_of
    from logminer.store.snapshots import Snapshots as Snapshots
    from logminer.store.snapshots import Taken as Taken
    from logminer.store.snapshots import publish_snapshots as publish_snapshots

_HOME = {
    "Batch": "ledger",
    "Ledger": "ledger",
    "Listing": "ledger",
    "LedgerView": "ledger",
    "OldJob": "rereading",
    "Outdated": "migration",
    "ProjectCounts": "ledger",
    "PublishSummary": "publishing",
    "Run": "ledger",
    "Sheaf": "sheaf",
    "Snapshots": "snapshots",
    "Store": "dataset",
    "Taken": "snapshots",
    "Wanted": "rereading",
    "WatchedJob": "ledger",
    "new_run_id": "runs",
    "count_old": "rereading",
    "migrate": "migration",
    "old_jobs": "rereading",
    "open_store": "dataset",
    "outdated": "migration",
    "publish": "publishing",
    "publish_snapshots": "snapshots",
    "remembered": "runs",
    "shelf_of": "shelf",
    "source_of": "dataset",
}
__all__ = sorted(_HOME)  # noqa: PLE0605 -- a list, computed: the names stand once

__getattr__, __dir__ = lazily(__name__, _HOME)
