"""`logminer query`: SQL over a store's tables."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from logminer.analysis import stream
from logminer.cli.output import opened
from logminer.cli.rows import Format, write
from logminer.cli.talk import counted, say
from logminer.errors import UsageError
from logminer.store import open_store

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO


def run(store: str, sql: str | None, file: Path | None, form: Format, output: Path | None) -> None:
    """Answer a statement; says on a terminal how many rows there were."""
    statement = _statement(sql, file)
    with opened(output) as out, stream(open_store(store), statement) as answer:
        rows = write(answer.schema, answer, form, out)
        if form is Format.TABLE and out.isatty():
            say(counted(rows, "row"))


def _statement(sql: str | None, file: Path | None) -> str:
    """Return the statement from where it stands."""
    if (sql is None) == (file is None):
        raise UsageError('write one statement, as in "select * from jobs", or name a --file of it')
    if file is not None:
        try:
            return file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{file}: is not UTF-8 text; name a file with a statement") from error
    return _all(sys.stdin) if sql == "-" else str(sql)


def _all(stdin: TextIO) -> str:
    try:
        return stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError("standard input is not UTF-8 text; write a statement") from error
