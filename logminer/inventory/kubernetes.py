"""Kubernetes manifests: every container of every pod, wherever its template stands.

A pod is told by its shape and not by the kind of the object, so that lists, CronJobs and custom
resources that embed a template are read alike.
A custom resource's definition only describes shapes and is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from logminer.inventory.nodes import MAX_NODES, Map, Scalar, Seq, is_text
from logminer.inventory.rows import Place, declaration, gap
from logminer.inventory.templates import TEMPLATE, unrendered
from logminer.inventory.variables import expand_compose
from logminer.model import DeclarationKind, DeclaredRole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.inventory.nodes import Node
    from logminer.model import Declaration

_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")
"""Of a pod; the order in which they start."""

_TASKS: Final = {
    "tekton.dev": ("steps", "sidecars", "stepTemplate"),
    "argoproj.io": ("container", "script", "sidecars", "initContainers"),
}
"""Containers of resources that are no pods yet and become some, by their group."""

_DEFINITION: Final = "CustomResourceDefinition"
_PATCHES: Final = frozenset({"add", "replace"})


def is_object(node: Node | None) -> bool:
    """Return whether a node is an object of Kubernetes."""
    return isinstance(node, Map) and bool(node.text("apiVersion") and node.text("kind"))


def is_patch(root: Node | None) -> bool:
    """Return whether a document is a list of JSON 6902 operations."""
    return isinstance(root, Seq) and any(
        isinstance(each, Map) and each.text("op") and each.text("path") for each in root.items
    )


def read_objects(
    root: Node, kind: DeclarationKind = DeclarationKind.KUBERNETES
) -> Iterator[Declaration]:
    """Yield the images of one document."""
    if is_patch(root):
        yield from _patched(root, kind)
        return
    yield from _Walk(kind).rows(root)


def _patched(root: Node, kind: DeclarationKind) -> Iterator[Declaration]:
    """Yield the images that a JSON patch sets."""
    for each in root.items if isinstance(root, Seq) else []:
        if not isinstance(each, Map) or each.text("op") not in _PATCHES:
            continue
        value = each.get("value")
        path = each.text("path") or ""
        if is_text(value) and path.endswith("/image"):
            yield _row(kind, path, value, None)
        elif value is not None:
            walk = _Walk(kind)
            yield from walk.container(value, path)
            yield from walk.rows(value, path)


class _Walk:
    """One walk through a document, in its order, bounded also where aliases multiply it."""

    def __init__(self, kind: DeclarationKind) -> None:
        self._kind = kind
        self._left = MAX_NODES

    def rows(self, root: Node, owner: str = "") -> Iterator[Declaration]:
        """Yield the images of every pod and task below a node."""
        stack: list[tuple[Node, str, str]] = [(root, owner, "")]
        while stack:
            node, owner, group = stack.pop()
            self._left -= 1
            if self._left < 0:
                yield gap(
                    root.source.path, root.line, self._kind, "too many values behind aliases", owner
                )
                return
            if isinstance(node, Seq):
                stack.extend((each, owner, group) for each in reversed(node.items))
            elif isinstance(node, Map):
                kind = node.text("kind")
                if kind == _DEFINITION:
                    continue
                if is_object(node):
                    owner, group = _named(node), (node.text("apiVersion") or "").partition("/")[0]
                yield from self._pod(node, owner)
                yield from self._tasks(node, owner, group)
                stack.extend((each, owner, group) for each in reversed(node.entries.values()))

    def _pod(self, node: Map, owner: str) -> Iterator[Declaration]:
        """Yield the containers and image volumes that a mapping has, if it is a pod's."""
        for key in _LISTS:
            containers = node.get(key)
            if isinstance(containers, Seq):
                for each in containers.items:
                    yield from self.container(each, owner)
        volumes = node.get("volumes")
        for each in volumes.items if isinstance(volumes, Seq) else []:
            image = each.get("image") if isinstance(each, Map) else None
            if isinstance(each, Map) and isinstance(image, Map):
                reference = image.get("reference")
                if is_text(reference):
                    name = _joined(owner, each.text("name"))
                    yield _row(self._kind, name, reference, image.text("pullPolicy"))

    def _tasks(self, node: Map, owner: str, group: str) -> Iterator[Declaration]:
        """Yield the containers of a resource that its group's controller makes pods of."""
        for key in _TASKS.get(group, ()):
            found = node.get(key)
            if key not in _LISTS:
                for each in found.items if isinstance(found, Seq) else [found]:
                    yield from self.container(each, owner)

    def container(self, node: Node | None, owner: str) -> Iterator[Declaration]:
        """Yield the image of a mapping, if it is a container."""
        image = node.get("image") if isinstance(node, Map) else None
        if isinstance(node, Map) and is_text(image) and image.text.strip():
            name = _joined(owner, node.text("name"))
            yield _row(self._kind, name, image, node.text("imagePullPolicy"))


def _named(node: Map) -> str:
    """Return `Kind/name` of an object."""
    metadata = node.get("metadata")
    name = None
    if isinstance(metadata, Map):
        name = metadata.text("name") or metadata.text("generateName")
    return f"{node.text('kind')}/{name or '?'}"


def _joined(owner: str, name: str | None) -> str:
    return "/".join(each for each in (owner, name) if each)


def _row(kind: DeclarationKind, name: str, image: Scalar, policy: str | None) -> Declaration:
    """Return the row of one image; Kubernetes replaces nothing, tools before it may."""
    text = image.text.strip()
    place = Place(
        path=image.source.path,
        line=image.line,
        kind=kind,
        name=name or None,
        role=DeclaredRole.WORKLOAD,
    )
    if TEMPLATE.search(text):
        return unrendered(place, text, "stands in a template")
    expanded = expand_compose(text, lambda _name: None)
    note = None if "$" not in text else "Kubernetes replaces no variables: a tool before it must"
    return declaration(place, text, expanded, pull_policy=policy, note=note)
