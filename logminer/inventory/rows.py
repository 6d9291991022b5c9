"""Rows put together: what every reader says in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from logminer.inventory.nodes import MAX_DEPTH, Scalar, Seq, is_text, text_of
from logminer.inventory.variables import MAX_LENGTH
from logminer.model import Declaration, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.inventory.nodes import Node
    from logminer.inventory.variables import Expanded
    from logminer.model import DeclarationKind, DeclaredRole

_MAX_NOTE: Final = 300
_MAX_NAME: Final = 255
"""Characters: GitLab's own bound for the name of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a declaration stands and what it is for."""

    path: str
    line: int | None
    kind: DeclarationKind
    name: str | None
    role: DeclaredRole


def short(text: str, limit: int = _MAX_NAME) -> str:
    """Return a text that is no longer than the limit."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def declaration(  # noqa: PLR0913 -- one for each column that is not the same for all
    place: Place,
    image: str,
    expanded: Expanded,
    *,
    pull_policy: str | None = None,
    platform: str | None = None,
    note: str | None = None,
) -> Declaration:
    """Return the row of an image whose variables were replaced as far as they are known."""
    if len(image) > MAX_LENGTH:
        return gap(
            place.path, place.line, place.kind, f"an image of {len(image):,} characters", place.name
        )
    return Declaration(
        path=place.path,
        line=place.line,
        kind=place.kind,
        name=short(place.name) if place.name is not None else None,
        role=place.role,
        image=image,
        resolved=expanded.text,
        resolution=expanded.resolution,
        variables=expanded.names,
        pull_policy=short(pull_policy) if pull_policy else None,
        platform=short(platform) if platform else None,
        note=short(note, _MAX_NOTE) if note else None,
    )


def gap(
    path: str, line: int | None, kind: DeclarationKind, note: str, name: str | None = None
) -> Declaration:
    """Return the row of something that may declare images and was not read, and why."""
    return Declaration(
        path=path,
        line=line,
        kind=kind,
        name=short(name) if name is not None else None,
        role=None,
        image=None,
        resolved=None,
        resolution=Resolution.UNREAD,
        note=short(note, _MAX_NOTE),
    )


def policies(node: Node | None) -> str | None:
    """Return pull policies in their order: of one word, or of a list."""
    if isinstance(node, Seq):
        return " ".join(each.text for each in node.items if is_text(each)) or None
    return text_of(node)


def flat(node: Node | None, depth: int = 0) -> Iterator[Scalar]:
    """Yield the single values of a list and of the lists in it."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Seq) and depth < MAX_DEPTH:
        for each in node.items:
            yield from flat(each, depth + 1)
