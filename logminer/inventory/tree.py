"""A whole repository, file by file, to what it declares: charts and includes need each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from logminer.inventory.facts import Facts
    from logminer.model import Declaration, DeclarationKind

MAX_FILE_BYTES = 64 * 2**20
"""What is longer is not read but named as a gap."""


def wanted(path: str) -> bool:
    """Return whether a file of this name may declare an image or help to resolve one."""
    raise NotImplementedError


def unread(path: str, note: str, kind: DeclarationKind | None = None) -> Declaration:
    """Return the row of a file that may declare images and was not read, and why.

    For whoever holds the files: too large, not permitted, not to be had.
    The kind is told by the name where none is given.
    """
    raise NotImplementedError


def read_tree(
    files: Iterable[tuple[str, bytes]], facts: Facts, *, merged: str | None = None
) -> list[Declaration]:
    """Return what the files of a repository declare, in the order of path, line and name.

    `files` are pairs of path and content, in any order, those that are `wanted` at least.
    `merged` is the CI configuration as the server merged it (`merged_yaml` of the lint API): it
    then stands for the project's configuration file and everything that it includes, and the files
    only say on which line a row stands, where that is certain. Without it the configuration is read
    from the files and what they include of each other; what lies elsewhere is a gap, which is said.
    Never raises for any content.
    """
    raise NotImplementedError


def read_file(path: str, data: bytes, facts: Facts) -> list[Declaration]:
    """Return what one file declares; its name and content tell its kind.

    The same as `read_tree` with this file alone, but CI configuration may have any YAML file name.
    """
    raise NotImplementedError
