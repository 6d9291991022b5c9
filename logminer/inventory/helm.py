"""Helm charts: the images that values name, and templates that only Helm renders.

How a chart puts an image together stands in its templates; values follow conventions, and only
those are read:

* `image: name:tag` under any key that ends in `image` or `Image`;
* `image:` with `repository`, and `registry`, `tag`, `digest` beside it; a tag that is missing is
  the chart's `appVersion`, as in Helm's own starter;
* `global.imageRegistry` in the place of every registry, as in Bitnami's charts.

Every value is a default: whoever installs the chart may override it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from logminer.inventory.kubernetes import read_objects
from logminer.inventory.nodes import (
    MAX_NODES,
    Map,
    Scalar,
    Seq,
    Source,
    decoded,
    documents,
    is_text,
    maps_in,
)
from logminer.inventory.rows import Place, declaration, gap
from logminer.inventory.scalars import go_text
from logminer.inventory.templates import TEMPLATE, unrendered
from logminer.inventory.variables import Expanded
from logminer.model import DeclarationKind, DeclaredRole, Resolution
from logminer.reference import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from logminer.inventory.nodes import Node
    from logminer.model import Declaration

CHART: Final = "Chart.yaml"

_SOURCE: Final = re.compile(rb"^# Source: [^/\n]+/([^\n]+)", re.MULTILINE)

_KIND: Final = DeclarationKind.HELM
_UNRENDERED: Final = "only Helm renders this template"
_NO_TAG: Final = "no tag in the values: the templates decide"
_UNTAGGED: Final = Expanded(text=None, resolution=Resolution.UNRESOLVED, names=("tag",))
_PICTURES: Final = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".webp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What a chart says of itself."""

    folder: str
    app_version: str | None
    dependencies: tuple[tuple[str, int], ...]
    """Names of the charts that belong to it, with their lines."""


def read_chart(folder: str, data: bytes) -> Chart:
    """Return what `Chart.yaml` says; nothing where it is damaged."""
    path = f"{folder}/{CHART}" if folder else CHART
    root = next((each.root for each in documents(data, Source(path))), None)
    version = root.get("appVersion") if isinstance(root, Map) else None
    listed = maps_in(root.get("dependencies")) if isinstance(root, Map) else iter(())
    names = ((each.text("alias") or each.text("name"), each) for each in listed)
    return Chart(
        folder=folder,
        app_version=go_text(version) if is_text(version) else None,
        dependencies=tuple((name, each.line) for name, each in names if name),
    )


def missing_charts(chart: Chart, folders: set[str], archives: set[str]) -> Iterator[Declaration]:
    """Yield a gap for each chart that this one depends on and that is not at hand unpacked."""
    prefix = f"{chart.folder}/charts/" if chart.folder else "charts/"
    for name, line in chart.dependencies:
        if f"{prefix}{name}" in folders:
            continue
        packed = any(each.startswith(f"{prefix}{name}-") for each in archives)
        path = f"{chart.folder}/{CHART}" if chart.folder else CHART
        where = "packed in charts/" if packed else "not among the files"
        yield gap(path, line, _KIND, f"depends on the chart {name}, which is {where}", name)


def read_rendered(folder: str, data: bytes) -> Iterator[Declaration]:
    """Yield the images of what Helm rendered of the chart in a folder, with its own values.

    The path is that of the template, which Helm names above each document; lines are not known.
    """
    for each in documents(data, Source(folder)):
        found = _SOURCE.search(each.data)
        path = f"{folder}/{decoded(found[1]).strip()}" if found else folder
        if each.error is not None:
            yield gap(path, None, _KIND, f"rendered to no YAML: {each.error}")
        elif each.root is not None:
            for row in read_objects(each.root, _KIND):
                known = row.resolution is Resolution.LITERAL
                yield replace(
                    row,
                    path=path.removeprefix("/"),
                    line=None,
                    resolution=Resolution.DEFAULT if known else row.resolution,
                    note=row.note or "rendered with the chart's own values",
                )


def read_values(path: str, data: bytes, chart: Chart | None) -> Iterator[Declaration]:
    """Yield the images of a file of values."""
    for each in documents(data, Source(path)):
        if each.error is not None:
            yield gap(path, each.line, _KIND, f"no YAML: {each.error}")
        elif isinstance(each.root, Map):
            yield from values_rows(each.root, chart)


def values_rows(root: Map, chart: Chart | None, name: str = "") -> Iterator[Declaration]:
    """Yield the images of a mapping of values; `name` is put before their keys."""
    shared = root.get("global")
    registry = shared.text("imageRegistry") if isinstance(shared, Map) else None
    left = MAX_NODES
    stack: list[tuple[Node, str]] = [(root, name)]
    while stack:
        node, key = stack.pop()
        left -= 1
        if left < 0:
            yield gap(root.source.path, root.line, _KIND, "too many values behind aliases")
            return
        if isinstance(node, Seq):
            stack.extend((each, key) for each in reversed(node.items))
        elif isinstance(node, Map):
            if _is_image(node, key):
                yield from _structured(node, key, registry, chart)
                continue
            for inner, each in node.entries.items():
                if is_text(each) and _names_image(inner):
                    tag = _tag_of(inner, node)
                    yield from _written(each, tag, _dotted(key, inner))
            below = ((each, _dotted(key, inner)) for inner, each in node.entries.items())
            stack.extend(reversed(list(below)))


def _dotted(key: str, inner: str) -> str:
    return f"{key}.{inner}"[:255] if key else inner[:255]


def _names_image(key: str) -> bool:
    return key == "image" or key.endswith(("Image", "_image"))


def _is_image(node: Map, key: str) -> bool:
    """Return whether a mapping describes an image: a repository, and what belongs to one."""
    name = _name(node, key)
    if name is None or "://" in name.text:
        return False
    if node.get("repository") is name and _names_image(key.rpartition(".")[2]):
        return True
    return not node.entries.keys().isdisjoint({"tag", "digest", "registry", "pullPolicy"})


def _name(node: Map, key: str) -> Scalar | None:
    """Return the repository of a mapping; under a key that says image, `name` will do."""
    found = node.get("repository")
    if found is None and _names_image(key.rpartition(".")[2]):
        found = node.get("name")
    return found if is_text(found) else None


def _tag_of(key: str, beside: Map) -> Scalar | None:
    """Return the tag that stands beside an image in one value: `imageTag` beside `image`."""
    names = (f"{key}Tag", f"{key}_tag", *(("tag",) if key == "image" else ()))
    return next((each for name in names if is_text(each := beside.get(name))), None)


def _written(node: Scalar, tag: Scalar | None, key: str) -> Iterator[Declaration]:
    """Yield an image that stands in one value, if it can be one."""
    text = node.text.strip()
    found = parse(text)
    if TEMPLATE.search(text):
        yield unrendered(_place(node, key), text, _UNRENDERED)
    elif found is None or text.lower().endswith(_PICTURES):
        return
    elif found.tag or found.digest:
        yield declaration(_place(node, key), text, _default(text))
    elif tag is not None:
        whole = f"{text}:{tag.text.strip()}"
        yield declaration(_place(node, key), whole, _default(f"{text}:{go_text(tag).strip()}"))
    else:
        yield declaration(_place(node, key), text, _UNTAGGED, note=_NO_TAG)


def _structured(
    node: Map, key: str, registry: str | None, chart: Chart | None
) -> Iterator[Declaration]:
    """Yield an image whose parts stand in values of their own."""
    repository = _name(node, key)
    if repository is None:
        return
    host = registry or node.text("registry")
    tag, digest = node.get("tag"), node.text("digest")
    written = tag.text.strip() if is_text(tag) else ""
    meant = go_text(tag).strip() if is_text(tag) else ""
    notes = ["global.imageRegistry"] if registry else []
    if written != meant:
        notes.append(f"the tag is a number for YAML: {written} is {meant}")
    if not meant and not digest and chart is not None and chart.app_version:
        meant = chart.app_version
        notes.append("the tag is the chart's appVersion")
    name = f"{host}/{repository.text.strip()}" if host else repository.text.strip()
    end = f"@{digest}" if digest else ""
    text = f"{name}:{written}{end}" if written else f"{name}{end}"
    place = _place(repository, key)
    if TEMPLATE.search(text):
        yield unrendered(place, text, _UNRENDERED)
        return
    known = bool(meant or digest)
    if not known:
        notes.append(_NO_TAG)
    yield declaration(
        place,
        text,
        _default(f"{name}:{meant}{end}" if meant else text) if known else _UNTAGGED,
        pull_policy=node.text("pullPolicy"),
        note="; ".join(notes) or None,
    )


def _place(node: Scalar, key: str) -> Place:
    return Place(
        path=node.source.path,
        line=node.line,
        kind=_KIND,
        name=key or None,
        role=DeclaredRole.WORKLOAD,
    )


def _default(text: str) -> Expanded:
    return Expanded(text=text, resolution=Resolution.DEFAULT, names=())
