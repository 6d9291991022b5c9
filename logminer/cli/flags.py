"""Flags that more than one command has."""

from __future__ import annotations

from typing import Annotated

import typer

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
