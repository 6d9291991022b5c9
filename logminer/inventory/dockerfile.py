r"""Dockerfiles and Containerfiles: base images, images copied and mounted from, frontends.

The line grammar is BuildKit's (`frontend/dockerfile/parser`): directives at the head, an escape
character that continues a line, comments and empty lines within a continued one, heredocs for RUN,
COPY and ADD.
Ours and no library's: `dockerfile-parse` reads a heredoc's text as instructions and knows no escape
directive; `dockerfile` is BuildKit's own parser, but a Go runtime for x86-64 alone that refuses a
whole file for its last line.
The tests hold this reader against that one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from logminer.inventory.nodes import decoded
from logminer.inventory.rows import Place, declaration, gap
from logminer.inventory.templates import TEMPLATE, unrendered
from logminer.inventory.variables import MAX_LENGTH, Expanded, Value, expand_dockerfile
from logminer.model import DeclarationKind, DeclaredRole, Resolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from logminer.model import Declaration

MAX_BYTES: Final = 2 * 2**20
"""BuildKit reads no longer Dockerfile."""

_KIND: Final = DeclarationKind.DOCKERFILE
_SCRATCH: Final = "scratch"
_DIRECTIVE: Final = re.compile(r"#[ \t]*([A-Za-z][A-Za-z0-9]*)[ \t]*=[ \t]*(\S.*?)[ \t]*$")
_INSTRUCTION: Final = re.compile(r"[ \t]*([A-Za-z]+)(?:[ \t]+|$)")
_FLAG: Final = re.compile(r"\s*--([a-z][a-z-]*)(?:=((?:\"[^\"]*\"|[^\s\"])*+))?(?=\s|$)")
_HEREDOC: Final = re.compile(r"(?:^|[ \t])[0-9]*<<(-?)(?:\"([^\"<]+)\"|'([^'<]+)'|([^\s\"'<]+))")
_ALIAS: Final = 2
"""Words of `AS name`."""

_WITH_HEREDOCS: Final = frozenset({"RUN", "COPY", "ADD"})
_NO_VARIABLES: Final = "BuildKit replaces no variables here"
_PLATFORM_ARGS: Final = frozenset(
    f"{of}{part}"
    for of in ("TARGET", "BUILD")
    for part in ("PLATFORM", "OS", "ARCH", "VARIANT", "OSVERSION")
)
"""What BuildKit itself sets, for each build anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction, its lines put together."""

    line: int
    word: str
    """In upper case."""
    rest: str
    """What stands behind the word, the text of heredocs left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The instructions of a file, and what its head says."""

    escape: str
    syntax: tuple[int, str] | None
    """Line and image of the frontend."""
    instructions: tuple[Instruction, ...]


def parse(text: str) -> Script:
    """Take a Dockerfile apart; never raises, and no line is read as two things."""
    lines = re.split(r"\r?\n", text)
    escape, syntax = _head(lines)
    continued = re.compile(rf"(?:^|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*$")
    ends = _Ends(lines)
    found = []
    at = 0
    while at < len(lines):
        first = at
        stripped = lines[at].strip()
        at += 1
        if not stripped or stripped.startswith("#"):
            continue
        parts = []
        line = lines[first].lstrip()
        while continued.search(line):
            parts.append(line.rstrip()[:-1])
            while at < len(lines) and _is_skipped(lines[at]):
                at += 1
            if at >= len(lines):
                line = ""
                break
            line = lines[at]
            at += 1
        parts.append(line)
        instruction = _instruction(first + 1, "".join(parts))
        if instruction is not None:
            found.append(instruction)
            at = _behind_heredocs(instruction, ends, at)
    return Script(escape=escape, syntax=syntax, instructions=tuple(found))


def _is_skipped(line: str) -> bool:
    """Return whether a line within a continued one is a comment or empty."""
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _head(lines: list[str]) -> tuple[str, tuple[int, str] | None]:
    """Read the directives; anything else, also a plain comment, ends them."""
    escape, syntax = "\\", None
    for number, line in enumerate(lines, start=1):
        match = _DIRECTIVE.match(line.strip())
        if match is None:
            if number == 1 and line.startswith("#!"):
                continue
            break
        name = match[1].lower()
        if name == "escape" and match[2] in {"\\", "`"}:
            escape = match[2]
        elif name == "syntax" and syntax is None:
            syntax = number, match[2].split()[0]
    return escape, syntax


def _instruction(line: int, text: str) -> Instruction | None:
    match = _INSTRUCTION.match(text)
    if match is None:
        return None
    return Instruction(line=line, word=match[1].upper(), rest=text[match.end() :].strip())


class _Ends:
    """Where a line stands that may end a heredoc: looked up, not searched for each one anew."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at: dict[bool, dict[str, list[int]]] = {}

    def behind(self, name: str, at: int, *, tabs: bool) -> int | None:
        """Return the line behind the first from `at` on that is the name; None for none."""
        if tabs not in self._at:
            index: dict[str, list[int]] = {}
            for number, line in enumerate(self._lines):
                index.setdefault(line.lstrip("\t") if tabs else line, []).append(number)
            self._at[tabs] = index
        numbers = self._at[tabs].get(name, [])
        place = bisect_left(numbers, at)
        return numbers[place] + 1 if place < len(numbers) else None


def _behind_heredocs(instruction: Instruction, ends: _Ends, at: int) -> int:
    """Return the line behind the heredocs that an instruction opens; one without end is none."""
    inner = _triggered(instruction)
    if inner.word not in _WITH_HEREDOCS:
        return at
    for match in _HEREDOC.finditer(inner.rest):
        behind = ends.behind(match[2] or match[3] or match[4], at, tabs=bool(match[1]))
        if behind is None:
            return at
        at = behind
    return at


def _triggered(instruction: Instruction) -> Instruction:
    """Return the instruction behind ONBUILD, which stands for later builds; else the same."""
    if instruction.word != "ONBUILD":
        return instruction
    return _instruction(instruction.line, instruction.rest) or instruction


@dataclass(slots=True)
class _Build:
    """What is known at one place of the file."""

    path: str
    escape: str
    given: Mapping[str, Value]
    args: dict[str, Value | None] = field(default_factory=dict)
    """The global ones; None for one without a value."""
    stages: list[str | None] = field(default_factory=list)

    def lookup(self, name: str) -> Value | None:
        """Return the value of a global argument."""
        return self.args.get(name)

    def expand(self, text: str) -> Expanded:
        """Replace the variables of a text."""
        return expand_dockerfile(text, self.lookup, escape=self.escape)

    def is_stage(self, name: str) -> bool:
        """Return whether an earlier stage has this name."""
        return name.lower() in self.stages

    @property
    def here(self) -> str | None:
        """The name of the stage, its number where it has none."""
        if not self.stages:
            return None
        return self.stages[-1] or str(len(self.stages) - 1)


def read_dockerfile(
    path: str, data: bytes, *, arguments: Mapping[str, Value] | None = None
) -> Iterator[Declaration]:
    """Yield the images of a Dockerfile; `arguments` are values given to the build from outside."""
    if len(data) > MAX_BYTES:
        yield gap(path, None, _KIND, f"longer than {MAX_BYTES >> 20} MB: no builder reads it")
        return
    script = parse(decoded(data))
    build = _Build(path=path, escape=script.escape, given=arguments or {})
    if script.syntax is not None:
        line, image = script.syntax
        yield _literal(build, line, image, name=None)
    for each in script.instructions:
        if each.word == "ARG" and not build.stages:
            _argue(build, each.rest)
        elif each.word == "FROM":
            yield from _from(build, each)
        elif build.stages:
            yield from _copied(build, _triggered(each))


def _argue(build: _Build, rest: str) -> None:
    """Take the arguments of one ARG before the first FROM; a default is no promise."""
    for name, default in assignments(rest, build.escape):
        if name in build.given:
            build.args[name] = build.given[name]
        elif default is None:
            build.args.setdefault(name, None)
        else:
            value = build.expand(default)
            build.args[name] = (
                None
                if value.text is None
                else Value(
                    text=value.text, certainty=Resolution.DEFAULT, names=frozenset(value.names)
                )
            )


def assignments(text: str, escape: str) -> Iterator[tuple[str, str | None]]:
    """Yield names and values of `A=1 B="2 3" C`, the values with their quotes."""
    for word in words(text, escape):
        name, equals, value = word.partition("=")
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield name, value if equals else None


def words(text: str, escape: str) -> Iterator[str]:
    """Yield the words of a text; blanks within quotes and behind the escape belong to a word."""
    word, quote, at = "", "", 0
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'":
            word += text[at : at + 2]
            at += 2
            continue
        if char in "\"'" and quote in ("", char):
            quote = "" if quote else char
        if char.isspace() and not quote:
            if word:
                yield word
            word = ""
        else:
            word += char
        at += 1
    if word:
        yield word


def _flags(rest: str) -> tuple[list[tuple[str, str]], str]:
    """Return the flags before an instruction's words, and the words."""
    flags, at = [], 0
    while match := _FLAG.match(rest, at):
        flags.append((match[1], (match[2] or "").strip('"')))
        at = match.end()
    return flags, rest[at:].strip()


def _from(build: _Build, instruction: Instruction) -> Iterator[Declaration]:
    """Yield the base image of a stage, unless that is an earlier stage or nothing at all."""
    flags, rest = _flags(instruction.rest)
    if TEMPLATE.search(rest):
        build.stages.append(None)
        image = re.split(r"(?i)\sAS\s", rest)[0].strip()
        yield unrendered(_place(build, instruction.line), image, "stands in a template")
        return
    image, *alias = rest.split() or [""]
    if not image or (alias and (len(alias) != _ALIAS or alias[0].upper() != "AS")):
        build.stages.append(None)
        yield gap(build.path, instruction.line, _KIND, "a FROM that names no single image")
        return
    expanded = build.expand(image) if len(image) <= MAX_LENGTH else build.expand("")
    target = expanded.text if expanded.text is not None else image
    earlier = build.is_stage(target)
    build.stages.append(alias[1].lower() if alias else None)
    if earlier or target.lower() == _SCRATCH:
        return
    yield declaration(
        _place(build, instruction.line),
        image.strip("\"'"),
        expanded,
        platform=_platform(build, flags),
        note=_undeclared(build, expanded),
    )


def _undeclared(build: _Build, expanded: Expanded) -> str | None:
    """Say that a name which stayed unknown is no argument at all: the build would fail."""
    if expanded.text is not None:
        return None
    missing = [
        each for each in expanded.names if each not in build.args and each not in _PLATFORM_ARGS
    ]
    return f"no ARG before the first FROM: {', '.join(missing)}" if missing else None


def _platform(build: _Build, flags: list[tuple[str, str]]) -> str | None:
    """Return the platform that a stage asks for, as written where it depends on the builder."""
    written = dict(flags).get("platform")
    if written is None or len(written) > MAX_LENGTH:
        return None
    return build.expand(written).text or written


def _copied(build: _Build, instruction: Instruction) -> Iterator[Declaration]:
    """Yield the images that COPY --from and RUN --mount=from= name."""
    if instruction.word not in {"COPY", "RUN"}:
        return
    flags, _ = _flags(instruction.rest)
    for flag, value in flags:
        if flag == "from" and instruction.word == "COPY":
            yield from _other(build, instruction.line, value)
        elif flag == "mount" and instruction.word == "RUN":
            for part in value.split(","):
                key, _, source = part.partition("=")
                if key.strip().lower() == "from":
                    yield from _other(build, instruction.line, source.strip())


def _other(build: _Build, line: int, source: str) -> Iterator[Declaration]:
    """Yield the image that is copied from, unless it is a stage, by name or number."""
    if not source or source.isdecimal() or build.is_stage(source) or source.lower() == _SCRATCH:
        return
    if "$" in source:
        names = build.expand(source).names if len(source) <= MAX_LENGTH else ()
        yield declaration(
            _place(build, line),
            source,
            Expanded(text=None, resolution=Resolution.UNRESOLVED, names=names),
            note=_NO_VARIABLES,
        )
        return
    yield _literal(build, line, source, name=build.here)


def _literal(build: _Build, line: int, image: str, *, name: str | None) -> Declaration:
    place = Place(path=build.path, line=line, kind=_KIND, name=name, role=DeclaredRole.BUILD)
    return declaration(place, image, Expanded(text=image, resolution=Resolution.LITERAL, names=()))


def _place(build: _Build, line: int) -> Place:
    return Place(path=build.path, line=line, kind=_KIND, name=build.here, role=DeclaredRole.BUILD)
