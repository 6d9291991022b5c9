"""`logminer exposure`: who depends on images of these names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer import analysis
from logminer.analysis.names import read_names
from logminer.cli.output import opened
from logminer.cli.rows import Format, write
from logminer.cli.talk import complain, counted
from logminer.errors import UsageError
from logminer.foreign import visible
from logminer.store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TextIO

    import pandas as pd

    from logminer.analysis import When

_COLUMNS = {
    "project_path": "project",
    "job_name": "job",
    "image": "image",
    "via": "via",
    "uses": "uses",
    "scheduled_uses": "scheduled",
    "last_seen": "last",
}
"""What a person sees of each row, and under which title."""


def run(  # noqa: PLR0913 -- one for each flag
    store: str,
    names: Sequence[str],
    file: Path | None,
    *,
    when: When,
    form: Format,
    output: Path | None,
) -> None:
    """Answer who depends on the names; what nothing depends on is said, too.

    Raises UsageError where no job was harvested for the time: nobody can tell then.
    """
    asked = list(dict.fromkeys([*names, *(read_names(file) if file is not None else ())]))
    source = open_store(store)
    found = analysis.exposure(source, asked, **when)
    covered = analysis.coverage(source, **when).iloc[0]
    if not covered["jobs"]:
        raise UsageError(
            "no job was harvested for this time, so nobody can tell: harvest it, or ask for another"
        )
    told = f"{counted(covered['jobs'], 'job')} harvested, {covered['read']:,} logs read"
    with opened(output) as out:
        if form is Format.TABLE:
            out.write(told + "\n")
            for name in asked:
                _block(name, found[found["name"] == name], out)
        else:
            _write(found, form, out)
    if form is not Format.TABLE:
        for name in sorted(set(asked) - set(found["name"]), key=asked.index):
            complain(f"nothing depends on {name} ({told})")


def _block(name: str, rows: pd.DataFrame, out: TextIO) -> None:
    """Write what depends on one name: the sum, then a line for each job."""
    if rows.empty:
        out.write(f"\n{visible(name)}: nothing depends on it\n")
        return
    projects = rows[["instance", "project_id"]].drop_duplicates()
    scheduled = int(rows["scheduled_uses"].sum())
    out.write(
        f"\n{visible(name)}: {counted(len(projects), 'project')},"
        f" {counted(int(rows['uses'].sum()), 'use')} ({scheduled:,} in scheduled pipelines),"
        f" last {rows['last_seen'].max():%Y-%m-%d}\n"
    )
    shown = rows.assign(
        image=rows["registry"] + "/" + rows["repository"] + ":" + rows["tags"],
        last_seen=rows["last_seen"].dt.strftime("%Y-%m-%d"),
    )
    _write(shown[list(_COLUMNS)].rename(columns=_COLUMNS), Format.TABLE, out)


def _write(frame: pd.DataFrame, form: Format, out: TextIO) -> None:
    import pyarrow as pa  # noqa: PLC0415 -- heavy

    table = pa.Table.from_pandas(frame, preserve_index=False)
    write(table.schema, table.to_batches(), form, out)
