"""Variables: what is replaced is known by making, and nothing that is unknown is guessed."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logminer.inventory.variables import (
    MAX_LENGTH,
    Value,
    expand_compose,
    expand_dockerfile,
    expand_runner,
    names_in,
)
from logminer.model import Resolution

NAMES = ("A", "B", "C", "D")
WORD = st.text(string.ascii_lowercase + "./:-", max_size=5)
PART = st.one_of(
    WORD.map(lambda word: (word, None)),
    st.sampled_from(NAMES).map(lambda name: (f"${{{name}}}", name)),
    st.sampled_from(NAMES).map(lambda name: (f"${name}/", name)),
    st.just(("$$", "$")),
)
TEXT = st.lists(PART, max_size=5)
Parts = list[tuple[str, str | None]]


def meant(parts: Parts, values: dict[str, Parts], inside: tuple[str, ...] = ()) -> str | None:
    """Say what parts mean: each name its value, in turn; None for a name without, or in itself."""
    out = ""
    for text, name in parts:
        if name is None:
            out += text
        elif name == "$":
            out += "$"
        elif name not in values or name in inside:
            return None
        else:
            value = meant(values[name], values, (*inside, name))
            if value is None:
                return None
            out += value + ("/" if text.endswith("/") else "")
    return out


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), TEXT), TEXT)
def test_gitlab_replaces_names_in_the_values_of_names(
    values: dict[str, Parts], image: Parts
) -> None:
    """Names in values are replaced in turn; a name without a value, or in itself, is unknown."""
    known = {name: Value(text="".join(text for text, _ in parts)) for name, parts in values.items()}
    found = expand_runner("".join(text for text, _ in image), known.get)

    assert found.text == meant(image, values)
    assert (found.resolution is Resolution.UNRESOLVED) == (found.text is None)
    assert found.text is not None or found.names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("x$Ay", None),
        ("x${A}y", "x1y"),
        ("%A%", "%A%"),
        ("$P", "<1>"),
        ("$A$", "1$"),
        ("$1", "$1"),
        ("${}", None),
        ("${A:-2}", None),
        ("$RAW", "$A"),
        ("$EMPTY", ""),
    ],
)
def test_forms_of_the_runner(text: str, expected: str | None) -> None:
    """`$NAME` and `${NAME}` only; `%NAME%` only in a value, where GitLab replaces it."""
    values = {
        "A": Value(text="1"),
        "P": Value(text="<%A%>"),
        "RAW": Value(text="$A", raw=True),
        "EMPTY": Value(text=""),
    }

    assert expand_runner(text, values.get).text == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A:-x}", "1"),
        ("${A-x}", "1"),
        ("${E:-x}", "x"),
        ("${E-x}", ""),
        ("${N:-x}", "x"),
        ("${N-x}", "x"),
        ("${N:-${A}}", "1"),
        ("${N:-${M:-deep}}", "deep"),
        ("${A:+x}", "x"),
        ("${E:+x}", ""),
        ("${E+x}", "x"),
        ("${N:+x}", None),
        ("${A:?m}", "1"),
        ("${E:?m}", None),
        ("${N?m}", None),
        ("$$A", "$A"),
        ("$A$$", "1$"),
        ("${A/1/2}", None),
        ("'$A'", "'1'"),
        ("$", "$"),
        ("${", None),
    ],
)
def test_forms_of_compose(text: str, expected: str | None) -> None:
    """The forms of the specification, and no others."""
    values = {"A": Value(text="1"), "E": Value(text="")}

    assert expand_compose(text, values.get).text == expected


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_never_raises(text: str) -> None:
    """Any text gives an answer in every grammar, and what is known or not is always said."""
    for expand in (expand_runner, expand_compose, expand_dockerfile):
        found = expand(text, lambda name: Value(text=f"<{name}>") if len(name) == 1 else None)
        assert (found.text is None) == (found.resolution is Resolution.UNRESOLVED)
    assert all(names_in(text))


def test_growth_is_bounded() -> None:
    """Values that double at each step, or are replaced very often, end unresolved and soon."""
    laughs = {f"V{n}": Value(text=f"$V{n + 1}" * 10) for n in range(9)}
    laughs["V9"] = Value(text="ha")
    nothing = {f"V{n}": Value(text=f"$V{n + 1}" * 500) for n in range(9)}
    nothing["V9"] = Value(text="")

    assert expand_runner("$V0", laughs.get).resolution is Resolution.UNRESOLVED
    assert expand_runner("$V0", nothing.get).resolution is Resolution.UNRESOLVED
    long = Value(text="x" * (MAX_LENGTH + 1))
    assert expand_compose("$A", {"A": long}.get).resolution is Resolution.UNRESOLVED
