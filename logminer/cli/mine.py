"""`logminer mine`: its flags and their help; what they do stands in `mining`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads the signature
from typing import Annotated

import typer

from logminer.cli.app import app
from logminer.cli.flags import (
    Depth,
    LogFormatOption,
    MirrorsOption,
    QuietOption,
    StoreOption,
    TalkFormat,
    TraceSizeOption,
    VerboseOption,
)
from logminer.cli.talk import exit_codes


class Engine(StrEnum):
    """Which machines read an archive."""

    LOCAL = "local"
    DASK = "dask"


def _jobs_sql(*, asked: bool) -> None:
    if asked:
        from logminer.archive import QUERY  # noqa: PLC0415 -- heavy

        print(QUERY, end="")
        raise typer.Exit


@app.command()
def mine(  # noqa: PLR0913, PLR0917 -- one for each flag
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Directories or job logs of an archive; or s3://bucket/prefix, gs://… and az://….",
        ),
    ],
    store: StoreOption,
    instance: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Host of the GitLab whose logs these are, with its port if it has one; else that"
            " of GITLAB_URL. Harvests of it go to the same files.",
        ),
    ] = None,
    jobs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet file that describes the jobs: names, status, times. Without it"
            " only their ids are known, and the day on which the log was archived.",
        ),
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            "-p",
            metavar="PROJECT",
            help="Only this project, by id, or by full path where --jobs or the store knows it; may"
            " be repeated.",
        ),
    ] = None,
    max_project_id: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            min=1,
            max=100_000_000,
            help="Up to which id projects are tried, to find those whose hash is in a path. A"
            " million takes a second; none is needed for what --jobs or the store knows.",
        ),
    ] = 1_000_000,
    *,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", min=1, max=1_024, help="Processes that read; else one for each core."
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="dask lets the workers of a Dask cluster read: where logminer is"
            " installed, too, and PATH is to be found."
        ),
    ] = Engine.LOCAL,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of the Dask scheduler, as in tcp://host:8786."),
    ] = None,
    depth: Annotated[
        Depth,
        typer.Option(
            help="prepare reads a log up to the end of the runner's preparation, as in"
            " logminer harvest."
        ),
    ] = Depth.FULL,
    max_trace_size: TraceSizeOption = None,
    mirrors: MirrorsOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Open no log and write nothing; say how many there are to read."
        ),
    ] = False,
    jobs_sql: Annotated[  # noqa: ARG001 -- its callback is all there is
        bool,
        typer.Option(
            "--jobs-sql",
            callback=lambda asked: _jobs_sql(asked=asked),
            is_eager=True,
            help="Print the query that gives such a FILE out of GitLab's database, and exit.",
        ),
    ] = False,
    log_format: LogFormatOption = TalkFormat.AUTO,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read an archive of job logs, on disks or in buckets, into a store.

    Looks for HASH/YYYY_MM_DD/JOB/ARTIFACT/job.log, as GitLab keeps logs below its artifacts
    directory or bucket, and for live logs YYYY_MM/PROJECT/JOB.log; compressed as .gz or .zst, too.
    Other files are let be. The store is the one of harvests: a job that either has read is not
    read again. It may be stopped at any time (Ctrl-C, even kill -9); the next run goes on there.
    """
    with exit_codes():
        from logminer.cli.mining import Asked, run  # noqa: PLC0415 -- heavy
        from logminer.cli.watch import LogFormat, Volume  # noqa: PLC0415 -- heavy

        asked = Asked(
            paths=paths,
            instance=instance,
            jobs=jobs,
            projects=project or (),
            max_project_id=max_project_id,
            workers=workers,
            engine=engine.value,
            scheduler=scheduler,
            mirrors=mirrors,
            depth=depth.value,
            max_trace_size=max_trace_size,
            dry_run=dry_run,
            log_format=LogFormat(log_format.value),
            volume=Volume.QUIET if quiet else Volume.VERBOSE if verbose else Volume.NORMAL,
        )
        raise typer.Exit(run(store, asked))
