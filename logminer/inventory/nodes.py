"""YAML text to nodes that know their line: bounded in depth, size and time, whatever it says.

PyYAML's events (libyaml's, where it is built with it) are put together here and not by its own
composer or loader, because

* an alias stays one shared node, so that a billion laughs are a few hundred nodes;
* depth is counted before it is climbed: libyaml's composer recurses in C;
* a tag (`!reference`) is kept beside the value, and a scalar stays the text it was;
* it takes half of PyYAML's time and ruamel.yaml takes twenty times as long.

Documents are split before they are parsed: no content may begin a line with `---`, by the
specification.
So a bundle of fifty megabytes never stands in memory as nodes, damage ends with its document, and
a document without the word in question costs a search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_DEPTH: Final = 100
"""Of nesting: GitLab's own limit for a configuration (`max_yaml_depth`)."""

MAX_NODES: Final = 250_000
"""Of one document: about 50 MB of memory; a bundle's largest documents have some ten thousand."""

MAX_DOCUMENT_BYTES: Final = 4 * 2**20
"""Of one document: twice what GitLab reads of a configuration (`max_yaml_size_bytes`)."""

MAX_PARSED_BYTES: Final = 16 * 2**20
"""Of one file: some five seconds; a document without the word that is looked for counts nothing."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_START: Final = re.compile(rb"^(?:---(?=[ \t\r\n])|---\Z)", re.MULTILINE)
_DIRECTIVES: Final = re.compile(rb"(?:[ \t]*+(?:[%#][^\n]*+)?\n)++")
_MERGE: Final = "<<"


class NotYamlError(Exception):
    """A document cannot be read; the message says where and why, without quoting it."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where a node comes from: shared by all nodes of a file."""

    path: str
    inputs: Mapping[str, Scalar] = field(default_factory=dict)
    """Of an included CI configuration: the values given or declared as defaults."""
    given: frozenset[str] = frozenset()
    """Inputs that whoever includes it gave."""


@dataclass(slots=True, eq=False)  # not frozen, which would double the time to build one
class Scalar:
    """One value as it was written."""

    text: str
    plain: bool
    """Whether it stood without quotes, so that `null`, `1.10` and `yes` are no texts."""
    tag: str | None
    line: int
    source: Source
    height: int = 0


@dataclass(slots=True, eq=False)
class Seq:
    """A list of nodes."""

    tag: str | None
    line: int
    source: Source
    items: list[Node] = field(default_factory=list)
    height: int = 0


@dataclass(slots=True, eq=False)
class Map:
    """Nodes by the text of their keys; the last of equal keys counts, as for GitLab."""

    tag: str | None
    line: int
    source: Source
    entries: dict[str, Node] = field(default_factory=dict)
    height: int = 0

    def get(self, key: str) -> Node | None:
        """Return the node under a key."""
        return self.entries.get(key)

    def text(self, key: str) -> str | None:
        """Return the text under a key; None where there is none, or no single value."""
        return text_of(self.entries.get(key))


Node: TypeAlias = Scalar | Seq | Map


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file; `error` says why it has no root."""

    line: int
    root: Node | None
    error: str | None = None
    data: bytes = b""
    """Its bytes."""


def is_null(node: Node | None) -> bool:
    """Return whether there is no value: none at all, nothing after the colon, `null` or `~`."""
    if node is None:
        return True
    return (
        isinstance(node, Scalar) and node.plain and node.text in {"", "~", "null", "Null", "NULL"}
    )


def is_text(node: Node | None) -> TypeGuard[Scalar]:
    """Return whether a node is a single value that is not null."""
    return isinstance(node, Scalar) and not is_null(node)


def text_of(node: Node | None) -> str | None:
    """Return the text of a single value, stripped; None for everything else and for no text."""
    return (node.text.strip() or None) if is_text(node) else None


def maps_in(node: Node | None) -> Iterator[Map]:
    """Yield the mappings of a list."""
    if isinstance(node, Seq):
        yield from (each for each in node.items if isinstance(each, Map))


def decoded(data: bytes) -> str:
    """Return the text of a file: UTF-16 by its mark, else UTF-8; what is neither is replaced."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def documents(
    data: bytes,
    source: Source,
    *,
    relevant: Callable[[bytes], bool] = bool,
    in_order: bool = False,
) -> Iterator[Document]:
    """Yield the documents of a YAML file, those without a root with the reason.

    A document whose bytes are not `relevant` is left out, before it costs anything.
    `in_order` merges `<<` where it stands, as Ruby does for GitLab; else explicit keys win.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = decoded(data).encode()
    left = MAX_PARSED_BYTES
    for start, end, line in _spans(data):
        piece = data[start:end]
        if not relevant(piece):
            continue
        if len(piece) > MAX_DOCUMENT_BYTES:
            reason = f"a document of {len(piece) >> 20} MB is not read"
            yield Document(line=line, root=None, error=reason)
            continue
        left -= len(piece)
        if left < 0:
            reason = f"only the first {MAX_PARSED_BYTES >> 20} MB of documents are read"
            yield Document(line=line, root=None, error=reason)
            return
        try:
            root = _compose(decoded(piece), source, line, in_order=in_order)
        except NotYamlError as error:
            yield Document(line=line, root=None, error=str(error), data=piece)
        else:
            if root is not None:
                yield Document(line=line, root=root, data=piece)


def _spans(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and first line of each document; directives belong to the one below."""
    start = counted = 0
    line = 1
    for match in _START.finditer(data):
        if match.start() > start and not _DIRECTIVES.fullmatch(data, start, match.start()):
            line += data.count(b"\n", counted, start)
            counted = start
            yield start, match.start(), line
            start = match.start()
    line += data.count(b"\n", counted, start)
    yield start, len(data), line


class _Open:
    """A collection whose end is still to come."""

    __slots__ = ("anchor", "node", "pairs")

    def __init__(self, node: Seq | Map, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.pairs: list[Node] = []


def _compose(text: str, source: Source, first: int, *, in_order: bool) -> Node | None:
    """Return the root of one document; None for an empty one."""
    try:
        loader = _LOADER(text)
    except yaml.YAMLError as error:
        raise NotYamlError(_reason(error, first)) from error
    try:
        return _composed(_events(loader), source, first, in_order=in_order)
    except yaml.YAMLError as error:
        raise NotYamlError(_reason(error, first)) from error
    finally:
        loader.dispose()


def _events(loader: Any) -> Iterator[Any]:  # noqa: ANN401 -- the stubs know no event's fields
    while loader.check_event():
        yield loader.get_event()


def _composed(events: Iterable[Any], source: Source, first: int, *, in_order: bool) -> Node | None:
    """Put the events of one document together."""
    anchors: dict[str, Node] = {}
    stack: list[_Open] = []
    spent = 0
    node: Node
    for event in events:
        spent += 1
        if spent > MAX_NODES:
            raise NotYamlError(f"more than {MAX_NODES:,} values in one document")
        kind = type(event)
        if kind is yaml.ScalarEvent:
            line = event.start_mark.line + first
            node = Scalar(event.value, not event.style, event.tag, line, source)
            anchor = event.anchor
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            line = event.start_mark.line + first
            if len(stack) >= MAX_DEPTH:
                raise NotYamlError(f"line {line}: nested deeper than {MAX_DEPTH}")
            start = Map if kind is yaml.MappingStartEvent else Seq
            stack.append(_Open(start(event.tag, line, source), event.anchor))
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = stack.pop()
            spent += _close(done, in_order=in_order)
            node, anchor = done.node, done.anchor
        elif kind is yaml.AliasEvent:
            line = event.start_mark.line + first
            node, anchor = _aliased(anchors, event.anchor, line, len(stack)), None
        else:
            continue
        if anchor is not None:
            anchors[anchor] = node
        if not stack:
            return node
        stack[-1].pairs.append(node)
    return None


def _aliased(anchors: dict[str, Node], name: str, line: int, depth: int) -> Node:
    """Return the node of an alias, which may stand no deeper than it could if written out."""
    node = anchors.get(name)
    if node is None:
        raise NotYamlError(f"line {line}: an alias without its anchor")
    if node.height + depth > MAX_DEPTH:
        raise NotYamlError(f"line {line}: nested deeper than {MAX_DEPTH}")
    return node


def _close(done: _Open, *, in_order: bool) -> int:
    """Give a collection its children; returns how many entries were copied by merging."""
    node, pairs = done.node, done.pairs
    if pairs:
        node.height = 1 + max(each.height for each in pairs)
    if isinstance(node, Seq):
        node.items = pairs
        return 0
    weak: list[Map] = []
    copied = 0
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(key, Scalar):
            # `{{ action }}` reads as a mapping with a mapping for its key.
            raise NotYamlError(f"line {key.line}: an action of a template, or a key that is none")
        if key.text == _MERGE and key.plain:
            sources = _sources(value)
            copied += sum(len(each.entries) for each in sources)
            for each in reversed(sources if in_order else []):
                node.entries.update(each.entries)
            weak += sources
        else:
            node.entries[key.text] = value
    for each in weak:
        node.entries = {**each.entries, **node.entries}
    return copied


def _sources(value: Node) -> list[Map]:
    """Return the mappings that a merge key names, the strongest first."""
    return [value] if isinstance(value, Map) else list(maps_in(value))


def _reason(error: yaml.YAMLError, first: int) -> str:
    """Say where a document stops being YAML, in words that quote none of it."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML"
    words = " ".join(str(problem).split())[:120]
    return f"line {mark.line + first}: {words}" if mark is not None else words
