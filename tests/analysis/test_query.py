"""Statements of foreign hands: two views to read, and no other door."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq
import pytest

from logminer import analysis
from logminer.errors import FatalError, StoreError, UsageError
from logminer.store import Store
from logminer.store.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa


@pytest.fixture
def store(tmp_path: Path, make_table: Callable[..., pa.Table]) -> Store:
    """A store of three days, in a directory whose name is a pattern, a quote and a partition."""
    store = Store.create(tmp_path / "it's [a] * date=1999-01-01" / "store")
    for table in ("images", "jobs"):
        for day in (1, 2, 3):
            path = store.path / table / f"date=2026-07-0{day}" / "gitlab.example.com.parquet"
            path.parent.mkdir()
            moment = dt.datetime(2026, 7, day, 12, tzinfo=dt.UTC)
            pq.write_table(make_table(table, [{"started_at": moment}] * day), path)
    return store


def test_both_views_have_every_column(store: Store) -> None:
    """The views are the tables of the data dictionary, the day with them."""
    for table in ("images", "jobs"):
        frame = analysis.query(store, f"from {table}")
        assert list(frame) == schema(table).names
        assert len(frame) == 6
        assert set(frame["date"]) == {dt.date(2026, 7, day) for day in (1, 2, 3)}


def test_a_filter_on_the_day_opens_only_its_files(store: Store) -> None:
    """The other days' files are not even looked at."""
    for day in (1, 3):
        path = store.path / "images" / f"date=2026-07-0{day}" / "gitlab.example.com.parquet"
        path.write_bytes(b"never opened" if day == 3 else path.read_bytes())

    frame = analysis.query(store, "select count(*) n from images where date < '2026-07-03'")

    assert frame["n"].tolist() == [3]
    with pytest.raises(StoreError):
        analysis.query(store, "select max(job_id) from images")


def test_an_empty_store_is_an_answer(tmp_path: Path) -> None:
    """Views without a row have their columns, too."""
    store = Store.create(tmp_path / "store")

    assert analysis.query(store, "select count(*) n from images, jobs")["n"].tolist() == [0]
    assert list(analysis.query(store, "from jobs")) == schema("jobs").names


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{secret}')",
        "select * from read_text('{secret}')",
        "select * from read_blob('{secret}')",
        "select * from read_json('{secret}')",
        "select * from read_parquet('{other}')",
        "select * from parquet_metadata('{other}')",
        "select * from sniff_csv('{secret}')",
        "select * from '{secret}'",
        "select * from '{other}'",
        "select * from glob('{folder}/*')",
        "select * from read_parquet('https://127.0.0.1:1/x.parquet')",
        "select * from query('select * from read_csv(''{secret}'')')",
        "copy (select 1) to '{target}'",
        "copy images to '{target}' (format parquet)",
        "explain analyze copy (select 1) to '{target}'",
        "export database '{target}'",
        "attach '{target}' as more",
        "install httpfs",
        "load httpfs",
        "load '{secret}'",
        "pragma database_list",
        "pragma enable_profiling",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "set memory_limit = '1TB'",
        "reset lock_configuration",
        "call pragma_version()",
        "use memory",
        "create table t as select 1",
        "create or replace view images as select 1",
        "create temp view images as select 1",
        "create macro count(x) as 1",
        "drop view images",
        "insert into images select * from images",
        "update images set job_id = 1",
        "delete from images",
        "prepare p as select 1",
        "begin",
        "checkpoint",
        "vacuum",
        "create secret (type s3)",
        "select 1; copy (select 1) to '{target}'",
        "select 1; select 2",
        "select * from frame",
        "select * from sql",
        "select * from store",
        "select getenv('HOME')",
        "",
        "-- nothing",
        ";",
        "selec 1",
        "select nothing from images",
        "select * from nothing",
        "select 'a'::int",
        "select error('{secret}')",
        "select \x00",
        "x" * 1_000_001,
    ],
    ids=lambda sql: ascii(sql[:50]),
)
def test_every_other_door_is_closed(store: Store, tmp_path: Path, sql: str) -> None:
    """What is no SELECT over the views is refused in one line, reads nothing and writes nothing."""
    secret = tmp_path / "secret.csv"
    secret.write_text("hidden\ntreasure\n")
    other = tmp_path / "other.parquet"
    pq.write_table(schema("jobs").empty_table(), other)
    before = sorted(tmp_path.rglob("*"))
    places = {"secret": secret, "other": other, "target": tmp_path / "t", "folder": tmp_path}
    for name, path in places.items():
        sql = sql.replace("{" + name + "}", str(path).replace("'", "''"))
    frame = pd.DataFrame({"mine": [1]})  # of the caller's, as DuckDB would find it by its name
    assert len(frame) == 1

    with pytest.raises(UsageError) as caught:
        analysis.query(store, sql)

    assert "\n" not in str(caught.value)
    assert "treasure" not in str(caught.value)
    assert before == sorted(tmp_path.rglob("*"))


def test_a_name_of_ones_own_is_ones_own(store: Store) -> None:
    """A statement may call its own table `images`; the next statement's is the store's."""
    own = analysis.query(store, "with images as (select 7 as x) select * from images")

    assert own["x"].tolist() == [7]
    assert len(analysis.query(store, "from images")) == 6


def test_a_long_answer_is_not_held(store: Store) -> None:
    """The first rows are there before the last could be computed."""
    sql = "select i from range(1_000_000_000_000) t(i)"

    with analysis.stream(store, sql) as answer:
        first = next(iter(answer))

    assert first.num_rows > 0


def test_memory_is_bounded(store: Store) -> None:
    """What cannot be had within the bound says so."""
    sql = "select list(repeat('x', 1_000_000) || i) from range(2_000) t(i)"

    with pytest.raises(FatalError, match="more than 512MB"):
        analysis.query(store, sql)


def test_an_error_on_the_way_is_one_line(store: Store) -> None:
    """What goes wrong after the first rows is told as what goes wrong before them."""
    sql = "select case when i > 500_000 then error('boom') else i end from range(1_000_000) t(i)"

    with pytest.raises(UsageError, match="boom") as caught:
        analysis.query(store, sql)

    assert "\n" not in str(caught.value)
