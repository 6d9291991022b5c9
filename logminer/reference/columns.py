"""The columns that say which image a text names: one meaning for what is declared and pulled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from logminer.reference.grammar import parse

if TYPE_CHECKING:
    from logminer.reference.upstream import Upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageColumns:
    """The normalised columns of an image; all None where the text is no reference.

    The meaning of every field stands in `logminer.store.schema`, once.
    """

    registry: str | None = None
    repository: str | None = None
    tag: str | None = None
    digest: str | None = None
    reference: str | None = None
    via: str | None = None
    upstream_registry: str | None = None
    upstream_repository: str | None = None


def image_columns(text: str | None, upstreams: Upstreams) -> ImageColumns:
    """Return the columns of an image reference, seen through these mirrors; never raises."""
    ref = parse(text) if text is not None else None
    if ref is None:
        return ImageColumns()
    upstream = upstreams.resolve(ref)
    return ImageColumns(
        registry=ref.registry,
        repository=ref.repository,
        tag=ref.tag,
        digest=ref.digest,
        reference=ref.reference,
        via=upstream.via if upstream else None,
        upstream_registry=upstream.registry if upstream else None,
        upstream_repository=upstream.repository if upstream else None,
    )
