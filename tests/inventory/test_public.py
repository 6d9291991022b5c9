"""Real configuration: whatever lies in the packages that are installed on this machine."""

from __future__ import annotations

import contextlib
import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from logminer.inventory import Facts, read_file, wanted
from logminer.model import Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = ("/usr/share", "/usr/lib", "/usr/local", "/opt", sysconfig.get_path("purelib"))
OURS = Path(__file__).parents[2]
TOO_LARGE = 1 << 20


def _found() -> Iterator[tuple[Path, bytes]]:
    """Yield files of other people that may declare images."""
    for place in dict.fromkeys(PLACES):
        for folder, _, names in os.walk(place):
            for name in names:
                path = Path(folder, name)
                if not wanted(name) or path.is_relative_to(OURS / "tests"):
                    continue
                with contextlib.suppress(OSError):
                    if path.is_file() and path.stat().st_size <= TOO_LARGE:
                        data = path.read_bytes()
                        if b"image" in data or b"FROM" in data:
                            yield path, data


@pytest.mark.slow
def test_public_configuration() -> None:
    """Reading it raises nothing, and every image that is written out is on the line it is said."""
    images = 0
    for path, data in _found():
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        for row in read_file(path.name, data, Facts()):
            if row.resolution is Resolution.LITERAL and row.line is not None:
                images += 1
                assert (row.image or "") in lines[row.line - 1], (path, row)
    if not images:
        pytest.skip("no configuration that names an image in the packages of this machine")
