"""The commands about what is declared: their flags and their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 -- typer reads it when the program runs
from typing import Annotated

import typer

from logminer.cli.app import MirrorsOption, OutputOption, app
from logminer.cli.talk import exit_codes
from logminer.errors import UsageError


class InventoryFormat(StrEnum):
    """How declarations and findings are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JUNIT = "junit"
    CODEQUALITY = "codequality"


@app.command()
def inventory(  # noqa: PLR0913 -- one for each flag
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Only these files of local clones."),
    ] = None,
    *,
    path: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Local clone, or a directory of them; may be repeated."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TOML file of rules; prints what breaks them, and exits with 1 if anything does.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 -- the flag's word
        InventoryFormat,
        typer.Option(
            "--format", "-f", help="table, csv or json; with --check also junit or codequality."
        ),
    ] = InventoryFormat.TABLE,
    output: OutputOption = None,
    variable: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A CI/CD variable of the project; may be repeated."
        ),
    ] = None,
    mirrors: MirrorsOption = None,
    render: Annotated[
        bool,
        typer.Option("--render", help="Let helm render charts, offline and with their own values."),
    ] = False,
) -> None:
    """Show which images configuration declares, before anything runs.

    Reads GitLab CI configuration, Dockerfiles, Compose files, Kubernetes manifests, Kustomize and
    Helm charts in local clones, without any server. What cannot be known stays as it is written and
    counts as unresolved.

    With --check, a policy of allowed registries, required proxies, forbidden tags and required
    digests is held against them: for a pipeline job or a pre-commit hook.
    """
    with exit_codes():
        from logminer.cli.inventory import Asked, run  # noqa: PLC0415 -- heavy

        if not files and not path:
            raise UsageError("name a local clone with --path DIR, or files")
        asked = Asked(
            files=files or (),
            directories=path or (),
            format=format.value,
            policy=check,
            mirrors=mirrors,
            variables=variable or (),
            output=output,
            render=render,
        )
        raise typer.Exit(run(asked))
