"""Dockerfiles: held against BuildKit's own parser, and against a truth that is known by making."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logminer.inventory.dockerfile import parse, read_dockerfile
from logminer.inventory.variables import Value
from logminer.model import Resolution

if TYPE_CHECKING:
    from logminer.model import Declaration

WORD = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=6)
LINES = st.one_of(
    WORD.map(lambda word: f"FROM {word}"),
    WORD.map(lambda word: f"  run {word} --flag=x"),
    st.lists(WORD, min_size=2, max_size=4).map(lambda words: "RUN " + " \\\n  ".join(words)),
    st.tuples(WORD, WORD).map(lambda two: f"RUN {two[0]} \\\n# inside\n\n  {two[1]}"),
    st.tuples(WORD, WORD).map(lambda two: f"RUN <<EOF\nFROM {two[0]}\n{two[1]} \\\nEOF"),
    WORD.map(lambda word: f"COPY <<-'E1' <<E2 /{word}\n\t{word}\n\tE1\n# text\nE2"),
    WORD.map(lambda word: f"ONBUILD COPY --from={word} a b"),
    WORD.map(lambda word: f"# {word} = no directive"),
    WORD.map(lambda word: f'LABEL a="{word} \\\n  b"'),
    WORD.map(lambda word: f"RUN echo {word} \\\\"),
    st.just(""),
    st.just("   "),
    WORD.map(lambda word: f"ENV A={word} \\  \n  B=2"),
)


def rows(text: str, **given_values: Value) -> list[Declaration]:
    """The rows of a Dockerfile's text."""
    return list(read_dockerfile("Dockerfile", text.encode(), arguments=given_values))


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_instructions_are_buildkits(lines: list[str], end: str) -> None:
    """BuildKit's own parser finds the same instructions on the same lines."""
    buildkit = pytest.importorskip("dockerfile", reason="BuildKit's parser has a wheel for x86-64")
    text = "\n".join(["FROM scratch", *lines, ""]).replace("\n", end)
    expected = [(each.cmd.upper(), each.start_line) for each in buildkit.parse_string(text)]

    assert [(each.word, each.line) for each in parse(text).instructions] == expected


NAMES = ("A", "B", "C")
PART = st.one_of(
    WORD.map(lambda word: ("text", word, "")),
    st.sampled_from(NAMES).map(lambda name: ("plain", name, "")),
    st.sampled_from(NAMES).map(lambda name: ("braced", name, "")),
    st.tuples(st.sampled_from(NAMES), WORD).map(lambda two: (":-", *two)),
    st.tuples(st.sampled_from(NAMES), WORD).map(lambda two: ("-", *two)),
    st.tuples(st.sampled_from(NAMES), WORD).map(lambda two: (":+", *two)),
)
TEXT = st.lists(PART, min_size=1, max_size=4)
Parts = list[tuple[str, str, str]]


def written(parts: Parts) -> str:
    """Write parts as a Dockerfile has them."""
    forms = {"text": "{0}", "plain": "${0}.", "braced": "${{{0}}}"}
    return "".join(
        forms[how].format(name) if how in forms else f"${{{name}{how}{word}}}"
        for how, name, word in parts
    )


def meant(parts: Parts, values: dict[str, str | None]) -> str | None:
    """Say what parts mean by the table of the shell's manual; None for something unknown."""
    out = []
    for how, name, word in parts:
        value = values.get(name)
        if how == "text":
            out.append(name)
        elif how in {":-", "-"}:
            out.append(word if value is None or (how == ":-" and not value) else value)
        elif value is None:
            return None
        elif how == ":+":
            out.append(word if value else "")
        else:
            out.append(value + ("." if how == "plain" else ""))
    return "".join(out)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.none() | TEXT), max_size=5), TEXT)
def test_arguments_have_the_value_that_they_were_given(
    arguments: list[tuple[str, Parts | None]], image: Parts
) -> None:
    """What ARG and FROM say is what a person gets who replaces them from the top down."""
    values: dict[str, str | None] = {}
    lines = []
    for name, parts in arguments:
        lines.append(f"ARG {name}" if parts is None else f"ARG {name}={written(parts)}")
        if parts is not None:
            values[name] = meant(parts, values)
        else:
            values.setdefault(name, None)
    expected = meant(image, values)
    (row,) = rows("\n".join([*lines, f"FROM x{written(image)}"]))

    assert row.image == f"x{written(image)}"
    assert row.resolved == (None if expected is None else f"x{expected}")
    assert (row.resolution is Resolution.UNRESOLVED) == (expected is None)


@settings(max_examples=100, deadline=None)
@given(WORD, WORD, WORD)
def test_an_argument_of_a_stage_is_another(outer: str, inner: str, given_value: str) -> None:
    """ARG below a FROM changes no later FROM; a value from outside wins over the default."""
    text = f"ARG V={outer}\nFROM a:$V\nARG V={inner}\nFROM b:$V"

    assert [row.resolved for row in rows(text)] == [f"a:{outer}", f"b:{outer}"]
    assert [row.resolved for row in rows(text, V=Value(text=given_value))] == [
        f"a:{given_value}",
        f"b:{given_value}",
    ]


@pytest.mark.parametrize(
    ("argument", "image", "resolved"),
    [
        ('V="1 2"', "a:$V", "a:1 2"),
        ("V='$W'", "a:$V", "a:$W"),
        ('V="x" W=2', "a:$V$W", "a:x2"),
        ("V=1.2.3-rc", "a:${V%-rc}", "a:1.2.3"),
        ("V=v1.2", "a:${V#v}", "a:1.2"),
        ("V=1_2_3", "a:${V/_/.}", "a:1.2_3"),
        ("V=1_2_3", "a:${V//_/.}", "a:1.2.3"),
        ("V=1", r"a:\$V", "a:$V"),
        ("V=1", "a:${V:?needed}", "a:1"),
        ("V=", "a:${V:-${W:-deep}}", "a:deep"),
        ("V", "a:${V:?needed}", None),
        ("V=1", "a:${V%%*}", None),
        ("V=1", "a:${V", None),
        ("V=1", "a:${V^^}", None),
        ("V=$V", "a:$V", None),
    ],
)
def test_forms_of_a_variable(argument: str, image: str, resolved: str | None) -> None:
    """Each form that BuildKit knows is replaced; wild cards and others are not guessed."""
    (row,) = rows(f"ARG {argument}\nFROM {image}")

    assert row.resolved == resolved


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n# only a comment\n",
        "RUN no stage yet\n",
        "FROM scratch\nCOPY --from=0 a b\n",
        "FROM SCRATCH",
        "FROM",
    ],
)
def test_no_image(text: str) -> None:
    """What names no image has no row with one."""
    assert [row for row in rows(text) if row.image is not None] == []


def test_a_heredoc_without_end_is_none() -> None:
    """Lines behind what only looks like a heredoc are read: a shift, a file that lacks its end."""
    text = "FROM a\nRUN cat <<EOF\nCOPY --from=b x y\nRUN echo $((1<<2))\nFROM c"

    assert [row.image for row in rows(text)] == ["a", "b", "c"]


def test_undeclared_is_said() -> None:
    """A builder's own arguments are unknown without a note; others are no argument at all."""
    platform, other = rows("FROM a:$TARGETARCH\nFROM b:$NOBODY")

    assert (platform.note, platform.variables) == (None, ("TARGETARCH",))
    assert other.note == "no ARG before the first FROM: NOBODY"
