"""Rows of any columns, batch by batch, as a table, CSV, JSON or Parquet.

Nothing is held but the batch at hand, however many rows there are. Names of columns and cells are
foreign text on each surface: a statement can name a column as it likes.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
import math
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Final, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from logminer.errors import UsageError
from logminer.foreign import cell, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

_GAP: Final = 2
"""Blanks between two columns."""

_LEAST: Final = 6
"""Characters that a column keeps on the narrowest screen."""

_SCREEN: Final = 200
"""Rows whose longest cells give the columns of a table their widths."""

_UNBOUNDED: Final = 10_000
"""Columns of a table that is not for a screen: one line for each row, whatever its length."""


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def write(schema: pa.Schema, batches: Iterable[pa.RecordBatch], form: Format, out: TextIO) -> int:
    """Write rows in a format and return how many there were.

    Raises UsageError for Parquet on a screen.
    """
    if form is Format.PARQUET:
        return _parquet(schema, batches, out)
    names = [str(name) for name in schema.names]
    writer = {Format.TABLE: _table, Format.CSV: _csv, Format.JSON: _json}[form]
    return writer(names, _records(batches), out)


def _records(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[object, ...]]:
    """Yield rows as Python values; columns may share a name, so these are no mappings."""
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], out: TextIO) -> int:
    import pyarrow as pa  # noqa: PLC0415 -- heavy
    import pyarrow.parquet as pq  # noqa: PLC0415 -- heavy

    if out.isatty():
        raise UsageError("Parquet is not for a screen: name a file with -o FILE")
    rows = 0
    with pq.ParquetWriter(out.buffer, schema, compression="zstd") as writer:
        try:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        except pa.ArrowNotImplementedError as error:
            raise UsageError(f"Parquet cannot hold this answer: {error}") from error
    return rows


def _csv(names: Sequence[str], rows: Iterable[tuple[object, ...]], out: TextIO) -> int:
    """Write a header and rows: text is quoted, numbers are not, what is null is empty."""
    lines = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    lines.writerow([cell(name) for name in names])
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007 -- returned
        lines.writerow([_csv_cell(value) for value in row])
    return count


def _csv_cell(value: object) -> object:
    """Return a number as it is, everything else as text that is only text."""
    match value:
        case bool():
            return _text(value)
        case None | int() | float() | decimal.Decimal():
            return _plain(value)
        case _:
            return cell(_text(value))


def _json(names: Sequence[str], rows: Iterable[tuple[object, ...]], out: TextIO) -> int:
    """Write an array with one object on each line; everything beyond ASCII is escaped."""
    count = 0
    out.write("[")
    for count, row in enumerate(rows, 1):
        out.write(",\n" if count > 1 else "\n")
        out.write(json.dumps(dict(zip(names, map(_plain, row), strict=True)), allow_nan=False))
    out.write("\n]\n")
    return count


def _plain(value: object) -> object:
    """Return a value in the words of JSON: times in RFC 3339, null for what is no number."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return _text(value)


def _text(value: object) -> str:
    """Return a value as text, the same in every format."""
    match value:
        case bool() | list() | dict():
            return json.dumps(_plain(value), ensure_ascii=False)
        case dt.datetime() if value.tzinfo is not None:
            return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
        case dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value)


def _table(names: Sequence[str], rows: Iterable[tuple[object, ...]], out: TextIO) -> int:
    """Write a table for a person; what is too wide for the screen goes on below itself.

    Rows of more columns than the screen has room for are written one cell on each line.
    """
    console = Console(file=out)
    page = console.width if console.is_terminal else _UNBOUNDED
    plain = console.options.ascii_only
    shown = iter(
        tuple("" if value is None else visible(_text(value), ascii_only=plain) for value in row)
        for row in rows
    )
    first = [row for row, _ in zip(shown, range(_SCREEN), strict=False)]
    titles = [visible(name, ascii_only=plain) for name in names]
    widths = [max(map(cell_len, column)) for column in zip(titles, *first, strict=True)]
    if sum(min(width, _LEAST) for width in widths) + _GAP * (len(widths) - 1) > page:
        layout = _records_down(titles)
    else:
        layout = _records_across(_fitted(widths, page))
        _lines(layout(titles), out)
    count = 0
    for count, row in enumerate(chain(first, shown), 1):  # noqa: B007 -- returned
        _lines(layout(row), out)
    return count


def _lines(lines: Iterable[str], out: TextIO) -> None:
    out.writelines(line.rstrip() + "\n" for line in lines)


def _fitted(widths: list[int], page: int) -> list[int]:
    """Return widths that fit the page: the widest columns give way first."""
    fitted = list(widths)
    while sum(fitted) + _GAP * (len(fitted) - 1) > page:
        widest = max(range(len(fitted)), key=fitted.__getitem__)
        fitted[widest] -= 1
    return fitted


def _records_across(widths: Sequence[int]) -> Callable[[Sequence[str]], Iterator[str]]:
    """Return what writes a row beside the titles, in as many lines as its longest cell needs."""

    def lines(row: Sequence[str]) -> Iterator[str]:
        folded = [list(_folded(text, width)) for text, width in zip(row, widths, strict=True)]
        for at in range(max(map(len, folded), default=0)):
            yield (" " * _GAP).join(
                set_cell_size(parts[at] if at < len(parts) else "", width)
                for parts, width in zip(folded, widths, strict=True)
            )

    return lines


def _records_down(titles: Sequence[str]) -> Callable[[Sequence[str]], Iterator[str]]:
    """Return what writes a row as lines of a title and its cell, and an empty line."""
    width = max(map(cell_len, titles))

    def lines(row: Sequence[str]) -> Iterator[str]:
        for title, text in zip(titles, row, strict=True):
            yield set_cell_size(title, width + _GAP) + text
        yield ""

    return lines


def _folded(text: str, width: int) -> Iterator[str]:
    """Yield a text in pieces of at most so many columns of the screen; joined they are the text."""
    if cell_len(text) <= width:
        yield text
        return
    piece, room = "", width
    for character in text:
        size = cell_len(character)
        if size > room and piece:
            yield piece
            piece, room = "", width
        piece += character
        room -= size
    yield piece
