"""A whole repository, file by file, to what it declares: charts and includes need each other."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from logminer.inventory.ci import read_config, read_merged
from logminer.inventory.compose import is_compose, read_compose
from logminer.inventory.dockerfile import read_dockerfile
from logminer.inventory.facts import CONFIG_PATH
from logminer.inventory.helm import (
    CHART,
    Chart,
    missing_charts,
    read_chart,
    read_values,
    values_rows,
)
from logminer.inventory.kubernetes import is_object, is_patch, read_objects
from logminer.inventory.kustomize import NAMES as KUSTOMIZATIONS
from logminer.inventory.kustomize import Manifests, is_kustomization, read_kustomization
from logminer.inventory.nodes import Map, Source, decoded, documents
from logminer.inventory.rows import gap
from logminer.inventory.templates import TEMPLATE, read_template
from logminer.model import DeclarationKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from logminer.inventory.facts import Facts
    from logminer.inventory.nodes import Document, Node
    from logminer.model import Declaration

MAX_FILE_BYTES: Final = 64 * 2**20
"""What is longer is not read but named as a gap."""

MAX_TREE_BYTES: Final = 64 * 2**20
"""Of all files of a repository together that are held; those beyond are named as gaps."""

_DOCKERFILE: Final = re.compile(
    r"(?i)(?:.*/)?(?:(?:dockerfile|containerfile)(?:[._-][^/]*)?|[^/]+\.(?:dockerfile|containerfile))"
)
_NO_DOCKERFILE: Final = (
    *(".dockerignore", ".go", ".js", ".json", ".lua", ".md", ".py", ".rb", ".sh", ".ts", ".vim"),
    *(".yaml", ".yml"),
)
"""Ends of names that tools give to something about Dockerfiles."""
_YAML: Final = re.compile(r"(?i).*\.(?:ya?ml|json)")
_TEMPLATED: Final = re.compile(r"(?i).*\.ya?ml(?:\.(?:j2|jinja2?|tmpl|tpl|gotmpl|erb))|.*\.tpl")
_COMPOSE: Final = re.compile(r"(?i)(?:.*/)?(?:docker-)?compose[^/]*\.ya?ml")
_VALUES: Final = re.compile(r"(?i)(?:.*/)?(?:[^/]+[._-])?values(?:[._-][^/]*)?\.ya?ml")
_CI: Final = re.compile(r"(?:.*/)?[^/]*\.gitlab-ci\.ya?ml|\.gitlab/ci/.*\.ya?ml")
_COMPONENT: Final = re.compile(r"templates/(?:[^/]+|[^/]+/template)\.yml")
_CI_KEYS: Final = frozenset({"stages", "workflow", "include", "default", "variables", "image"})
_JOB_KEYS: Final = frozenset({"script", "trigger", "extends", "image", "services", "stage"})
_IMAGE_KEY: Final = re.compile(rb"\bimages?['\"]?[ \t]*:")
_WORDS: Final = (b"apiVersion", b"services", b"/image", b"inputs")
"""One of them stands in every document that is a kind of ours without saying so in its name."""


def wanted(path: str) -> bool:
    """Return whether a file of this name may declare an image or help to resolve one."""
    name = posixpath.basename(path)
    return (
        bool(_YAML.fullmatch(name) or _TEMPLATED.fullmatch(name))
        or _is_dockerfile(name)
        or name in {".env", *KUSTOMIZATIONS}
        or bool(re.fullmatch(r"(?:.*/)?charts/[^/]+\.tgz", path))
    )


def _is_dockerfile(path: str) -> bool:
    return bool(_DOCKERFILE.fullmatch(path)) and not path.lower().endswith(_NO_DOCKERFILE)


def unread(path: str, note: str, kind: DeclarationKind | None = None) -> Declaration:
    """Return the row of a file that may declare images and was not read, and why.

    For whoever holds the files: too large, not permitted, not to be had.
    The kind is told by the name where none is given.
    """
    return gap(path, None, kind or _kind_by_name(path), note)


def _kind_by_name(path: str) -> DeclarationKind:
    """Guess the kind of a file whose content nobody knows."""
    if path == CONFIG_PATH or _CI.fullmatch(path):
        return DeclarationKind.CI
    if _is_dockerfile(path):
        return DeclarationKind.DOCKERFILE
    if _COMPOSE.fullmatch(path):
        return DeclarationKind.COMPOSE
    if posixpath.basename(path) in KUSTOMIZATIONS:
        return DeclarationKind.KUSTOMIZE
    if _VALUES.fullmatch(path) or posixpath.basename(path) == CHART or path.endswith(".tgz"):
        return DeclarationKind.HELM
    return DeclarationKind.KUBERNETES


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
    tree = _Tree(facts=facts)
    for path, data in files:
        tree.add(path, data)
    return tree.read(merged)


def read_file(path: str, data: bytes, facts: Facts) -> list[Declaration]:
    """Return what one file declares; its name and content tell its kind.

    The same as `read_tree` with this file alone, but CI configuration may have any YAML file name.
    """
    if _YAML.fullmatch(path) and not _CI.fullmatch(path) and _looks_like_ci(path, data):
        facts = replace(facts, config_path=path)
    return read_tree([(path, data)], facts)


def _looks_like_ci(path: str, data: bytes) -> bool:
    """Return whether a document has jobs, and the words that only CI configuration has."""
    for each in documents(data, Source(path)):
        root = each.root
        if not isinstance(root, Map) or is_object(root) or is_compose(root):
            return False
        inner = [node for node in root.entries.values() if isinstance(node, Map)]
        if any("script" in node.entries or "trigger" in node.entries for node in inner):
            return True
        jobs = any(not _JOB_KEYS.isdisjoint(node.entries) for node in inner)
        if jobs and not _CI_KEYS.isdisjoint(root.entries):
            return True
    return False


@dataclass(slots=True, kw_only=True)
class _Tree:
    """The files of a repository, sorted by what can be read from them."""

    facts: Facts
    files: dict[str, bytes] = field(default_factory=dict)
    rows: list[Declaration] = field(default_factory=list)
    charts: dict[str, Chart] = field(default_factory=dict)
    archives: set[str] = field(default_factory=set)
    held: int = 0
    manifests: Manifests = field(init=False)

    def __post_init__(self) -> None:
        """Let kustomizations look at the files."""
        self.manifests = Manifests(self.files)

    def add(self, path: str, data: bytes) -> None:
        """Hold one file, if it is of use and not too much."""
        if not wanted(path) and path != self.facts.config_path:
            return
        if path.endswith(".tgz"):
            self.archives.add(path)
            return
        if path.endswith(".json") and not _relevant(data):
            return
        if len(data) > MAX_FILE_BYTES:
            self.rows.append(unread(path, f"{len(data) >> 20} MB: not read"))
            return
        if self.held + len(data) > MAX_TREE_BYTES:
            if _kind_by_name(path) is not DeclarationKind.KUBERNETES or _relevant(data):
                note = f"beyond {MAX_TREE_BYTES >> 20} MB of files: not read"
                self.rows.append(unread(path, note))
            return
        self.held += len(data)
        self.files[path] = data

    def read(self, merged: str | None) -> list[Declaration]:
        """Return the rows of all files."""
        for path, data in self.files.items():
            if posixpath.basename(path) == CHART:
                folder = posixpath.dirname(path)
                self.charts[folder] = read_chart(folder, data)
        for chart in self.charts.values():
            self.rows.extend(missing_charts(chart, set(self.charts), self.archives))
        done = self._configuration(merged)
        for path in sorted(self.files.keys() - done):
            self.rows.extend(self._file(path, self.files[path]))
        return sorted(dict.fromkeys(self.rows), key=_order)

    def _configuration(self, merged: str | None) -> set[str]:
        """Read the project's CI configuration; returns the files that it is made of."""
        path = self.facts.config_path
        if path not in self.files:
            if merged is not None:
                self.rows.extend(read_merged(merged, self.files, self.facts))
            return set()
        rows, done = read_config(self.files, path, self.facts)
        if merged is not None:
            rows = _located(read_merged(merged, self.files, self.facts), rows)
        self.rows.extend(rows)
        return done

    def _file(self, path: str, data: bytes) -> Iterator[Declaration]:
        """Yield the rows of one file that belongs to no configuration."""
        chart = self._chart(path)
        if _is_dockerfile(path):
            yield from read_dockerfile(path, data)
        elif chart is not None and path.startswith(_below(chart.folder, "templates/")):
            yield from read_template(path, data, DeclarationKind.HELM, tool="Helm")
        elif _TEMPLATED.fullmatch(path):
            kind = _kind_by_name(re.sub(r"(?i)(\.ya?ml)\.\w+$", r"\1", path))
            yield from read_template(path, data, kind)
        elif posixpath.basename(path) in {".env", CHART}:
            return
        elif _VALUES.fullmatch(path):
            yield from read_values(path, data, chart)
        elif _CI.fullmatch(path):
            yield from self._alone(path)
        elif _COMPOSE.fullmatch(path):
            yield from read_compose(path, data, self.files, self.facts.settings)
        else:
            yield from self._by_content(path, data)

    def _alone(self, path: str) -> Iterator[Declaration]:
        """Yield what a configuration declares that others may include: by itself."""
        rows, _ = read_config({path: self.files[path]}, path, self.facts)
        for each in rows:
            if each.image is not None or each.line is None:
                note = each.note or "not part of the project's own configuration"
                yield replace(each, note=note)

    def _chart(self, path: str) -> Chart | None:
        """Return the chart that a file belongs to: the innermost folder that holds one."""
        folder = posixpath.dirname(path)
        while True:
            if folder in self.charts:
                return self.charts[folder]
            if not folder or folder == "/":
                return None
            folder = posixpath.dirname(folder)

    def _by_content(self, path: str, data: bytes) -> Iterator[Declaration]:
        """Yield the rows of a YAML or JSON file whose name says nothing."""
        is_kustomize = posixpath.basename(path) in KUSTOMIZATIONS
        for each in documents(data, Source(path), relevant=bool if is_kustomize else _relevant):
            if each.error is not None:
                yield from _damaged(path, each)
            elif each.root is None:
                continue
            elif is_kustomize or is_kustomization(each.root):
                yield from read_kustomization(path, each.root, self.manifests)
            elif is_compose(each.root):
                yield from read_compose(path, data, self.files, self.facts.settings)
                return
            elif _COMPONENT.fullmatch(path) and _looks_like_ci(path, data):
                yield from self._alone(path)
                return
            else:
                yield from _manifest(each.root)


def _manifest(root: Node) -> Iterator[Declaration]:
    """Yield the rows of a document of Kubernetes, and of the charts that it asks for."""
    if is_patch(root):
        yield from read_objects(root)
    elif is_object(root) and isinstance(root, Map):
        yield from read_objects(root)
        spec = root.get("spec")
        if root.text("kind") == "HelmRelease" and isinstance(spec, Map):
            values = spec.get("values")
            metadata = root.get("metadata")
            name = metadata.text("name") if isinstance(metadata, Map) else None
            if isinstance(values, Map):
                yield from values_rows(values, None, f"HelmRelease/{name or '?'}")


def _relevant(piece: bytes) -> bool:
    """Return whether a document may name an image: `image`, `images`, `newImage`, …."""
    return b"mage" in piece and any(word in piece for word in _WORDS)


def _damaged(path: str, document: Document) -> Iterator[Declaration]:
    """Yield what can be told of a document that is no YAML: a template's images, or the gap."""
    kind = _kind_by_name(path)
    rows: list[Declaration] = []
    if TEMPLATE.search(decoded(document.data)):
        rows.extend(read_template(path, document.data, kind, line=document.line))
    if not rows and (not document.data or _IMAGE_KEY.search(document.data)):
        rows.append(gap(path, document.line, kind, f"no YAML: {document.error}"))
    yield from rows


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _located(merged: list[Declaration], local: list[Declaration]) -> list[Declaration]:
    """Return the server's rows, with the place of the file's where there is only one."""
    places: dict[tuple[object, ...], set[tuple[str, int | None]]] = {}
    for each in local:
        places.setdefault(_same(each), set()).add((each.path, each.line))
    found = []
    for each in merged:
        known = places.get(_same(each), set())
        if each.line is None and len(known) == 1:
            path, line = next(iter(known))
            found.append(replace(each, path=path, line=line))
        else:
            found.append(each)
    return found


def _same(row: Declaration) -> tuple[object, ...]:
    """Return what makes two rows the same declaration, wherever they were read."""
    return row.name, row.role, row.image


def _order(row: Declaration) -> tuple[object, ...]:
    return (
        row.path,
        row.line or 0,
        row.name or "",
        row.role or "",
        row.image or "",
        row.resolved or "",
        row.note or "",
        row.platform or "",
        row.pull_policy or "",
    )
