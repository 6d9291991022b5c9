"""Kustomizations: `images:` replaces the name, tag or digest of what the manifests name.

The manifests' own rows stay what they say; the row here is what is deployed in their place.
A tag that the kustomization leaves alone is looked up in the manifests that it lists.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from logminer.inventory.kubernetes import is_object, is_patch, read_objects
from logminer.inventory.nodes import Map, Scalar, Seq, Source, documents, is_text, maps_in
from logminer.inventory.rows import Place, declaration, gap
from logminer.inventory.scalars import go_text
from logminer.inventory.variables import Expanded
from logminer.model import DeclarationKind, DeclaredRole, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from logminer.inventory.nodes import Node
    from logminer.model import Declaration

NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_KIND: Final = DeclarationKind.KUSTOMIZE
_GROUP: Final = "kustomize.config.k8s.io/"
_MAX_FILES: Final = 200
"""Manifests that are looked at for one kustomization."""


def is_kustomization(root: Node | None) -> bool:
    """Return whether a document is a kustomization by its content."""
    return isinstance(root, Map) and (root.text("apiVersion") or "").startswith(_GROUP)


def read_kustomization(path: str, root: Node, manifests: Manifests) -> Iterator[Declaration]:
    """Yield the images that a kustomization puts in the place of others, and inline patches'."""
    if not isinstance(root, Map):
        return
    entries = list(maps_in(root.get("images")))
    images = manifests.below(path, root) if entries else set()
    for entry in entries:
        yield from _replaced(path, entry, images)
    for key in ("patches", "patchesStrategicMerge", "patchesJson6902"):
        node = root.get(key)
        for each in node.items if isinstance(node, Seq) else []:
            patch = each.get("patch") if isinstance(each, Map) else each
            if is_text(patch) and "\n" in patch.text:
                yield from _inline(patch)
    for entry in maps_in(root.get("helmCharts")):
        name = entry.text("name")
        yield gap(path, entry.line, _KIND, f"chart {name}: only kustomize renders it", name)


def _inline(patch: Scalar) -> Iterator[Declaration]:
    """Yield the images of a patch that stands in the kustomization; its lines are not known."""
    for each in documents(patch.text.encode(), Source(patch.source.path)):
        if each.root is not None and (is_object(each.root) or is_patch(each.root)):
            for row in read_objects(each.root, _KIND):
                yield replace(row, line=patch.line)


def _replaced(path: str, entry: Map, images: set[str]) -> Iterator[Declaration]:
    """Yield the row of one entry of `images`, or one for each tag that it leaves standing."""
    name = entry.get("name")
    if not is_text(name):
        return
    new_name, digest = entry.text("newName"), entry.text("digest")
    new_tag = entry.get("newTag")
    tag = go_text(new_tag).strip() if is_text(new_tag) else None
    line_of = next((entry.get(k) for k in ("digest", "newTag", "newName") if entry.get(k)), name)
    place = Place(
        path=path,
        line=line_of.line if line_of is not None else name.line,
        kind=_KIND,
        name=name.text,
        role=DeclaredRole.WORKLOAD,
    )
    base = new_name or name.text
    end = f"@{digest}" if digest else ""
    if tag or end:
        written = f"{base}:{new_tag.text.strip()}{end}" if is_text(new_tag) else f"{base}{end}"
        yield declaration(place, written, _known(f"{base}:{tag}{end}" if tag else written))
        return
    if new_name is None:
        return
    tails = sorted(set(_tails(images, name.text)))
    if not tails:
        yield declaration(
            place,
            base,
            Expanded(text=None, resolution=Resolution.UNRESOLVED, names=("newTag",)),
            note=f"takes the tag of {name.text} in manifests that are not at hand",
        )
    for tail in tails:
        resolution = Resolution.RESOLVED if len(tails) == 1 else Resolution.ALTERNATIVE
        yield declaration(
            place,
            base,
            Expanded(text=f"{base}{tail}", resolution=resolution, names=()),
            note=f"takes the tag of {name.text} in the manifests",
        )


def _known(text: str) -> Expanded:
    return Expanded(text=text, resolution=Resolution.LITERAL, names=())


class Manifests:
    """The images that files name, each file read once for all kustomizations that list it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Read from these files."""
        self._files = files
        self._read: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def below(self, path: str, root: Map) -> set[str]:
        """Return the images of all manifests that a kustomization lists, through its bases."""
        found: set[str] = set()
        seen = {path}
        waiting = list(self._paths(path, _resources(root)))
        while waiting and len(seen) < _MAX_FILES:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            images, resources = self._file(each)
            found.update(images)
            waiting.extend(self._paths(each, resources))
        return found

    def _paths(self, path: str, resources: Iterable[str]) -> Iterator[str]:
        """Yield the files that are meant, of a directory its kustomization."""
        for entry in resources:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry))
            inner = next((f"{target}/{n}" for n in NAMES if f"{target}/{n}" in self._files), target)
            if inner in self._files:
                yield inner

    def _file(self, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the images of a file's objects, and what its kustomizations list."""
        if path not in self._read:
            images: dict[str, None] = {}
            resources: list[str] = []
            for each in documents(self._files[path], Source(path)):
                if isinstance(each.root, Map) and (
                    posixpath.basename(path) in NAMES or is_kustomization(each.root)
                ):
                    resources.extend(_resources(each.root))
                elif each.root is not None:
                    rows = read_objects(each.root)
                    images |= dict.fromkeys(row.image for row in rows if row.image)
            self._read[path] = tuple(images), tuple(resources)
        return self._read[path]


def _resources(node: Map) -> Iterator[str]:
    """Yield what a kustomization lists."""
    for key in ("resources", "bases", "components"):
        listed = node.get(key)
        for each in listed.items if isinstance(listed, Seq) else []:
            if is_text(each):
                yield each.text


def _tails(images: Iterable[str], name: str) -> Iterator[str]:
    """Yield tag and digest of the images of a name."""
    for image in images:
        tail = image.removeprefix(name)
        if image.startswith(name) and "/" not in tail and tail[:1] in {"", ":", "@"}:
            yield tail
