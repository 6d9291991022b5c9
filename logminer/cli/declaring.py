"""The commands about what is declared: their flags and their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads it when the program runs
from typing import Annotated

import typer

from logminer.cli.app import app
from logminer.cli.flags import (
    ArchivedOption,
    BundleOption,
    DurationOption,
    EverythingOption,
    ExcludeOption,
    GroupsOption,
    IncludeOption,
    LogFormatOption,
    MirrorsOption,
    OutputOption,
    ProjectsOption,
    QuietOption,
    RateOption,
    RequestsOption,
    StoreOption,
    TalkFormat,
    TokenOption,
    UrlOption,
    VerboseOption,
)
from logminer.cli.talk import complain, exit_codes
from logminer.errors import UsageError


class InventoryFormat(StrEnum):
    """How declarations and findings are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JUNIT = "junit"
    CODEQUALITY = "codequality"


class DriftFormat(StrEnum):
    """How a comparison is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command()
def inventory(  # noqa: PLR0913 -- one for each flag
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Only these files of local clones."),
    ] = None,
    *,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            "-s",
            envvar="LOGMINER_STORE",
            metavar="STORE",
            help="Directory or URL of the store, for what a server's projects declare.",
        ),
    ] = None,
    path: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Local clone, or a directory of them; may be repeated."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file of rules for local clones; prints what breaks them, and exits with 1 if"
            " anything does.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 -- the flag's word
        InventoryFormat,
        typer.Option(
            "--format",
            "-f",
            help="For local clones: table, csv or json; with --check also junit or codequality.",
        ),
    ] = InventoryFormat.TABLE,
    output: OutputOption = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="For local clones: a CI/CD variable of the project; may be repeated.",
        ),
    ] = None,
    render: Annotated[
        bool,
        typer.Option(
            "--render",
            help="For local clones: let helm render charts, offline and with their own values.",
        ),
    ] = False,
    project: ProjectsOption = None,
    group: GroupsOption = None,
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
    log_format: LogFormatOption = TalkFormat.AUTO,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read which images configuration declares, before anything runs.

    GitLab CI configuration, Dockerfiles, Compose files, Kubernetes manifests, Kustomize and Helm
    charts. What cannot be known stays as it is written and counts as unresolved.

    Of a server: with --project, --group or --all, the default branch of each project into a store.
    A project whose default branch did not move costs one request, so run it every night; logminer
    drift then holds what is declared against what was pulled. Needs an access token with the scope
    read_api that may read the projects' files and ask for the CI configuration as the server
    merges it; where it may not, the file itself is read.

    Of local clones: with --path or the names of files, to the screen, without any server. With
    --check, a policy of allowed registries, required proxies, forbidden tags and required digests
    is held against them: for a pipeline job or a pre-commit hook.
    """
    with exit_codes():
        if files or path:
            from logminer.cli import inventory as local  # noqa: PLC0415 -- heavy

            told = local.Asked(
                files=files or (),
                directories=path or (),
                format=format.value,
                policy=check,
                mirrors=mirrors,
                variables=variable or (),
                output=output,
                render=render,
            )
            raise typer.Exit(local.run(told))
        if store is None:
            raise UsageError(
                "name a local clone with --path DIR, or files; or a --store for what the projects"
                " of a server declare"
            )
        for_clones = (check, output, variable or None, render or None)
        if any(each is not None for each in for_clones) or format is not InventoryFormat.TABLE:
            raise UsageError(
                "--check, --format, --output, --variable and --render are for local clones: name"
                " one with --path DIR, or files"
            )
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
        DriftFormat, typer.Option("--format", "-f", help="table, csv or json.")
    ] = DriftFormat.TABLE,
    rows: Annotated[
        int,
        typer.Option(
            metavar="NUMBER", min=1, help="Rows that a table shows of each part; others show all."
        ),
    ] = 10,
    output: OutputOption = None,
) -> None:
    """Hold what projects declare against what their jobs pulled.

    In a period: what is declared and pulled, declared and never pulled, pulled and never declared
    (and where it came from), tags that changed what they mean, images that came another way than
    declared, and what unresolved declarations became. Each with the line of the file and of the
    log.

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
        if format is not DriftFormat.TABLE:
            for note in built.notes:
                complain(note)
