"""`logminer schedule`: flags and environment to an installation, files to stdout or a directory."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from logminer.cli import values
from logminer.cli.output import opened
from logminer.cli.talk import say
from logminer.errors import UsageError
from logminer.gitlab import default_scope
from logminer.gitlab.protocol import origin
from logminer.gitlab.settings import URL_VARIABLES
from logminer.period import parse_moment
from logminer.schedule import File, Installation, Kind, files
from logminer.schedule.installation import CHANGE_ME, STORE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    import click

_CLOCK: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", re.ASCII)
_BUCKET: Final = re.compile(r"([a-z0-9]+):/{1,2}(?=[^/])", re.ASCII)

_OURS: Final = frozenset(
    {"store", "url", "token_file", "metrics_file", "log_format", "quiet", "verbose"}
)
"""Flags of a harvest that each kind of file has its own place for."""
_GIVEN: Final = frozenset({"COMMANDLINE", "ENVIRONMENT"})
"""By their names: whose enumeration it is depends on typer's version."""
_NO_NIGHT: Final = {"dry_run": "--dry-run", "reparse": "--reparse", "offline": "--offline"}
"""Flags of a harvest that is none of every night."""
_SCOPE: Final = frozenset({"project", "group", "everything"})


def run(  # noqa: PLR0913 -- one for each flag
    kind: str,
    harvest: click.Command,
    flags: Sequence[str],
    *,
    output: Path | None,
    at: str,
    name: str,
    image: str | None,
    now: dt.datetime,
) -> None:
    """Print the files of a kind, or write them into a directory; say what is still to be filled in.

    `flags` are those of `logminer harvest`, and are checked as that command would.
    """
    installation = _installation(
        harvest, flags, environ=os.environ, at=at, name=name, image=image, now=now
    )
    made = files(Kind(kind), installation)
    if output is not None:
        _write(made, output)
    else:
        for file in made:
            if len(made) > 1:
                print(f"# ----- {file.name} -----")
            print(file.text, end="")
    missing = [
        flag
        for flag, value in installation.unknown.items()
        if any(value in file.text for file in made)
    ]
    if missing:
        say(f"{CHANGE_ME} stands where you have to fill in: {', '.join(missing)}")


def _installation(  # noqa: PLR0913 -- as above
    harvest: click.Command,
    flags: Sequence[str],
    *,
    environ: Mapping[str, str],
    at: str,
    name: str,
    image: str | None,
    now: dt.datetime,
) -> Installation:
    """Return what is known; raises UsageError, or click's, for what a harvest would refuse."""
    clock = _CLOCK.fullmatch(at)
    if clock is None:
        raise UsageError(f"--at {at!r} is no time of day: write 02:17")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r}: at most 40 small letters, digits and -, as in logminer-2"
        )
    default = [] if environ.get("LOGMINER_STORE") else ["--store", STORE]
    context = harvest.make_context("logminer harvest", [*default, *flags])
    given = context.params
    _check(given, now)
    chosen = [*_rebuilt(context)]
    if not any(given[each] for each in _SCOPE):
        scope = default_scope()
        chosen = [
            *(word for each in scope.projects for word in ("--project", each)),
            *(word for each in scope.groups for word in ("--group", each)),
            *chosen,
        ]
        if not (scope.projects or scope.groups):
            chosen = ["--group", CHANGE_ME, *chosen]
    known: dict[str, Any] = {
        "url": given["url"] or next((environ[v] for v in URL_VARIABLES if environ.get(v)), None),
        "token_file": _absolute(given["token_file"]),
        "metrics_file": _absolute(given["metrics_file"]),
        "image": image,
    }
    if known["url"]:
        known["url"] = str(known["url"]).strip().rstrip("/")
        origin(known["url"])  # raises UsageError, also for one with a password in it
    return Installation(
        executable=_executable(),
        flags=tuple(chosen),
        store=_store(str(given["store"])),
        name=name,
        hour=int(clock[1]),
        minute=int(clock[2]),
        **{key: value for key, value in known.items() if value},
    )


def _check(given: Mapping[str, Any], now: dt.datetime) -> None:
    """Raise UsageError for what the harvest would refuse at night."""
    for each, flag in _NO_NIGHT.items():
        if given[each]:
            raise UsageError(f"{flag} is nothing for every night: leave it out")
    if given["max_duration"]:
        values.seconds(given["max_duration"], flag="--max-duration")
    if given["max_trace_size"]:
        values.size(given["max_trace_size"], flag="--max-trace-size")
    for moment in (given["since"], given["until"]):
        if moment:
            parse_moment(moment, now=now)


def _rebuilt(context: click.Context) -> list[str]:
    """Return the flags that were given, by their long names, but for those of `_OURS`."""
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _OURS or source is None or source.name not in _GIVEN:
            continue
        flag = next(each for each in parameter.opts if each.startswith("--"))
        value = context.params[name]
        if isinstance(value, bool):
            words.append(flag if value else parameter.secondary_opts[0])
            continue
        for each in value if isinstance(value, (list, tuple)) else (value,):
            text = (
                str(_absolute(each))
                if isinstance(each, Path)
                else str(getattr(each, "value", each))
            )
            # Joined, where it would be taken for a flag.
            words += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return words


def _store(text: str) -> str:
    """Return where the store lies, wherever it is asked from; a path has lost a slash of `s3://`."""
    bucket = _BUCKET.match(text)
    if bucket is not None:
        return f"{bucket[1]}://{text[bucket.end() :]}"
    return str(Path(text).absolute())


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path is not None else None


def _executable() -> str:
    """Return where this program is, for a scheduler that knows no PATH."""
    beside = Path(sys.executable).with_name("logminer")
    found = beside if beside.exists() else Path(shutil.which("logminer") or sys.argv[0])
    return str(found.absolute())


def _write(made: Sequence[File], directory: Path) -> None:
    """Write files into a directory; what somebody may have changed is left alone."""
    for file in made:
        path = directory / file.name
        if path.exists() and path.read_text(encoding="utf-8") != file.text:
            raise UsageError(f"{path} exists and says something else: name another directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {directory}: {error.strerror}") from error
    for file in made:
        path = directory / file.name
        with opened(path) as out:
            out.write(file.text)
        if file.executable:
            path.chmod(0o755)
        print(path)
