"""The commands about what is declared: their flags and their help."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 -- typer reads it when the program runs
from typing import Annotated

import typer

from logminer.cli.app import (
    BundleOption,
    MirrorsOption,
    RateOption,
    ReportFormat,
    StoreOption,
    TalkFormat,
    TokenOption,
    UrlOption,
    app,
)
from logminer.cli.flags import (
    ArchivedOption,
    DurationOption,
    EverythingOption,
    ExcludeOption,
    GroupsOption,
    IncludeOption,
    ProjectsOption,
    QuietOption,
    RequestsOption,
    VerboseOption,
)
from logminer.cli.talk import complain, exit_codes


@app.command()
def inventory(  # noqa: PLR0913 -- one for each flag
    store: StoreOption,
    project: ProjectsOption = None,
    group: GroupsOption = None,
    *,
    everything: EverythingOption = False,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    archived: ArchivedOption = True,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Read every project, also where its default branch did not move: templates that"
            " it includes from elsewhere may have changed.",
        ),
    ] = False,
    max_archive: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Files come as one archive from repositories up to this size (else 100M), from"
            " larger ones file by file.",
        ),
    ] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    ca_bundle: BundleOption = None,
    mirrors: MirrorsOption = None,
    concurrency: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=256, help="Projects read at a time.")
    ] = 16,
    rps: RateOption = None,
    max_requests: RequestsOption = None,
    max_duration: DurationOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read no file and write nothing; say about how many projects and requests it"
            " would be.",
        ),
    ] = False,
    log_format: Annotated[
        TalkFormat, typer.Option(help="As harvest's: auto, plain or json.")
    ] = TalkFormat.AUTO,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read which images the projects' files declare into a store.

    CI configuration as the server merges it, Dockerfiles, Compose files, Kubernetes manifests,
    Kustomize and Helm charts of each default branch. A project whose default branch did not move
    costs one request, so run it every night; logminer drift then holds what is declared against
    what was pulled.

    Needs an access token with the scope read_api that may read the projects' files; the merged CI
    configuration asks for the role Developer on most servers, else the file itself is read.
    """
    with exit_codes():
        from logminer.cli.asking import Server  # noqa: PLC0415 -- heavy
        from logminer.cli.inventory_run import Asked, run  # noqa: PLC0415 -- heavy
        from logminer.cli.watch import LogFormat, Volume  # noqa: PLC0415 -- heavy

        asked = Asked(
            server=Server(url=url, token_file=token_file, ca_bundle=ca_bundle),
            projects=project or (),
            groups=group or (),
            everything=everything,
            include=include or (),
            exclude=exclude or (),
            archived=archived,
            again=again,
            max_archive=max_archive,
            concurrency=concurrency,
            rps=rps,
            mirrors=mirrors,
            max_requests=max_requests,
            max_duration=max_duration,
            dry_run=dry_run,
            log_format=LogFormat(log_format.value),
            volume=Volume.QUIET if quiet else Volume.VERBOSE if verbose else Volume.NORMAL,
        )
        raise typer.Exit(run(store, asked))


@app.command()
def drift(
    store: StoreOption,
    period: Annotated[
        str,
        typer.Option(
            "--period",
            "-p",
            metavar="PERIOD",
            help="last-quarter, this-month, 2026-Q3, 2026-07, 30d, 2026-07-01..2026-10-01, … (UTC)",
        ),
    ] = "30d",
    format: Annotated[  # noqa: A002 -- the flag's word
        ReportFormat, typer.Option("--format", "-f", help="table, csv or json.")
    ] = ReportFormat.TABLE,
    rows: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", min=1, help="Rows that a table shows of each part; others show all."
        ),
    ] = 10,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to stdout."),
    ] = None,
) -> None:
    """Compare what projects declare with what their jobs pulled in a period.

    What is declared and pulled, declared and never pulled, pulled and never declared (and where it
    came from), tags that changed what they mean, images that came another way than declared, and
    what unresolved declarations became. Each with the line of the file and of the log.

    Needs a harvest and an inventory in the store, and no server.
    """
    with exit_codes():
        from logminer.cli.output import opened  # noqa: PLC0415 -- only where a command runs
        from logminer.report import Format  # noqa: PLC0415 -- heavy
        from logminer.report.drift import build_drift, write_drift  # noqa: PLC0415 -- heavy
        from logminer.store import open_store  # noqa: PLC0415 -- heavy

        source = open_store(store)
        with opened(output) as out:
            built = build_drift(source, period)
            write_drift(built, Format(format.value), out, rows=rows)
        if format is not ReportFormat.TABLE:
            for note in built.notes:
                complain(note)
