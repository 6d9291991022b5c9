"""Words as systemd, a shell, YAML and Kubernetes must read them. Pure.

A group's name is anybody's text: quotes, blanks, `%` and `$` mean something to each of these
readers, and something else to each. A line break or another control character has no form that all
of them take, and stands in no name that GitLab accepts: it is refused.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Final

from logminer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN: Final = re.compile(r"[A-Za-z0-9%+=:,./_-]+")
"""What means nothing to systemd outside of quotes, `%` being doubled."""


def printable(words: Iterable[str]) -> None:
    """Raise UsageError for a word that cannot be written into every kind of file."""
    for word in words:
        if not word.isprintable():
            raise UsageError(f"{word!r} holds a character that no schedule can carry: leave it out")


def systemd(word: str) -> str:
    """Return a word of `ExecStart=` behind the first (systemd.syntax, systemd.service)."""
    escaped = _escaped(word).replace("$", "$$")
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def systemd_path(path: str) -> str:
    """Return a path as a list of them, or the first word of `ExecStart=`, takes it."""
    escaped = _escaped(path)
    return escaped if _PLAIN.fullmatch(escaped) else f'"{escaped}"'


def specifiers(text: str) -> str:
    """Return text in which systemd finds no specifier."""
    return text.replace("%", "%%")


def shell(words: Iterable[str]) -> str:
    """Return a command for a POSIX shell."""
    return shlex.join(words)


def yaml(text: str) -> str:
    """Return text as a double-quoted scalar: what JSON writes, YAML reads."""
    return json.dumps(text, ensure_ascii=False)


def kubernetes(word: str) -> str:
    """Return a word of `command` or `args` as a scalar: `$(NAME)` there would be a variable."""
    return yaml(word.replace("$", "$$"))


def _escaped(word: str) -> str:
    return specifiers(word.replace("\\", "\\\\").replace('"', '\\"'))
