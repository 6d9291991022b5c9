"""`logminer inventory` of local clones: what files declare, and whether a policy allows it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from logminer.cli.clones import Clones, Renderer, read_directory, read_named
from logminer.cli.declared import (
    finding_dict,
    row_dicts,
    write_codequality,
    write_csv,
    write_findings,
    write_json,
    write_junit,
    write_rows,
)
from logminer.cli.output import opened
from logminer.cli.talk import complain, counted, say
from logminer.errors import UsageError
from logminer.inventory import parse_policy
from logminer.model import Declaration, Resolution
from logminer.reference import ImageColumns, Upstreams

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from logminer.inventory import Finding, Policy

ROW_COLUMNS: Final = tuple(each.name for each in (*fields(Declaration), *fields(ImageColumns)))
FINDING_COLUMNS: Final = ("rule", "message", "fingerprint", *ROW_COLUMNS)

_FOUND: Final = 1
_PARTIAL: Final = 3
_MAX_POLICY: Final = 1 << 20
_REPORTS: Final = frozenset({"junit", "codequality"})
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for."""

    files: Sequence[str]
    directories: Sequence[Path]
    format: str
    policy: Path | None
    mirrors: Path | None
    variables: Sequence[str]
    output: Path | None
    render: bool = False


def run(asked: Asked) -> int:
    """Print what files declare, or what of it breaks the policy.

    Returns 1 for findings, else 3 if something could not be read, else 0. Raises UsageError for a
    policy that is none, in one line that names the wrong one.
    """
    if asked.format in _REPORTS and asked.policy is None:
        raise UsageError(f"--format {asked.format} shows findings: name a policy with --check")
    policy = _policy(asked.policy) if asked.policy is not None else None
    upstreams = Upstreams.load(asked.mirrors) if asked.mirrors else Upstreams.default()
    settings = dict(_variable(each) for each in asked.variables)
    render = Renderer() if asked.render else None
    read = [read_directory(each, settings, render) for each in asked.directories]
    if asked.files:
        read.append(read_named(asked.files, settings, render))
    rows = [row for each in read for row in each.rows]
    for each in read:
        for path in each.refused:
            complain(f"{path}: cannot be read, or is too large")
    if policy is None:
        _show_rows(rows, upstreams, asked)
        _sum_up(rows)
        return _end(read, found=False)
    findings = list(policy.findings(rows, upstreams))
    _show_findings(rows, findings, asked)
    _sum_up(rows)
    say(f"{counted(len(findings), 'finding')} by {asked.policy}")
    return _end(read, found=bool(findings))


def _end(read: Sequence[Clones], *, found: bool) -> int:
    """Return the exit code."""
    if found:
        return _FOUND
    return _PARTIAL if any(each.refused for each in read) else 0


def _policy(path: Path) -> Policy:
    """Read a policy; raises UsageError where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_POLICY + 1).decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}; name a policy") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text; name a policy") from error
    if len(text) > _MAX_POLICY:
        raise UsageError(f"{path}: larger than {_MAX_POLICY >> 20} MB; name a policy")
    return parse_policy(text, str(path))


def _variable(text: str) -> tuple[str, str]:
    match = _VARIABLE.fullmatch(text)
    if match is None:
        raise UsageError(f"--variable {text!r}: write NAME=VALUE")
    return match[1], match[2]


def _show_rows(rows: Sequence[Declaration], upstreams: Upstreams, asked: Asked) -> None:
    with opened(asked.output) as out:
        if asked.format == "json":
            write_json(row_dicts(rows, upstreams), out)
        elif asked.format == "csv":
            write_csv(row_dicts(rows, upstreams), ROW_COLUMNS, out)
        elif rows:
            write_rows(rows, out)


def _show_findings(rows: Sequence[Declaration], findings: Sequence[Finding], asked: Asked) -> None:
    with opened(asked.output) as out:
        if asked.format == "json":
            write_json([finding_dict(each) for each in findings], out)
        elif asked.format == "csv":
            write_csv([finding_dict(each) for each in findings], FINDING_COLUMNS, out)
        elif asked.format == "codequality":
            write_codequality(findings, out)
        elif asked.format == "junit":
            write_junit(rows, findings, out)
        elif findings:
            write_findings(findings, out)


def _sum_up(rows: Sequence[Declaration]) -> None:
    """Say how much was found, and how much of it is not known."""
    count = Counter(str(row.resolution) for row in rows)
    gaps = count.pop(Resolution.UNREAD, 0)
    parts = ", ".join(f"{count[each]:,} {each}" for each in Resolution if count[each])
    files = counted(len({row.path for row in rows}), "file")
    words = [f"{counted(len(rows) - gaps, 'declaration')} in {files}"]
    if parts:
        words.append(parts)
    if gaps:
        words.append(f"{counted(gaps, 'gap')} where something was not read")
    say("; ".join(words))
