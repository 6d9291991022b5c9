"""The commands, their flags and their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from logminer import __version__
from logminer.cli.flags import (
    ArchivedOption,
    BundleOption,
    Depth,
    DurationOption,
    EverythingOption,
    ExcludeOption,
    FormatOption,
    GroupsOption,
    IncludeOption,
    LogFormatOption,
    MirrorsOption,
    OutputOption,
    PeriodOption,
    ProjectsOption,
    QuietOption,
    RateOption,
    RequestsOption,
    StoreOption,
    TableFormat,
    TalkFormat,
    TokenOption,
    TraceSizeOption,
    UrlOption,
    VerboseOption,
)
from logminer.cli.talk import complain, exit_codes

app = typer.Typer(
    name="logminer",
    help=(
        "Which container images did our GitLab CI really pull?"
        " Harvest the answer from job logs into Parquet, and ask."
    ),
    epilog=(
        "Exit codes: 0 complete, 1 failed, 2 usage or configuration, 3 partial, 4 not authorised,"
        " 75 locked or out of budget (try again), 130 interrupted."
        " Results go to stdout, everything else to stderr."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # frames cost half of the start-up and two thirds of the width
    pretty_exceptions_enable=False,
)


class UseFormat(StrEnum):
    """How image uses are printed."""

    TABLE = "table"
    JSONL = "jsonl"


class ReportFormat(StrEnum):
    """How a report is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MD = "md"
    HTML = "html"


class RowFormat(StrEnum):
    """How the answer to a statement is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class ScheduleKind(StrEnum):
    """Which files a schedule is made of."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    GITLAB = "gitlab"
    CONTAINER = "container"
    GRAFANA = "grafana"
    ALERTS = "alerts"


class SchemaFormat(StrEnum):
    """How the data dictionary is printed."""

    TABLE = "table"
    JSON = "json"


def _version(*, asked: bool) -> None:
    if asked:
        print(f"logminer {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda asked: _version(asked=asked),
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    store: Annotated[
        Path,
        typer.Option("--store", "-s", metavar="DIR", help="Directory that the demo fills anew."),
    ] = Path("logminer-demo"),
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the simulated GitLab up until Ctrl-C.")
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="NUMBER", help="Another seed is another company.")
    ] = 1,
) -> None:
    """See the whole product at work, without an account.

    Starts a simulated GitLab on this machine with a company's last two quarters in it, harvests it
    over HTTP into a store, and prints the report on last quarter. Takes a few seconds.
    """
    with exit_codes():
        from logminer.cli.demo import run  # noqa: PLC0415 -- heavy

        raise typer.Exit(run(store, keep=keep, seed=seed))


@app.command()
def harvest(  # noqa: PLR0913 -- one for each flag
    store: StoreOption,
    project: ProjectsOption = None,
    group: GroupsOption = None,
    *,
    everything: EverythingOption = False,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    archived: ArchivedOption = True,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only jobs created from here on: 2026-07-01, RFC 3339, or 7d: 7 days ago (UTC)."
            " An earlier one than before brings in what lies between.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only jobs created before this moment, same forms."),
    ] = None,
    depth: Annotated[
        Depth,
        typer.Option(
            help="prepare reads a log up to the end of the runner's preparation: the images of the"
            " job and its services, not what the script pulls and builds."
        ),
    ] = Depth.FULL,
    max_trace_size: TraceSizeOption = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    ca_bundle: BundleOption = None,
    mirrors: MirrorsOption = None,
    concurrency: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=256, help="Job logs read at a time.")
    ] = 32,
    rps: RateOption = None,
    max_requests: RequestsOption = None,
    max_duration: DurationOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Read no log and write nothing; say about how many projects, jobs, requests and"
            " minutes it would be.",
        ),
    ] = False,
    keep_preamble: Annotated[
        bool,
        typer.Option(
            "--keep-preamble",
            help="Keep of each log what tells of images (2 KB of an ordinary one), so that later"
            " rules can read it without the server. It is text of your logs: guard it as them.",
        ),
    ] = False,
    reparse: Annotated[
        bool,
        typer.Option(
            "--reparse",
            help="Read nothing new, but again what older rules have read: from what was kept, else"
            " from the server. A log that is gone by now leaves its rows as they are.",
        ),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="With --reparse: only from what was kept; no token needed."),
    ] = False,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what the run measured as OpenMetrics text, also when it fails; name it"
            " *.prom for the node exporter's textfile collector.",
        ),
    ] = None,
    log_format: LogFormatOption = TalkFormat.AUTO,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Read what is new on a GitLab server into a store.

    Jobs that were harvested before are not read again, so run it every night. It may be stopped at
    any time (Ctrl-C, even kill -9): the next run goes on where this one ended, and nothing is
    counted twice.

    Needs an access token with the scope read_api that may read the projects' jobs (role Reporter).
    """
    with exit_codes():
        from logminer.cli.asking import Server  # noqa: PLC0415 -- heavy
        from logminer.cli.nightly import Asked, run  # noqa: PLC0415 -- heavy
        from logminer.cli.watch import LogFormat, Volume  # noqa: PLC0415 -- heavy

        asked = Asked(
            server=Server(url=url, token_file=token_file, ca_bundle=ca_bundle),
            projects=project or (),
            groups=group or (),
            everything=everything,
            include=include or (),
            exclude=exclude or (),
            archived=archived,
            since=since,
            until=until,
            depth=depth.value,
            max_trace_size=max_trace_size,
            concurrency=concurrency,
            rps=rps,
            mirrors=mirrors,
            max_requests=max_requests,
            max_duration=max_duration,
            dry_run=dry_run,
            metrics_file=metrics_file,
            keep_preamble=keep_preamble,
            reparse=reparse,
            offline=offline,
            log_format=LogFormat(log_format.value),
            volume=Volume.of(quiet=quiet, verbose=verbose),
        )
        raise typer.Exit(run(store, asked))


@app.command()
def status(
    store: StoreOption,
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            "-p",
            metavar="PROJECT",
            help="Only this project, by id or full path; may be repeated.",
        ),
    ] = None,
    format: FormatOption = TableFormat.TABLE,  # noqa: A002 -- the flag's word
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Exit 3 unless every source was harvested completely within this time, as in 26h;"
            " a line for each. A health check.",
        ),
    ] = None,
) -> None:
    """Show how far each project is harvested, and what waits.

    Also how the last runs ended. Needs no server, and may be asked while a harvest runs. A gap is
    a project whose list of jobs was cut off or never begun: the next harvest goes on with it.
    """
    with exit_codes():
        from logminer.cli.status import run  # noqa: PLC0415 -- heavy

        code = run(store, projects=project or (), format=format.value, max_age=max_age)
        raise typer.Exit(code)


@app.command()
def verify(  # noqa: PLR0913 -- one for each flag
    store: StoreOption,
    project: Annotated[
        list[str] | None,
        typer.Option(
            "--project",
            "-p",
            metavar="PROJECT",
            help="Only this project, by id or full path; may be repeated. Else all that were"
            " harvested.",
        ),
    ] = None,
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="Jobs created from here on: 2026-07-01, RFC 3339, or 30d (UTC)."
        ),
    ] = "7d",
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Jobs created before this moment, same forms."),
    ] = None,
    url: UrlOption = None,
    token_file: TokenOption = None,
    ca_bundle: BundleOption = None,
    rps: RateOption = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Queue what is missing for the next harvest, and end the waiting for jobs of"
            " deleted pipelines.",
        ),
    ] = False,
) -> None:
    """Compare a store with the server and name what is missing.

    Lists the jobs of a period again, one request for each 100, and reads no log. Exit 0 if every
    job is stored or waits for the next harvest, 3 if some are missing. Rows whose job the server
    has deleted since are counted and kept.
    """
    with exit_codes():
        from logminer.cli.asking import Server  # noqa: PLC0415 -- heavy
        from logminer.cli.check import run  # noqa: PLC0415 -- heavy

        code = run(
            store,
            Server(url=url, token_file=token_file, ca_bundle=ca_bundle),
            projects=project or (),
            since=since,
            until=until,
            rps=rps,
            repair=repair,
        )
        raise typer.Exit(code)


@app.command()
def extract(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Job logs; - is standard input.")
    ],
    format: Annotated[  # noqa: A002 -- the flag's word
        UseFormat, typer.Option("--format", "-f", help="table for people, jsonl for programs.")
    ] = UseFormat.TABLE,
    *,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show every line that a rule read, and what became of it."),
    ] = False,
    mirrors: MirrorsOption = None,
) -> None:
    """Show the image uses in job logs; needs no store and no server.

    With --format jsonl each use is one JSON object on one line: file, and the columns of the groups
    trace, use, image and evidence (see logminer schema).

    With --explain the lines come first that a rule of the grammar read: where they stand, which
    rule read them, whether they are believed and which image use they were folded into. A line that
    is missing was found by no rule. With --format jsonl it prints those lines only.
    """
    with exit_codes():
        from logminer.cli.logs import run  # noqa: PLC0415 -- heavy

        jsonl = format is UseFormat.JSONL
        raise typer.Exit(run(files, jsonl=jsonl, explain=explain, mirrors=mirrors))


@app.command()
def report(
    store: StoreOption,
    period: PeriodOption = "last-quarter",
    format: Annotated[  # noqa: A002 -- the flag's word
        ReportFormat,
        typer.Option("--format", "-f", help="table, csv, json, md or html: one page with charts."),
    ] = ReportFormat.TABLE,
    output: OutputOption = None,
) -> None:
    """Answer what our CI pulled in a period.

    Beside each figure stands the one of the period before. Coverage comes first, so that nobody
    takes a partial answer for a whole one.

    With --format html -o report.html it is one page to open or to mail: charts, tables that sort,
    links to the lines of the job logs. The page fetches nothing.
    """
    with exit_codes():
        from logminer.cli.output import opened  # noqa: PLC0415 -- only where a command runs
        from logminer.report import Format  # noqa: PLC0415 -- heavy
        from logminer.report import report as write  # noqa: PLC0415 -- heavy
        from logminer.store import open_store  # noqa: PLC0415 -- heavy

        source = open_store(store)
        with opened(output) as out:
            built = write(source, period, format=Format(format.value), out=out)
        if built.empty and format in {ReportFormat.CSV, ReportFormat.JSON}:
            for note in built.notes:
                complain(note)


@app.command()
def schema(
    format: Annotated[  # noqa: A002 -- the flag's word
        SchemaFormat, typer.Option("--format", "-f", help="table for people, json for programs.")
    ] = SchemaFormat.TABLE,
) -> None:
    """Print every column of every table, and what it means."""
    with exit_codes():
        from logminer.cli.pages import dictionary_json, dictionary_table  # noqa: PLC0415 -- heavy
        from logminer.store.schema import data_dictionary  # noqa: PLC0415 -- heavy

        if format is SchemaFormat.JSON:
            print(dictionary_json(data_dictionary()))
        else:
            dictionary_table(data_dictionary())


@app.command()
def exposure(  # noqa: PLR0913 -- one for each flag
    store: StoreOption,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME…",
            help="bitnami, bitnami/redis, 'docker.io/library/*', quay.io, python:3.8, …",
            show_default=False,
        ),
    ] = None,
    *,
    names_file: Annotated[
        Path | None,
        typer.Option("--names", metavar="FILE", help="File with a name on each line; # remarks."),
    ] = None,
    period: Annotated[
        str | None,
        typer.Option("--period", "-p", metavar="PERIOD", help="last-quarter, 90d, 2026-07, …"),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Jobs from here on: 2026-07-01 or 90d.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Jobs before this moment, same forms.")
    ] = None,
    format: FormatOption = TableFormat.TABLE,  # noqa: A002 -- the flag's word
    output: OutputOption = None,
) -> None:
    """Answer who depends on images of these names.

    For the day on which a registry announces a deletion or a price: which projects, jobs and
    schedules use an organisation, a repository, a registry or a pattern, how often, last when,
    through which proxy and with which digests. Without a time, in everything that was harvested.

    A name without a registry is one of Docker Hub; * stands for anything. Images that came through
    a proxy are found by the names they have behind it. csv and json have a row for each image and
    job with all there is to hand over, and the address of a line in a job log that shows it.

    The exit code is 0 also where nothing depends on a name; that is said on stderr.
    """
    with exit_codes():
        from logminer.analysis import When  # noqa: PLC0415 -- heavy
        from logminer.cli.exposed import run  # noqa: PLC0415 -- heavy
        from logminer.cli.rows import Format  # noqa: PLC0415 -- heavy

        when = When(period=period, since=since, until=until)
        run(store, names or (), names_file, when=when, form=Format(format.value), output=output)


@app.command()
def query(
    store: StoreOption,
    sql: Annotated[
        str | None,
        typer.Argument(metavar="SQL", help="A SELECT; - reads it from stdin.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="File with the SELECT.")
    ] = None,
    format: Annotated[  # noqa: A002 -- the flag's word
        RowFormat, typer.Option("--format", "-f", help="table, csv, json or parquet.")
    ] = RowFormat.TABLE,
    output: OutputOption = None,
) -> None:
    """Answer a SELECT over the views images and jobs.

    The dialect is DuckDB's; `logminer schema` prints the columns. A filter on date opens only the
    files of those days:

      logminer query "select registry, count(*) from images
      where date >= '2026-07-01' and outcome = 'pulled' group by registry"

    It only reads, and nothing but these two views. Rows are written as they are found.
    """
    with exit_codes():
        from logminer.cli.query import run  # noqa: PLC0415 -- heavy
        from logminer.cli.rows import Format  # noqa: PLC0415 -- heavy

        run(store, sql, file, Format(format.value), output)


@app.command()
def migrate(
    store: StoreOption,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many files are of which version.")
    ] = False,
    log_format: LogFormatOption = TalkFormat.AUTO,
    quiet: QuietOption = False,
) -> None:
    """Bring a store that an older logminer wrote up to date.

    Writes each Parquet file of an older schema version anew, and brings the ledgers up to date. It
    may be stopped at any time (Ctrl-C, even kill -9) and run again; readers may go on reading. A
    store that a newer logminer wrote is refused (exit 2), one that is being harvested is left for
    later (exit 75).

    A harvest needs no migration first: it brings its ledger and the days it touches up to date.
    """
    with exit_codes():
        from logminer.cli.migrate import run  # noqa: PLC0415 -- heavy
        from logminer.cli.watch import LogFormat  # noqa: PLC0415 -- heavy

        run(store, dry_run=dry_run, log_format=LogFormat(log_format.value), quiet=quiet)


@app.command(context_settings={"ignore_unknown_options": True})
def schedule(  # noqa: PLR0913 -- one for each flag
    kind: Annotated[ScheduleKind, typer.Argument(help="Which files to print.")],
    flags: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="HARVEST FLAGS",
            help="Flags of logminer harvest: scope, --store, --url, --max-duration, …",
        ),
    ] = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write the files here, rather than print them."
        ),
    ] = None,
    at: Annotated[
        str,
        typer.Option(metavar="HH:MM", help="When it runs; UTC, but for cron, which has its own."),
    ] = "02:17",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Of units, jobs, secrets: several need several.")
    ] = "logminer",
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="An image with logminer in it, for containers."),
    ] = None,
) -> None:
    """Print files that run a harvest every night, and watch over it.

    systemd, cron, kubernetes and gitlab run it; container is the image that the latter two need;
    grafana and alerts are a dashboard and rules over what --metrics-file writes. The files are
    complete and commented, for this installation: program, store, server and scope are taken from
    the flags and the environment, and CHANGE-ME stands for what neither says. No file holds a
    token: each says where to put it.

    As in: logminer schedule systemd --group my-group --max-duration 3h -o units
    """
    with exit_codes():
        import datetime as dt  # noqa: PLC0415 -- only where a command runs

        from typer.main import get_command  # noqa: PLC0415 -- the same

        from logminer.cli.schedule import run  # noqa: PLC0415 -- heavy

        group = get_command(app)
        run(
            kind.value,
            group.commands["harvest"],  # type: ignore[attr-defined] # typer's own group
            flags or (),
            output=output,
            at=at,
            name=name,
            image=image,
            now=dt.datetime.now(dt.UTC),
        )


# Long signatures stand by themselves; to import one is to register its command.
from logminer.cli import declaring as _declaring  # noqa: E402, F401
from logminer.cli import mine as _mine  # noqa: E402, F401
