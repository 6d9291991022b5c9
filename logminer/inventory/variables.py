r"""Replace variables in a text, by the rules of whoever will replace them.

Three grammars:

* GitLab Runner: `$NAME` and `${NAME}`, `$$` is a dollar sign, everything else stays (Go's
  `os.Expand`); inside the values of variables GitLab also replaces `%NAME%`.
* Compose: those and `${NAME:-word}`, `-`, `:?`, `?`, `:+`, `+`, the word expanded in its turn.
* Dockerfile: Compose's forms, `${NAME#word}`, `##`, `%`, `%%`, `/`, `//`, quotes, and an escape
  character in place of `$$`.

Whoever asks gives a function from a name to its value; a name without one stays as it is written
and is named in the answer.
Nothing here raises, and no answer is longer than a reference can be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from logminer.model import Resolution

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH: Final = 4096
"""Characters of an expanded text; what grows longer (`A=$B$B, B=$C$C, …`) is no reference."""

_MAX_NESTED: Final = 8
"""Of variables that name variables, and of defaults in defaults."""

_RUNNER: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<name>[A-Za-z_][A-Za-z0-9_]*+)|\{(?P<braced>[^}]*+)\})"
)
_GITLAB: Final = re.compile(
    r"(?P<dollar>\$\$|%%)|\$(?P<name>[A-Za-z_][A-Za-z0-9_]*+)"
    r"|\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*+)\}|%(?P<percent>[A-Za-z_][A-Za-z0-9_]*+)%"
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+")
_OPERATOR: Final = re.compile(r":[-?+]|[-?+]|##?|%%?|//?")

STRENGTH: Final = (
    Resolution.LITERAL,
    Resolution.RESOLVED,
    Resolution.DEFAULT,
    Resolution.ALTERNATIVE,
    Resolution.UNRESOLVED,
)
"""From certain to unknown: a text is as certain as the least certain of its parts."""


def weakest(*resolutions: Resolution) -> Resolution:
    """Return the least certain of some resolutions."""
    return max(resolutions, key=STRENGTH.index, default=Resolution.LITERAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a variable is known to be."""

    text: str
    certainty: Resolution = Resolution.RESOLVED
    raw: bool = False
    """Whether its text is taken as it is (`expand: false`)."""
    names: frozenset[str] = frozenset()
    """Variables that this value came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A text after its variables were replaced."""

    text: str | None
    """None where something stayed unknown."""
    resolution: Resolution
    names: tuple[str, ...]
    """Names that stayed unknown if there are any, else all that were used; sorted."""


@dataclass(slots=True)
class _Reading:
    """What was met while a text was expanded."""

    used: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    certainty: Resolution = Resolution.LITERAL
    length: int = 0

    def take(self, name: str, value: Value) -> str:
        """Note a value that was used, and return its text."""
        self.used |= {name, *value.names}
        self.certainty = weakest(self.certainty, value.certainty)
        return value.text

    def miss(self, name: str, written: str) -> str:
        """Note a name without a value, and return what was written."""
        self.unknown.add(name)
        return written

    def result(self, text: str) -> Expanded:
        """Return the answer."""
        if len(text) > MAX_LENGTH:
            self.unknown |= self.used
        if self.unknown:
            return Expanded(
                text=None, resolution=Resolution.UNRESOLVED, names=tuple(sorted(self.unknown))
            )
        return Expanded(text=text, resolution=self.certainty, names=tuple(sorted(self.used)))


def names_in(text: str) -> set[str]:
    """Return every name that a text may depend on, by any of GitLab's forms."""
    found = (
        match["name"] or match["braced"] or match["percent"] for match in _GITLAB.finditer(text)
    )
    return {each for each in found if each}


def expand_runner(text: str, lookup: Callable[[str], Value | None]) -> Expanded:
    """Expand as GitLab Runner does for an image's name; values expand as GitLab does."""
    reading = _Reading()
    return reading.result(_gitlab(text, _RUNNER, lookup, reading, ()))


def _gitlab(
    text: str,
    pattern: re.Pattern[str],
    lookup: Callable[[str], Value | None],
    reading: _Reading,
    open_names: tuple[str, ...],
) -> str:
    """Replace the variables of a text; `open_names` are those whose values it stands in."""

    def replaced(match: re.Match[str]) -> str:
        parts = match.groupdict()
        if parts["dollar"]:
            return parts["dollar"][0]
        name = parts["name"] or parts["braced"] or parts.get("percent") or ""
        value = lookup(name)
        if value is None or name in open_names or len(open_names) >= _MAX_NESTED:
            known = _NAME.match(name)  # of `${NAME:-word}`, which is a name for GitLab
            return reading.miss(known[0] if known else match[0], match[0])
        # Counted before it is looked into, and once more than its length: neither many long
        # values nor very many empty ones can take time.
        reading.length += len(value.text) + 1
        if reading.length > MAX_LENGTH:
            return reading.miss(name, match[0])
        found = reading.take(name, value)
        return found if value.raw else _gitlab(found, _GITLAB, lookup, reading, (*open_names, name))

    return pattern.sub(replaced, text)


def expand_compose(text: str, lookup: Callable[[str], Value | None]) -> Expanded:
    """Expand as Compose does; a name without value and default is unknown, not empty."""
    reading = _Reading()
    return reading.result(_Shell(text, lookup, reading, escape=None).run())


def expand_dockerfile(
    text: str, lookup: Callable[[str], Value | None], *, escape: str = "\\"
) -> Expanded:
    """Expand as BuildKit does for `FROM` and `ARG`, quotes removed."""
    reading = _Reading()
    return reading.result(_Shell(text, lookup, reading, escape=escape).run())


class _Shell:
    """One walk over a text in a shell's grammar; one with an escape character has quotes, too."""

    def __init__(
        self,
        text: str,
        lookup: Callable[[str], Value | None],
        reading: _Reading,
        *,
        escape: str | None,
        nested: int = 0,
    ) -> None:
        self._text = text
        self._lookup = lookup
        self._reading = reading
        self._escape = escape
        self._nested = nested
        self._at = 0

    def run(self) -> str:
        """Return the text with its variables replaced."""
        text, out = self._text, []
        quote = ""
        while self._at < len(text):
            char = text[self._at]
            if char == self._escape and quote != "'":
                out.append(text[self._at + 1 : self._at + 2])
                self._at += 2
            elif self._escape is not None and char in "\"'" and quote in ("", char):
                quote = "" if quote else char
                self._at += 1
            elif char == "$" and quote != "'":
                out.append(self._dollar())
            else:
                out.append(char)
                self._at += 1
        return "".join(out)

    def _dollar(self) -> str:
        """Replace the variable that begins here, and step behind it."""
        text, start = self._text, self._at
        if self._escape is None and text.startswith("$$", start):
            self._at += 2
            return "$"
        if text.startswith("${", start):
            end = self._closing(start + 2)
            if end < 0:
                self._at = len(text)
                return self._reading.miss(text[start:][:80], text[start:])
            self._at = end + 1
            return self._braced(text[start + 2 : end], text[start : end + 1])
        match = _NAME.match(text, start + 1)
        self._at = match.end() if match else start + 1
        return self._plain(match[0], text[start : self._at]) if match else "$"

    def _closing(self, start: int) -> int:
        """Return where the brace closes that opened before `start`; -1 where it does not."""
        depth = 1
        for at in range(start, len(self._text)):
            char = self._text[at]
            if char == "{" and self._text[at - 1] == "$":
                depth += 1
            elif char == "}":
                depth -= 1
                if not depth:
                    return at
        return -1

    def _plain(self, name: str, written: str) -> str:
        value = self._lookup(name)
        return (
            self._reading.miss(name, written) if value is None else self._reading.take(name, value)
        )

    def _braced(self, inside: str, written: str) -> str:
        """Replace `${NAME}` and its forms with an operator."""
        match = _NAME.match(inside)
        if match is None or self._nested >= _MAX_NESTED:
            return self._reading.miss(match[0] if match else written[:80], written)
        name, rest = match[0], inside[match.end() :]
        if not rest:
            return self._plain(name, written)
        operator = _OPERATOR.match(rest)
        if operator is None:
            return self._reading.miss(name, written)
        return self._operated(name, operator[0], rest[operator.end() :], written)

    def _operated(self, name: str, operator: str, word: str, written: str) -> str:
        """Apply an operator; what a default stands in for may be given by whoever runs it."""
        value = self._lookup(name)
        present = value is not None and bool(value.text or ":" not in operator)
        if operator[-1] == "-":
            if value is not None and present:
                return self._reading.take(name, value)
            return self._reading.take(
                name, Value(text=self._word(word), certainty=Resolution.DEFAULT)
            )
        if operator[-1] == "?":
            if value is not None and present:
                return self._reading.take(name, value)
        elif operator[-1] == "+" and value is not None:
            self._reading.take(name, value)
            return self._word(word) if present else ""
        elif value is not None and self._escape is not None:
            cut = _cut(self._reading.take(name, value), operator, self._word(word))
            if cut is not None:
                return cut
        return self._reading.miss(name, written)

    def _word(self, word: str) -> str:
        """Expand the word of an operator, in its turn."""
        return _Shell(
            word,
            self._lookup,
            self._reading,
            escape=self._escape,
            nested=self._nested + 1,
        ).run()


def _cut(text: str, operator: str, word: str) -> str | None:
    """Apply BuildKit's `#`, `%` and `/` for words without wild cards; None for those with."""
    if any(each in word for each in "*?\\["):
        return None
    if operator[0] == "#":
        return text.removeprefix(word)
    if operator[0] == "%":
        return text.removesuffix(word)
    old, _, new = word.partition("/")
    return text.replace(old, new, -1 if operator == "//" else 1) if old else None
