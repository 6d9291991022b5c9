"""YAML nodes: what PyYAML loads, with its lines; bounded where PyYAML is not."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from logminer.inventory.nodes import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_NODES,
    MAX_PARSED_BYTES,
    Document,
    Map,
    Scalar,
    Seq,
    Source,
    documents,
)
from logminer.inventory.scalars import go_text, ruby_text

if TYPE_CHECKING:
    from logminer.inventory.nodes import Node

TEXT = st.text(string.printable.replace("\x0b", "").replace("\x0c", ""), max_size=12)
DATA = st.recursive(
    TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


def read(text: str | bytes, **how: Any) -> list[Document]:  # noqa: ANN401 -- handed on
    """The documents of a text."""
    data = text if isinstance(text, bytes) else text.encode()
    return list(documents(data, Source("f.yml"), **how))


def plain(node: Node | None) -> Any:  # noqa: ANN401 -- whatever was dumped
    """A node as Python has it."""
    if isinstance(node, Map):
        return {key: plain(each) for key, each in node.entries.items()}
    if isinstance(node, Seq):
        return [plain(each) for each in node.items]
    return node.text if node is not None else None


def lines(node: Node) -> list[int]:
    """The lines of a node and all below it."""
    below: list[Node] = []
    if isinstance(node, Map):
        below = list(node.entries.values())
    elif isinstance(node, Seq):
        below = node.items
    return [node.line, *(line for each in below for line in lines(each))]


def marks(node: yaml.Node | None, first: int) -> list[int]:
    """The same of PyYAML's node."""
    assert node is not None
    below = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        below = [value for _, value in node.value]
    return [node.start_mark.line + first, *(line for each in below for line in marks(each, first))]


@settings(max_examples=60, deadline=None)
@given(st.lists(DATA, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_documents_are_what_was_dumped(data: list[Any], flow: bool, unicode: bool) -> None:  # noqa: FBT001
    """Whatever PyYAML writes is read as what it was, document by document."""
    text = yaml.safe_dump_all(data, default_flow_style=flow, allow_unicode=unicode)

    assert [plain(each.root) for each in read(text)] == data


@settings(max_examples=60, deadline=None)
@given(DATA, DATA)
def test_lines_are_pyyamls(first: Any, second: Any) -> None:  # noqa: ANN401
    """Every node stands on the line where PyYAML sees it, also in a second document."""
    texts = [yaml.safe_dump(each, explicit_start=True) for each in (first, second)]
    above = texts[0].count("\n")
    found = read("".join(texts))
    expected = [yaml.compose(each, yaml.SafeLoader) for each in texts]

    assert [lines(each.root) for each in found if each.root is not None] == [
        marks(node, 1 + at * above) for at, node in enumerate(expected)
    ]


def test_splitting_respects_what_begins_a_document() -> None:
    """A marker begins a line and ends with a blank; directives belong to the document below."""
    assert plain(read("b: 1\n---x: 2\n")[0].root) == {"b": "1", "---x": "2"}
    assert [plain(each.root) for each in read("%YAML 1.1\n---\nc: 3\n...\n--- d\n---\n")] == [
        {"c": "3"},
        "d",
        "",
    ]


def test_damage_ends_with_its_document() -> None:
    """A document that is none has its line and a reason; those around it are read."""
    found = read("a: 1\n---\nb: [\n---\nc: 3\n")

    assert [plain(each.root) for each in found] == [{"a": "1"}, None, {"c": "3"}]
    assert found[1].line == 2
    assert found[1].error == "line 4: did not find expected node content"


@pytest.mark.parametrize("data", [b"a: \xff\xfe\n", b"\xef\xbb\xbfa: 1"])
def test_bytes_that_are_text_somehow(data: bytes) -> None:
    """What is no UTF-8 is replaced, a mark at the head is none of the text."""
    (found,) = read(data)

    assert isinstance(found.root, Map)
    assert list(found.root.entries) == ["a"]


def test_utf16() -> None:
    """A mark tells UTF-16."""
    assert [plain(each.root) for each in read("a: ü\n---\nb: 2".encode("utf-16"))] == [
        {"a": "ü"},
        {"b": "2"},
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: \0", "control characters"),
        ("[" * 200, "nest"),
        ("{a: " * 200, "nest"),
        ("- " * 200, "nest"),
        ("? " * 200, "nest"),
        ("a: *nobody", "alias"),
        ("a: &a [*a]", "alias"),
        ("\t- a", "token"),
        ("a: {{ b }}", "template"),
        ("a: b\n {{ c }}: d", "not"),
        ("&a a: &a b\n? [x]\n: y", "key"),
        ("x: " + "[a,b],\n" * 3, "expected"),
    ],
)
def test_errors_are_said(text: str, error: str) -> None:
    """What cannot be read says why, and quotes none of it."""
    (found,) = read(text)

    assert found.root is None
    assert error in (found.error or "")


def test_a_billion_laughs() -> None:
    """Aliases are shared and not written out; deeper than the bound they are refused."""
    text = "a0: &a0 [ha, ha]\n"
    text += "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, MAX_DEPTH - 1))
    (found,) = read(text)
    deep = text + f"b: [*a{MAX_DEPTH - 2}]\nc: [[*a{MAX_DEPTH - 2}]]\n"

    assert isinstance(found.root, Map)
    assert len(found.root.entries) == MAX_DEPTH - 1
    assert "nested deeper" in (read(deep)[0].error or "")


def test_size_is_bounded() -> None:
    """A document with too many values or bytes is refused, and the file goes on."""
    many = "[" + "a," * MAX_NODES + "]\n---\nb: 1\n"
    large = "a: " + "x" * MAX_DOCUMENT_BYTES + "\n---\nb: 1\n"

    for text in (many, large):
        assert [plain(each.root) for each in read(text)] == [None, {"b": "1"}]


def test_merging_is_bounded() -> None:
    """What merge keys copy counts as if it were written."""
    text = f"a: &a {{{','.join(f'k{n}: 1' for n in range(5_000))}}}\n"
    text += "".join(f"b{n}: {{<<: *a}}\n" for n in range(100))

    assert "values in one document" in (read(text)[0].error or "")


def test_irrelevant_documents_cost_nothing() -> None:
    """Documents that nobody asked for are not parsed: neither their size nor damage matters."""
    text = "a: [\n---\nimage: 1\n---\n" + "x" * (MAX_DOCUMENT_BYTES + 1)
    found = read(text, relevant=lambda piece: b"image" in piece)

    assert [(each.line, plain(each.root)) for each in found] == [(2, {"image": "1"})]


@pytest.mark.slow
def test_fifty_megabytes() -> None:
    """A file of many documents is read up to the bound, and the gap behind it is said."""
    piece = "---\n" + yaml.safe_dump({"list": [{"image": f"a:{n}"} for n in range(2_000)]})
    found = read(piece * (50 * 2**20 // len(piece)))

    assert sum(each.root is not None for each in found) == MAX_PARSED_BYTES // len(piece)
    assert found[-1].error == "only the first 16 MB of documents are read"


@pytest.mark.parametrize(
    ("merge", "in_order", "image"),
    [
        ("<<: *x, image: own", False, "own"),
        ("image: own, <<: *x", False, "own"),
        ("<<: *x, image: own", True, "own"),
        ("image: own, <<: *x", True, "merged"),
        ("<<: [*y, *x]", False, "other"),
        ("<<: [*y, *x]", True, "other"),
        ("<<: [*x, *y]", True, "merged"),
        ('"<<": *x, image: own', False, "own"),
    ],
)
def test_merge_keys(merge: str, in_order: bool, image: str) -> None:  # noqa: FBT001
    """Explicit keys win, or, as in Ruby, what is written last; of a list the first."""
    text = f"x: &x {{image: merged}}\ny: &y {{image: other}}\nz: {{{merge}}}\n"
    (found,) = read(text, in_order=in_order)

    assert isinstance(found.root, Map)
    assert plain(found.root.entries["z"])["image"] == image


@pytest.mark.parametrize(
    ("written", "ruby", "go"),
    [
        ("1.10", "1.1", "1.1"),
        ("3.0", "3.0", "3"),
        ('"1.10"', "1.10", "1.10"),
        ("1.2.3", "1.2.3", "1.2.3"),
        ("010", "8", "8"),
        ("1_000", "1000", "1000"),
        ("yes", "true", "true"),
        ("Off", "false", "false"),
        ("!!str 1.10", "1.10", "1.10"),
        ("v1", "v1", "v1"),
        (".5", "0.5", "0.5"),
    ],
)
def test_unquoted_numbers(written: str, ruby: str, go: str) -> None:
    """An unquoted number is what the program makes of it; everything else stays."""
    (found,) = read(f"a: {written}")
    assert isinstance(found.root, Map)
    scalar = found.root.entries["a"]
    assert isinstance(scalar, Scalar)

    assert (ruby_text(scalar), go_text(scalar)) == (ruby, go)
