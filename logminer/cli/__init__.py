"""The command line is a skin: flags become calls, errors become exit codes, nothing is computed.

    app       the commands, their flags, their help
    talk      errors to one line and an exit code; what goes to stderr
    watch     progress on a terminal, plain or JSON lines elsewhere
    summary   what a run has done, in a few lines
    pages     rows as tables and JSON lines
    output    stdout, or a file that appears when it is complete
    values    flags' texts to lengths of time and sizes
    nightly   `logminer harvest`
    again     `logminer harvest --reparse`
    metrics   `logminer harvest --metrics-file`
    status    `logminer status`
    migrate   `logminer migrate`
    schedule  `logminer schedule`
    check     `logminer verify`
    logs      `logminer extract`
    declaring the commands about what is declared, their flags, their help
    inventory `logminer inventory`
    clones    the files of local clones
    declared  declarations and findings as tables and reports
    explain   `logminer extract --explain`
    exposed   `logminer exposure`
    query     `logminer query`
    rows      rows of any columns, batch by batch, in every format
    demo      the whole product without an account

Results go to stdout, talk goes to stderr. Heavy rooms are imported inside the commands that use
them, so that `logminer --help` answers at once.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    import io  # noqa: PLC0415 -- `import logminer.cli` must stay cheap
    import sys  # noqa: PLC0415

    from logminer.cli.app import app  # noqa: PLC0415

    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal's encoding lacks, or a file's name that is no text, ends no answer.
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


__all__ = ["main"]
