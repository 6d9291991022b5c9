"""CI configuration put together from the files at hand, as far as files alone can say.

What the server does for its lint API, in its order: include, `!reference`, `extends`
(`lib/gitlab/ci/config.rb`).
Only files of the same repository can be included here; everything else is a gap with a row of its
own, and so is a job that builds upon one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from logminer.inventory.nodes import (
    MAX_PARSED_BYTES,
    Map,
    Scalar,
    Seq,
    Source,
    documents,
    is_null,
    is_text,
)
from logminer.inventory.rows import gap
from logminer.inventory.scalars import ruby_text
from logminer.inventory.variables import Value, expand_runner
from logminer.model import DeclarationKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from logminer.inventory.nodes import Node
    from logminer.model import Declaration

MAX_INCLUDES: Final = 150
"""Files of one configuration: GitLab's default."""

MAX_COPIED: Final = 300_000
"""Entries copied while jobs are put together: what asks for more wants to exhaust us."""

MAX_ITEMS: Final = 1_000
"""Of a list of services, rules or values, with the lists that it is made of."""

MAX_EXTENDS: Final = 11
"""Levels of `extends`: GitLab's limit."""

MAX_REFERENCES: Final = 10
"""Levels of `!reference` in `!reference`: GitLab's limit."""

REFERENCE: Final = "!reference"

_KIND: Final = DeclarationKind.CI
_ELSEWHERE: Final = ("project", "remote", "template", "component", "artifact")
_MAX_PATH: Final = 1024


@dataclass(slots=True, kw_only=True)
class Config:
    """One configuration after its includes: what stands at its top, and what is missing."""

    root: Map
    gaps: list[Declaration] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    """Files that it was put together from."""
    _jobs: dict[str, Map | None] = field(default_factory=dict)
    _left: int = MAX_COPIED

    def job(self, name: str) -> Map | None:
        """Return a job with what it extends; None where a part of that is not at hand.

        What is at hand is then the job alone: see `own`.
        """
        if name not in self._jobs:
            self._jobs[name] = self._extended(name, ())
        return self._jobs[name]

    def own(self, name: str) -> Map | None:
        """Return what a job says itself."""
        node = self.root.get(name)
        return node if isinstance(node, Map) else None

    def parents(self, name: str) -> list[str]:
        """Return the names that a job extends, the weakest first."""
        job = self.own(name)
        node = self.dereferenced(job.get("extends")) if job is not None else None
        items = node.items if isinstance(node, Seq) else [node]
        return [each.text for each in items if is_text(each)]

    def _extended(self, name: str, above: tuple[str, ...]) -> Map | None:
        own = self.own(name)
        if own is None or name in above or len(above) > MAX_EXTENDS:
            return None
        merged: Map | None = None
        for parent in self.parents(name):
            base = self._jobs.get(parent) or self._extended(parent, (*above, name))
            if base is None:
                return None
            self._jobs[parent] = base
            merged = base if merged is None else self._merge(merged, base)
            if merged is None:
                return None
        return own if merged is None else self._merge(merged, own)

    def _merge(self, under: Map, over: Map) -> Map | None:
        """Merge as long as there is something left to spend."""
        if self._left > 0:
            self._left -= _weight(under, over)
        return deep_merge(under, over) if self._left > 0 else None

    def dereferenced(self, node: Node | None, depth: int = 0) -> Node | None:
        """Return what a `!reference` points at; every other node as it is, None for no target."""
        if not isinstance(node, Seq) or node.tag != REFERENCE:
            return node
        if depth >= MAX_REFERENCES:
            return None
        target: Node | None = self.root
        for each in node.items:
            target = self.dereferenced(target, depth + 1)
            if not isinstance(target, Map) or not isinstance(each, Scalar):
                return None
            target = target.get(each.text)
        return self.dereferenced(target, depth + 1)

    def listed(self, node: Node | None) -> Iterator[Node]:
        """Yield the items of a list, those of lists within it among them: no more than a bound."""
        waiting = [self.dereferenced(node)]
        if not isinstance(waiting[0], Seq):
            return
        for _ in range(MAX_ITEMS):
            if not waiting:
                return
            item = self.dereferenced(waiting.pop())
            if isinstance(item, Seq):
                waiting.extend(reversed(item.items[:MAX_ITEMS]))
            elif item is not None:
                yield item


def deep_merge(under: Map, over: Map) -> Map:
    """Return both mappings as one: mappings are merged, everything else is replaced."""
    entries = dict(under.entries)
    for key, value in over.entries.items():
        before = entries.get(key)
        both = isinstance(before, Map) and isinstance(value, Map)
        entries[key] = deep_merge(before, value) if both else value  # type: ignore[arg-type]
    return Map(over.tag, over.line, over.source, entries, max(under.height, over.height))


def _weight(under: Map, over: Map) -> int:
    """Return how many entries merging would copy."""
    total = len(under.entries)
    for key, value in over.entries.items():
        before = under.entries.get(key)
        if isinstance(before, Map) and isinstance(value, Map):
            total += _weight(before, value)
    return total


def parsed(data: bytes, path: str) -> tuple[Map | None, Map | None, str | None]:
    """Return the header and the body of one configuration file, or why there is none."""
    found = []
    for each in documents(data, Source(path), in_order=True):
        if each.error is not None:
            return None, None, each.error
        if isinstance(each.root, Map):
            found.append(each.root)
    if not found:
        return None, None, None
    if len(found) > 1 and found[0].get("spec") is not None:
        return found[0], found[1], None
    return None, found[0], None


class Loader:
    """Puts a configuration together from files."""

    def __init__(self, files: Mapping[str, bytes], lookup: Callable[[str], Value | None]) -> None:
        """Read from these files; `lookup` knows the variables outside of the configuration."""
        self._files = files
        self._outside = lookup
        self._left = MAX_PARSED_BYTES
        self._config = Config(root=Map(None, 1, Source("")))

    def load(self, path: str) -> Config:
        """Return the configuration that begins with this file."""
        self._config.root = self._file(path, None, {}, ()) or self._config.root
        return self._config

    def load_included(self, include: Node) -> Config:
        """Return the configuration of a child pipeline: what a `trigger` includes."""
        root = Map(None, include.line, include.source, {"include": include}, include.height + 1)
        self._config.root = self._with_includes(root, ())
        return self._config

    def _gap(self, node: Node | None, path: str, note: str) -> None:
        source = node.source.path if node is not None else path
        self._config.gaps.append(gap(source, node.line if node is not None else None, _KIND, note))

    def _file(
        self, path: str, asked: Node | None, given: Mapping[str, Scalar], above: tuple[str, ...]
    ) -> Map | None:
        """Return one file with what it includes."""
        data = self._files.get(path)
        if data is None:
            self._gap(asked, path, f"include of {path}, which is not among the files")
            return None
        if path in above or len(self._config.paths) >= MAX_INCLUDES:
            return None
        self._left -= len(data)
        if self._left < 0:
            self._gap(asked, path, f"include of {path}: larger than is read of one configuration")
            return None
        self._config.paths.add(path)
        header, body, error = parsed(data, path)
        if error is not None:
            self._gap(None, path, f"no YAML: {error}")
        if body is None:
            return None
        return self._with_includes(_sourced(body, header, path, given), (*above, path))

    def _with_includes(self, body: Map, above: tuple[str, ...]) -> Map:
        """Return a body upon what it includes: later files win, its own words win over all."""
        include = body.entries.pop("include", None)
        if include is None:
            return body
        merged: Map | None = None
        plain = _plain(body)
        for each in include.items if isinstance(include, Seq) else [include]:
            if len(self._config.gaps) > MAX_INCLUDES:
                break
            for found in self._included(each, plain, above):
                merged = found if merged is None else deep_merge(merged, found)
        return body if merged is None else deep_merge(merged, body)

    def _included(
        self, item: Node, plain: Mapping[str, Value], above: tuple[str, ...]
    ) -> Iterator[Map]:
        """Yield the bodies that one entry of `include` names."""
        if isinstance(item, Map):
            elsewhere = next((each for each in _ELSEWHERE if each in item.entries), None)
            if elsewhere is not None:
                what = item.text(elsewhere) or ""
                file = item.text("file")
                note = f"include: {elsewhere} {what}{f' file {file}' if file else ''}"
                self._gap(item, "", f"{note}: only the server reads it")
                return
            node, inputs = item.get("local"), item.get("inputs")
        else:
            node, inputs = item, None
        if not is_text(node):
            self._gap(item, "", "an include that names no file")
            return
        if re.match(r"https?://", node.text):
            self._gap(item, "", f"include: remote {node.text}: only the server reads it")
            return
        expanded = expand_runner(node.text, lambda name: plain.get(name) or self._outside(name))
        if expanded.text is None:
            self._gap(item, "", f"include of {node.text}: {', '.join(expanded.names)} unknown")
            return
        given = inputs.entries if isinstance(inputs, Map) else {}
        scalars = {key: each for key, each in given.items() if isinstance(each, Scalar)}
        for path in self._matching(expanded.text.lstrip("/")):
            found = self._file(path, item, scalars, above)
            if found is not None:
                yield found

    def _matching(self, path: str) -> list[str]:
        """Return the files that a path with `*` and `**` names; the path itself without."""
        if "*" not in path:
            return [path]
        parts = [each for each in re.split(r"(\*\*|\*)", path[:_MAX_PATH]) if each]
        return sorted(each for each in self._files if _fits(parts, each[:_MAX_PATH]))


def _fits(parts: list[str], path: str) -> bool:
    """Return whether a path fits: walked with every place at once, so that no pattern is slow."""
    places = {0}
    for part in parts:
        if part == "**":
            places = set(range(min(places, default=len(path) + 1), len(path) + 1))
        elif part == "*":
            places = _within_segment(path, places)
        else:
            places = {each + len(part) for each in places if path.startswith(part, each)}
    return len(path) in places


def _within_segment(path: str, places: set[int]) -> set[int]:
    """Return every place that can be reached from these without crossing a slash."""
    found: set[int] = set()
    for each in sorted(places):
        at = each
        while at not in found:
            found.add(at)
            if at >= len(path) or path[at] == "/":
                break
            at += 1
    return found


def _plain(body: Map) -> dict[str, Value]:
    """Return the variables at the top of a file, for the paths of its includes."""
    node = body.get("variables")
    entries = node.entries if isinstance(node, Map) else {}
    return {key: Value(text=ruby_text(each)) for key, each in entries.items() if is_text(each)}


def _sourced(body: Map, header: Map | None, path: str, given: Mapping[str, Scalar]) -> Map:
    """Let every node of a body know the inputs of its file."""
    if header is None:
        return body
    spec = header.get("spec")
    declared = spec.get("inputs") if isinstance(spec, Map) else None
    inputs: dict[str, Scalar] = {}
    for name, each in declared.entries.items() if isinstance(declared, Map) else ():
        default = each.get("default") if isinstance(each, Map) else None
        value = given.get(name, default)
        if isinstance(value, Scalar) and not is_null(value):
            inputs[name] = value
    source = Source(path, inputs, frozenset(given) & frozenset(inputs))
    seen: set[int] = set()
    stack: list[Node] = [body]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        node.source = source
        if isinstance(node, Map):
            stack.extend(node.entries.values())
        elif isinstance(node, Seq):
            stack.extend(node.items)
    return body
