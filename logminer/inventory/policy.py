"""Rules for declared images: a TOML text to a policy, rows to findings.

    [registries]
    allowed   = ["registry.example.com", "docker.io/library"]   # host, or host and leading path

    [[proxy]]
    upstream  = "docker.io"            # what comes from there …
    via       = ["harbor"]             # … must come through one of these mirrors; else through any

    [tags]
    forbidden = ["latest", "*-rc*"]    # a reference without tag and digest says latest

    [digests]
    required  = true

    [unresolved]
    forbidden = true                   # also what only the run or a tool would know

    [[exempt]]
    rules     = ["tag", "digest"]      # else all of them
    image     = "docker.io/library/*"  # registry and repository
    path      = "docs/**"
    kinds     = ["compose"]

Each table of rules may have `kinds`, the kinds of files that it holds for.
In a pattern `*` stands for anything but `/`, and `**` for anything.
A row whose image is not known breaks no rule but `unresolved`: nothing is guessed.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from logminer.errors import UsageError
from logminer.model import DeclarationKind, Resolution
from logminer.reference import canonical_registry, image_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from logminer.model import Declaration
    from logminer.reference import ImageColumns, Upstreams

_KINDS: Final = frozenset(str(each) for each in DeclarationKind)


class Rule(StrEnum):
    """What a finding says is broken."""

    REGISTRY = "registry"
    PROXY = "proxy"
    TAG = "tag"
    DIGEST = "digest"
    UNRESOLVED = "unresolved"

    @property
    def severity(self) -> str:
        """How grave it is, in the words of GitLab's code quality."""
        return {"registry": "major", "proxy": "major", "unresolved": "info"}.get(self, "minor")


_TABLES: Final = {
    "registries": ("allowed", Rule.REGISTRY),
    "proxy": ("upstream", Rule.PROXY),
    "tags": ("forbidden", Rule.TAG),
    "digests": ("required", Rule.DIGEST),
    "unresolved": ("forbidden", Rule.UNRESOLVED),
}
"""The tables of rules, each with the key that it cannot lack."""

_KEYS: Final = {
    "registries": {"allowed", "kinds"},
    "proxy": {"upstream", "via", "kinds"},
    "tags": {"forbidden", "kinds"},
    "digests": {"required", "kinds"},
    "unresolved": {"forbidden", "kinds"},
    "exempt": {"rules", "image", "path", "kinds"},
}
_REPEATED: Final = frozenset({"proxy", "exempt"})
_FLAGS: Final = {("digests", "required"), ("unresolved", "forbidden")}
_TEXTS: Final = {("proxy", "upstream"), ("exempt", "image"), ("exempt", "path")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One declaration that breaks one rule."""

    rule: Rule
    message: str
    """One sentence that says what to do."""
    row: Declaration
    columns: ImageColumns
    fingerprint: str
    """The same as long as the declaration stands, on whatever line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One table of the policy."""

    rule: Rule
    kinds: frozenset[str]
    words: tuple[str, ...] = ()
    """The patterns or the upstream that it speaks of."""
    via: tuple[str, ...] = ()

    def breach(self, row: Declaration, image: ImageColumns) -> str | None:
        """Return what a row does against the rule; None for nothing."""
        if row.kind not in self.kinds:
            return None
        if self.rule is Rule.UNRESOLVED:
            return _unresolved(row)
        if image.reference is None:
            return None
        return _BREACHES[self.rule](self, image)

    def registry(self, image: ImageColumns) -> str | None:
        """Return a breach if the registry, or the path in it, is not among the allowed."""
        name = f"{image.registry}/{image.repository}"
        if any(_pattern(each, open_end=True).fullmatch(name) for each in self.words):
            return None
        return f"{image.registry} is not an allowed registry for {image.repository}"

    def proxy(self, image: ImageColumns) -> str | None:
        """Return a breach if an upstream's image does not come through a mirror."""
        wanted = f"through {' or '.join(self.via)}" if self.via else "through a proxy"
        if image.registry in self.words:
            return f"{image.repository} comes straight from {image.registry}: pull it {wanted}"
        if image.upstream_registry in self.words and self.via and image.via not in self.via:
            return f"{image.upstream_repository} comes through {image.via}: pull it {wanted}"
        return None

    def tag(self, image: ImageColumns) -> str | None:
        """Return a breach if the tag is forbidden; a digest decides alone."""
        tag = image.tag or "latest"
        if image.digest or not any(_pattern(each).fullmatch(tag) for each in self.words):
            return None
        written = "" if image.tag else ", and no tag means it"
        return f"the tag {tag} is forbidden{written}: name another"

    def digest(self, image: ImageColumns) -> str | None:
        """Return a breach if no digest is written."""
        return None if image.digest else "no digest: pin it with @sha256:…"


_BREACHES: Final[dict[Rule, Callable[[_Check, ImageColumns], str | None]]] = {
    Rule.REGISTRY: _Check.registry,
    Rule.PROXY: _Check.proxy,
    Rule.TAG: _Check.tag,
    Rule.DIGEST: _Check.digest,
}


def _unresolved(row: Declaration) -> str | None:
    """Return a breach if nobody can know the image before the run."""
    if row.resolution is Resolution.UNREAD:
        return f"not read: {row.note}"
    if row.resolved is not None:
        return None
    names = ", ".join(row.variables)
    return f"cannot be resolved{f': {names} unknown' if names else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exemption:
    """What is let through."""

    rules: frozenset[str]
    kinds: frozenset[str]
    image: str
    path: str

    def covers(self, rule: Rule, row: Declaration, image: ImageColumns) -> bool:
        """Return whether a finding is let through."""
        name = f"{image.registry}/{image.repository}" if image.reference else ""
        return (
            rule in self.rules
            and row.kind in self.kinds
            and _pattern(self.image).fullmatch(name) is not None
            and _pattern(self.path).fullmatch(row.path) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What may be declared; `parse_policy` is its maker."""

    checks: tuple[_Check, ...]
    exemptions: tuple[_Exemption, ...]

    def findings(self, rows: Iterable[Declaration], upstreams: Upstreams) -> Iterator[Finding]:
        """Yield what breaks a rule, in the order of the rows."""
        seen: Counter[str] = Counter()
        for row in rows:
            image = image_columns(row.resolved, upstreams)
            for check in self.checks:
                message = check.breach(row, image)
                if message is None or self._exempt(check.rule, row, image):
                    continue
                print_ = _fingerprint(check.rule, row)
                seen[print_] += 1
                if seen[print_] > 1:
                    print_ = _digest(print_, str(seen[print_]))
                yield Finding(
                    rule=check.rule, message=message, row=row, columns=image, fingerprint=print_
                )

    def _exempt(self, rule: Rule, row: Declaration, image: ImageColumns) -> bool:
        return any(each.covers(rule, row, image) for each in self.exemptions)


def _fingerprint(rule: Rule, row: Declaration) -> str:
    parts = (rule, row.path, row.kind, row.name, row.role, row.image, row.resolved, row.note)
    return _digest(*(str(each or "") for each in parts))


def _digest(*parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()


@cache
def _pattern(glob: str, *, open_end: bool = False) -> re.Pattern[str]:
    """Compile a pattern; with an open end it also fits whatever lies below it."""
    wild = {"**": ".*", "*": "[^/]*"}
    parts = re.split(r"(\*\*|\*)", glob.rstrip("/") if open_end else glob)
    text = "".join(wild.get(part, re.escape(part)) for part in parts)
    return re.compile(f"{text}(?:/.*)?" if open_end else text, re.DOTALL)


def parse_policy(text: str, name: str) -> Policy:
    """Return the policy of a TOML text.

    Raises UsageError, in one line that names the text and the line in it, for whatever this module
    does not describe: a rule that is misspelt must not pass for one that holds.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: is not TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{name}: is nested too deeply for a policy") from error
    reader = _Reader(name, text)
    checks: list[_Check] = []
    exemptions: list[_Exemption] = []
    for table, node in document.items():
        if table not in _KEYS:
            raise reader.error(table, 0, None, f"unknown rule {table!r}; known: {', '.join(_KEYS)}")
        entries = node if isinstance(node, list) else [node]
        if isinstance(node, list) != (table in _REPEATED):
            form = f"[[{table}]]" if table in _REPEATED else f"[{table}]"
            raise reader.error(table, 0, None, f"write {form}")
        for index, entry in enumerate(entries):
            values = reader.checked(table, index, entry)
            if table == "exempt":
                exemptions.append(_exemption(values))
            else:
                checks.extend(_checks(table, values))
    if not checks:
        raise UsageError(f"{name}: no rule in it; known: {', '.join(_TABLES)}")
    return Policy(checks=tuple(checks), exemptions=tuple(exemptions))


def _checks(table: str, values: dict[str, Any]) -> Iterator[_Check]:
    key, rule = _TABLES[table]
    word = values[key]
    if word is False:
        return
    words: tuple[str, ...] = tuple(word) if isinstance(word, list) else ()
    if isinstance(word, str):
        words = (canonical_registry(word),)
    yield _Check(
        rule=rule,
        kinds=frozenset(values.get("kinds", _KINDS)),
        words=words,
        via=tuple(values.get("via", ())),
    )


def _exemption(values: dict[str, Any]) -> _Exemption:
    return _Exemption(
        rules=frozenset(values.get("rules", [str(each) for each in Rule])),
        kinds=frozenset(values.get("kinds", _KINDS)),
        image=values.get("image", "**"),
        path=values.get("path", "**"),
    )


class _Reader:
    """Checks values and knows on which line they stand."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = _lines(text)

    def error(self, table: str, index: int, key: str | None, words: str) -> UsageError:
        """Return the error for a place in the text."""
        line = self._lines.get((table, index, key)) or self._lines.get((table, index, None))
        where = f"{self._name}: line {line}" if line else self._name
        return UsageError(f"{where}: {words}")

    def checked(self, table: str, index: int, entry: object) -> dict[str, Any]:
        """Return one table's values once each is what it must be."""
        if not isinstance(entry, dict):
            raise self.error(table, index, None, f"{table} is no table; write [{table}]")
        known = _KEYS[table]
        for key, value in entry.items():
            if key not in known:
                words = f"unknown key {key!r} in {table}; known: {', '.join(sorted(known))}"
                raise self.error(table, index, key, words)
            self._check(table, index, key, value)
        needed = _TABLES[table][0] if table in _TABLES else None
        if needed is not None and needed not in entry:
            raise self.error(table, index, None, f"{table} has no {needed}")
        if table == "exempt" and not entry:
            raise self.error(table, index, None, "an exemption that names nothing lets all through")
        return entry

    def _check(self, table: str, index: int, key: str, value: object) -> None:
        """Raise for a value of a wrong type, or a word that nobody knows."""
        if (table, key) in _FLAGS:
            good, form = isinstance(value, bool), "true or false"
        elif (table, key) in _TEXTS:
            good, form = isinstance(value, str) and bool(value), 'a text such as "docker.io"'
        else:
            good = isinstance(value, list) and all(isinstance(e, str) and e for e in value)
            good, form = good and bool(value), 'a list of texts such as ["latest"]'
        if not good:
            raise self.error(table, index, key, f"{key} must be {form}")
        vocabulary = {"kinds": _KINDS, "rules": frozenset(map(str, Rule))}.get(key)
        if vocabulary is not None and isinstance(value, list):
            wrong = [each for each in value if each not in vocabulary]
            if wrong:
                words = (
                    f"unknown word {wrong[0]!r} in {key}; known: {', '.join(sorted(vocabulary))}"
                )
                raise self.error(table, index, key, words)


def _lines(text: str) -> dict[tuple[str, int, str | None], int]:
    """Return the line of each table and key; tomllib tells none once a text is well-formed."""
    found: dict[tuple[str, int, str | None], int] = {}
    count: Counter[str] = Counter()
    table, index = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\[?\s*([\w-]+)\s*\]", line)
        if header:
            table = header[1]
            index = count[table]
            count[table] += 1
            found.setdefault((table, index, None), number)
            continue
        key = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*(?:\.\s*[\"']?([\w-]+)[\"']?\s*)?=", line)
        if key and not table:
            found.setdefault((key[1], 0, None), number)
            found.setdefault((key[1], 0, key[2]), number)
        elif key:
            found.setdefault((table, index, key[1]), number)
    return found
