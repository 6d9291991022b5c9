"""Plain readers agree: whoever reads a store's directories counts the rows that we count.

The loop runs a real process that publishes the same days over and over: each file is replaced all
the time, and no reader may ever see more rows or fewer.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pytest

from logminer.store.codec import encode_harvested
from logminer.store.dataset import Store
from logminer.store.ledger import Ledger
from logminer.store.publishing import publish
from logminer.store.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from logminer.model import Harvested

SOURCE = "gitlab.example.com"
ROUNDS = 15
PUBLISHER = """
import sys
from pathlib import Path
from logminer.store.codec import decode_harvested
from logminer.store.dataset import open_store
from logminer.store.ledger import Ledger
from logminer.store.publishing import publish

store = open_store(sys.argv[1])
outcomes = [decode_harvested(line) for line in Path(sys.argv[2]).read_text().splitlines()]
done = Path(sys.argv[3])
with Ledger.open(store.ledger_path("gitlab.example.com")) as ledger:
    for number in range(100_000):
        ledger.commit(outcomes)
        publish(store, ledger)
        print(number, flush=True)
        if done.exists():
            break
"""


def _pandas(directory: Path) -> int:
    return len(pd.read_parquet(directory, columns=["job_id"]))


def _duckdb(directory: Path) -> int:
    connection = duckdb.connect()
    row = connection.execute(
        "SELECT count(job_id) FROM read_parquet(?)", [f"{directory}/*/*.parquet"]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _polars(directory: Path) -> int:
    import polars as pl  # noqa: PLC0415 -- a second that only these tests should wait

    frame = pl.scan_parquet(directory / "*/*.parquet", hive_partitioning=True)
    return int(frame.select(pl.len()).collect().item())


def _dask(directory: Path) -> int:
    import dask.dataframe  # noqa: PLC0415 -- two seconds, as above

    return len(dask.dataframe.read_parquet(directory, columns=["job_id"]))


READERS = {"pandas": _pandas, "duckdb": _duckdb, "polars": _polars, "dask": _dask}


@pytest.fixture
def outcomes(make_harvested: Callable[..., Harvested]) -> list[Harvested]:
    """Jobs of four days with one to three image uses."""
    return [make_harvested(job, day=12 + job % 4, uses=1 + job % 3) for job in range(1, 25)]


@pytest.fixture
def store(tmp_path: Path, outcomes: list[Harvested]) -> Store:
    """A store in which they are published."""
    store = Store.create(tmp_path / "store")
    with Ledger.open(store.ledger_path(SOURCE)) as ledger:
        ledger.commit(outcomes)
        publish(store, ledger)
    return store


def test_every_reader_counts_the_same(store: Store, outcomes: list[Harvested]) -> None:
    """Rows of both tables, as many as were recorded, whoever counts them."""
    expected = {"images": sum(len(each.uses) for each in outcomes), "jobs": len(outcomes)}

    for table in TABLES:
        counts = {name: count(store.path / table) for name, count in READERS.items()}
        assert counts == dict.fromkeys(READERS, expected[table])
        assert len(getattr(store, table)(columns=["job_id"])) == expected[table]


@pytest.mark.slow
def test_also_while_a_harvest_publishes(
    store: Store, outcomes: list[Harvested], tmp_path: Path
) -> None:
    """Files are replaced under the readers, and none of them ever sees it."""
    lines = tmp_path / "outcomes.jsonl"
    lines.write_text("".join(encode_harvested(each) + "\n" for each in outcomes))
    done = tmp_path / "done"
    expected = {"images": sum(len(each.uses) for each in outcomes), "jobs": len(outcomes)}
    command = [sys.executable, "-c", PUBLISHER, str(store.path), str(lines), str(done)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as publisher:  # noqa: S603
        assert publisher.stdout is not None
        publisher.stdout.readline()
        until = time.monotonic() + 60
        rounds = 0
        while rounds < ROUNDS and time.monotonic() < until:
            rounds += 1
            for table in TABLES:
                for name, count in READERS.items():
                    assert (name, count(store.path / table)) == (name, expected[table])
                assert len(getattr(store, table)(columns=["job_id"])) == expected[table]
        done.touch()
        published = publisher.stdout.read().split()

    assert publisher.returncode == 0
    assert rounds > 1
    assert len(published) > 3
