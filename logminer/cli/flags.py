"""Flags that more than one command has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Depth(StrEnum):
    """How much of a log is read."""

    FULL = "full"
    PREPARE = "prepare"


class TalkFormat(StrEnum):
    """How a run talks."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        "-s",
        envvar="LOGMINER_STORE",
        metavar="STORE",
        help="Directory of the store; or its URL: s3://bucket/prefix, gs://… or az://….",
        show_default=False,
    ),
]

MirrorsOption = Annotated[
    Path | None,
    typer.Option(
        "--mirrors",
        envvar="LOGMINER_MIRRORS",
        metavar="FILE",
        help="TOML table of your registry mirrors and pull-through caches, to see through them:"
        " [[mirror]] entries with name, registry, prefix and upstream.",
    ),
]


UrlOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The GitLab server; else GITLAB_URL, else python-gitlab's configuration file.",
    ),
]

TokenOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File with the access token (scope read_api); else GITLAB_TOKEN, else"
        " python-gitlab's configuration file.",
    ),
]

BundleOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificates to trust, for a private root."),
]

RateOption = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        help="Most requests a second, 0.5 for one in two seconds; else as the server allows.",
    ),
]

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to stdout."),
]

ProjectsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--project",
        "-p",
        metavar="PROJECT",
        help="Project, by id or full path; may be repeated.",
    ),
]

GroupsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group",
        "-g",
        metavar="GROUP",
        help="Group with its subgroups, by id or full path; may be repeated.",
    ),
]

EverythingOption = Annotated[
    bool,
    typer.Option(
        "--all", help="Every project: of the instance for an administrator, else your own."
    ),
]

IncludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of those, only projects whose full path fits, as in 'shop/*'; may be repeated.",
    ),
]

ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of those, no project whose full path fits, as in '*/sandbox-*'; may be repeated.",
    ),
]

ArchivedOption = Annotated[
    bool, typer.Option("--archived/--no-archived", help="With or without archived projects.")
]

RequestsOption = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        help="End in good order after so many requests (exit 75); the next run goes on there.",
    ),
]

DurationOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="The same after so long: 30m, 2h. For a window in the night."
    ),
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")]

VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say each failure when it happens, and why.")
]

TraceSizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Of a longer log only so much is read, as in 20M; its job is marked truncated.",
    ),
]

LogFormatOption = Annotated[
    TalkFormat,
    typer.Option(
        help="auto draws progress on a terminal and writes plain lines elsewhere; json writes"
        " one object for each line. Lines carry the run's id."
    ),
]
