"""Image references: taken apart, made canonical, and seen through mirrors.

    grammar     text to registry, repository, tag and digest
    upstream    the registry and repository behind a proxy or cache
    columns     both together, as the tables show them

Pure but for `Upstreams.load`, which reads one file; `parse` and `resolve` never raise.
"""

from logminer.reference.columns import ImageColumns, image_columns
from logminer.reference.grammar import ImageReference, canonical_registry, image_id, parse
from logminer.reference.upstream import Mirror, Upstream, Upstreams

__all__ = [
    "ImageColumns",
    "ImageReference",
    "Mirror",
    "Upstream",
    "Upstreams",
    "canonical_registry",
    "image_columns",
    "image_id",
    "parse",
]
