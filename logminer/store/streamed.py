"""A dataset that DuckDB may ask for its rows while Arrow reads its files through Python.

An object of a bucket is opened and read by Python. Arrow's threads ask for Python's lock to do so,
and hold one of the dataset's meanwhile; but `Scanner.to_reader`, which is what DuckDB calls, waits
for that one without letting go of Python's (pyarrow 26): now and then both wait for ever. The
scanner's batches are asked for without Python's lock, so the reader is made of them.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds


class Streamed(ds.FileSystemDataset):  # type: ignore[misc]  # pyarrow has no types
    """A dataset of files whose scanners can be read in any thread."""

    def scanner(self, **options: Any) -> _Scanner:  # noqa: ANN401 -- pyarrow's own
        """Return a scanner, as the base does."""
        return _Scanner(super().scanner(**options))


class _Scanner:
    """A scanner with another reader."""

    def __init__(self, scanner: ds.Scanner) -> None:
        self._scanner = scanner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the scanner has
        return getattr(self._scanner, name)

    def to_reader(self) -> pa.RecordBatchReader:
        """Return a reader of the rows."""
        return pa.RecordBatchReader.from_batches(
            self._scanner.projected_schema, self._scanner.to_batches()
        )
