"""GitLab's API as pure functions: status, headers and small bodies in, values or errors out.

No I/O and no clock. Whatever a server sends, these functions return, or raise an error of
`logminer.errors`; any other exception is a bug. Messages name what was asked and what to do
next, and never quote the server: a hostile one could echo the token.
Headers are any mapping that finds its names in lower case.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never, TypeGuard
from urllib.parse import parse_qs, urljoin, urlsplit, urlunsplit

import msgspec

from logminer.errors import (
    AuthorisationError,
    ConnectionFailedError,
    ForbiddenError,
    NotFoundError,
    NotGitLabError,
    RateLimitedError,
    UnavailableError,
    UnexpectedAnswerError,
    UsageError,
)
from logminer.model import Job, Project, Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    Headers = Mapping[str, str]

MAX_ID = 2**63 - 1
"""GitLab's ids are 64-bit, whatever its OpenAPI document says."""

MAX_JSON_BYTES = 8 * 2**20
"""Decoded size of a JSON body: 100 jobs are about 300 KB, 100 projects about 500 KB."""
MAX_JSON_NODES = 200_000
"""Objects and arrays in a body, by their opening brackets: 100 jobs have about 2,000. Three bytes
of JSON become two hundred of Python."""

REFUSED = "The server refuses this token or this address (403 on GET /version)."

TICK = dt.timedelta(milliseconds=1)
"""The precision of times in the JSON."""

OK = 200
"""The one status of a whole answer; GitLab's API reads have no other."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SERVER_ERRORS = range(500, 600)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LINK = re.compile(r'<([^<>]*)>\s*;[^<]*?\brel\s*=\s*"?next\b', re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_LINK_MODE = "120000"
"""Of a symbolic link in git: its content is a path, not a file's."""
_DIGITS_MOST = 18
"""Of a number in a header: an int64's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """What `RateLimit-*` headers say of the window that is running."""

    remaining: int
    """Requests left in it."""
    reset_in: float
    """Seconds until it ends, by the server's own clock; never negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedJob:
    """A row of a jobs list that could not be understood."""

    project_id: int
    id: int | None
    """The job's id, where at least that was readable."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """What the server makes of a project's CI configuration."""

    valid: bool
    merged: str | None
    """The whole of it, includes and all; None where the server could not merge it."""
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline, as far as a harvest needs it."""

    id: int
    updated_at: dt.datetime | None


# --- origins and redirects -------------------------------------------------------------------


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of `url`, the port filled in.

    Raises UsageError where it is no plain HTTP URL; one with credentials in it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("The URL cannot be read.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise UsageError("The URL must look like https://gitlab.example.com.")
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def redirect_target(what: str, url: str, status: int, headers: Headers) -> str | None:
    """Return the URL a redirect of `url` leads to, on the same origin; None if it is no redirect.

    Raises UnexpectedAnswerError where it leads elsewhere: the token must not follow it.
    """
    if status not in _REDIRECTS:
        return None
    location = headers.get("location")
    if location is None:
        return None
    try:
        target = urljoin(url, location)
        same = origin(target) == origin(url)
    except (ValueError, UsageError):
        raise UnexpectedAnswerError(f"{what}: the redirect has no usable target.") from None
    if not same:
        scheme, host, port = origin(target)
        raise UnexpectedAnswerError(
            f"{what}: the server redirects to another origin ({scheme}://{_plain(host)}:{port}), "
            "where the token is not sent. If that is your GitLab, set its URL.",
        )
    here, there = urlsplit(url), urlsplit(target)
    # Built on our own origin: two parsers that disagree about a host cannot matter then.
    return urlunsplit((here.scheme, here.netloc, there.path, there.query, ""))


def _plain(host: str) -> str:
    """Return a foreign host name fit for a message."""
    return re.sub(r"[^A-Za-z0-9.:_-]", "?", host)[:253]


def untrusted(instance: str) -> str:
    """Return the message for a certificate that does not verify."""
    return (
        f"The TLS certificate of {instance} is not trusted. "
        "If its CA is your own, name the CA's file with --ca-bundle or REQUESTS_CA_BUNDLE."
    )


def blocked(instance: str) -> str:
    """Return the message for a server that refuses everything."""
    return (
        f"{instance} refuses everything from this address (403 on GET /version, too), as GitLab "
        "does for a while after too many requests. Wait an hour, then lower --rps and "
        "--concurrency, or ask its administrators to allow this address."
    )


def no_api(url: str) -> str:
    """Return the message for a server without GitLab's API."""
    return f"There is no GitLab API below {url} (404). Check the URL."


# --- status and headers ----------------------------------------------------------------------


def check(what: str, status: int, headers: Headers, body: bytes) -> None:
    """Return if the answer is good, else raise the error that says what to do.

    `body` is only looked at where the status is an error; a beginning is enough.
    """
    if status != OK:
        _raise_for(what, status, headers, body)
    check_media(what, headers)


def check_media(what: str, headers: Headers) -> None:
    """Raise NotGitLabError where a good answer is a page for people."""
    if _media_type(headers) in {"text/html", "application/xhtml+xml"}:
        raise NotGitLabError(
            f"{what}: an HTML page came instead of an API answer. "
            "Check the URL: it must be GitLab's own, not a login or proxy page.",
        )


def _raise_for(what: str, status: int, headers: Headers, body: bytes) -> Never:
    match status:
        case 401:
            raise AuthorisationError(
                f"{what}: the token is refused (401): missing, expired, revoked or wrong.",
            )
        case 403 if _error_word(body) == "insufficient_scope":
            raise AuthorisationError(f"{what}: the token lacks a scope (403): it needs read_api.")
        case 403 | 451:
            raise ForbiddenError(f"{what}: not permitted to this token ({status}).")
        case 404 | 410:
            raise NotFoundError(f"{what}: not there, or not visible to this token ({status}).")
        case 429:
            raise RateLimitedError(
                f"{what}: too many requests (429).",
                retry_after=retry_after(headers),
            )
        # Not 5xx, but passing all the same: time-out, a locked resource, too early.
        case 408 | 409 | 425:
            raise UnavailableError(f"{what}: not now ({status}).")
        case _ if status in _SERVER_ERRORS:
            raise UnavailableError(
                f"{what}: the server failed ({status}).",
                retry_after=retry_after(headers),
            )
        case _:
            raise UnexpectedAnswerError(
                f"{what}: the server answered with status {status}.", status=status
            )


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _error_word(body: bytes) -> object:
    """Return the OAuth error code (RFC 6750, section 3.1) of an error body, if it has one."""
    try:
        data: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data.get("error") if isinstance(data, dict) else None


def server_time(headers: Headers) -> dt.datetime | None:
    """Return the `Date` of an answer, in UTC; None where it has none that can be read."""
    return _http_date(headers.get("date"))


# Answers of one second share their date, and reading it costs as much as a small request.
@functools.lru_cache(maxsize=64)
def _http_date(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text)
        # RFC 9110 has only GMT; the parser leaves a date without a zone naive.
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def retry_after(headers: Headers) -> float | None:
    """Return the seconds that `Retry-After` asks for, never negative; None without a usable one.

    It holds seconds or an HTTP date (RFC 9110, section 10.2.3); a date counts from the answer's
    own `Date`, so that neither clock need be right.
    """
    text = headers.get("retry-after", "").strip()
    if _is_number(text):
        return float(text)
    until, now = _http_date(text or None), server_time(headers)
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


def rate_limit(headers: Headers) -> RateLimit | None:
    """Return what the `RateLimit-*` headers say; None where they, or `Date`, are absent."""
    remaining, reset = headers.get("ratelimit-remaining"), headers.get("ratelimit-reset")
    # Of each answer: a regular expression would take longer than all the rest.
    if not (_is_number(remaining) and _is_number(reset)):
        return None
    now = server_time(headers)
    if now is None:
        return None
    return RateLimit(
        remaining=int(remaining),
        reset_in=max(0.0, float(reset) - now.timestamp()),
    )


def _is_number(text: str | None) -> TypeGuard[str]:
    return text is not None and text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MOST


def next_parameter(what: str, headers: Headers, *names: str) -> tuple[str, str] | None:
    """Return the first of these parameters of the `rel="next"` link; None at the list's end.

    Only the parameter is taken, never the URL: it may carry the wrong host where the server is
    badly configured, or a chosen one where it is hostile.
    Raises UnexpectedAnswerError where there is a next page but no such parameter, because
    stopping there would lose what follows.
    """
    link = _LINK.search(headers.get("link", ""))
    if link is None:
        return None
    try:
        query = parse_qs(urlsplit(link[1]).query, max_num_fields=100)
    except ValueError:
        query = {}
    for name in names:
        if len(values := query.get(name, [])) == 1:
            return name, values[0]
    raise UnexpectedAnswerError(f"{what}: the link to the next page has no {' or '.join(names)}.")


# --- bodies ----------------------------------------------------------------------------------


def check_body(what: str, body: bytes) -> None:
    """Raise UnexpectedAnswerError where a body is too large to be read into memory as JSON."""
    if len(body) > MAX_JSON_BYTES:
        raise UnexpectedAnswerError(f"{what}: larger than {MAX_JSON_BYTES // 2**20} MiB.")
    if body.count(b"{") + body.count(b"[") > MAX_JSON_NODES:
        raise UnexpectedAnswerError(f"{what}: more than {MAX_JSON_NODES:,} values in one answer.")


def decode(what: str, headers: Headers, body: bytes) -> object:
    """Return the JSON value of a good answer.

    Raises ConnectionFailedError where JSON was promised and broke off,
    NotGitLabError where it was never JSON, UnexpectedAnswerError where it is too large.
    """
    check_body(what, body)
    try:
        return _decode(body)
    except RecursionError:
        raise NotGitLabError(f"{what}: the JSON is nested too deeply to be GitLab's.") from None
    except ValueError:
        if _media_type(headers) == "application/json" and body.lstrip()[:1] in {b"", b"{", b"["}:
            raise ConnectionFailedError(f"{what}: the JSON is damaged or broke off.") from None
        raise NotGitLabError(
            f"{what}: the answer is not JSON. Check the URL: it must be GitLab's own.",
        ) from None


def _decode(body: bytes) -> object:
    """Return a JSON value.

    By msgspec, which takes a third of the time. What it refuses and the standard library takes,
    such as half a surrogate pair in somebody's job name, must not cost a page of jobs.
    """
    try:
        return msgspec.json.decode(body)
    except ValueError:
        return json.loads(body, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Never:
    """Refuse NaN and the infinities: Python reads them, JSON has none."""
    raise ValueError(name)


def parse_version(what: str, data: object) -> str:
    """Return the server's version, such as `17.4.1-ee`; raise NotGitLabError without one."""
    version = data.get("version") if isinstance(data, dict) else None
    if not isinstance(version, str) or re.match(r"[0-9]+\.[0-9]+", version, re.ASCII) is None:
        raise NotGitLabError(f"{what}: the answer is not GitLab's. Check the URL.")
    return _text(version[:64])


def parse_jobs(
    what: str,
    data: object,
    project: Project,
) -> tuple[tuple[Job, ...], tuple[SkippedJob, ...]]:
    """Return the jobs of a list, and the rows that could not be read, both in the list's order.

    Raises NotGitLabError where it is no list.
    """
    jobs: list[Job] = []
    skipped: list[SkippedJob] = []
    for row in rows(what, data):
        try:
            jobs.append(parse_job(row, project))
        except UnexpectedAnswerError as error:
            found = row.get("id") if isinstance(row, dict) else None
            skipped.append(
                SkippedJob(
                    project_id=project.id,
                    id=found if _is_id(found) else None,
                    reason=str(error),
                ),
            )
    return tuple(jobs), tuple(skipped)


def row_ids(data: object) -> list[int]:
    """Return the ids of a list's rows in its order, of those that have a usable one."""
    found = (
        [row.get("id") for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    )
    return [number for number in found if isinstance(number, int) and _is_id(number)]


def rows(what: str, data: object) -> list[object]:
    """Return the rows of a list; raise NotGitLabError where it is none."""
    if not isinstance(data, list):
        raise NotGitLabError(f"{what}: the answer is no list, so not GitLab's. Check the URL.")
    return data


def parse_job(data: object, project: Project) -> Job:
    """Return the job of a JSON object (gitlab-api.md, section 4).

    Keys that older servers lack may be absent; `runner` and `artifacts` may be null.
    Raises UnexpectedAnswerError where a field is of the wrong type.
    """
    job = _Fields("job", data)
    runner = job.child("runner")
    pipeline = job.child("pipeline")
    return Job(
        project_id=project.id,
        project_path=project.path,
        pipeline_id=pipeline.optional_id("id"),
        id=job.id("id"),
        name=job.text("name"),
        stage=job.text("stage"),
        ref=job.optional_text("ref"),
        ref_is_tag=job.flag("tag") or False,
        status=job.text("status"),
        failure_reason=job.optional_text("failure_reason"),
        created_at=job.time("created_at"),
        started_at=job.optional_time("started_at"),
        finished_at=job.optional_time("finished_at"),
        erased_at=job.optional_time("erased_at"),
        queued_duration=job.seconds("queued_duration"),
        duration=job.seconds("duration"),
        runner_id=runner.optional_id("id"),
        runner_description=runner.optional_text("description"),
        tag_list=job.texts("tag_list"),
        url=job.optional_text("web_url"),
        trace_size=_trace_size(job),
        pipeline_source=pipeline.optional_text("source"),
    )


def _trace_size(job: _Fields) -> int | None:
    for entry in job.children("artifacts"):
        if entry.optional_text("file_type") == "trace":
            return entry.size("size")
    return None


def parse_pipelines(what: str, data: object) -> tuple[Pipeline, ...]:
    """Return the pipelines of a list.

    Raises NotGitLabError where it is no list, UnexpectedAnswerError where a row is malformed:
    a changed pipeline that is passed over would never be looked at again.
    """
    return tuple(
        Pipeline(id=row.id("id"), updated_at=row.optional_time("updated_at"))
        for row in (_Fields("pipeline", item) for item in rows(what, data))
    )


def parse_project(data: object) -> Project:
    """Return the project of a JSON object; raise UnexpectedAnswerError where it is malformed."""
    project = _Fields("project", data)
    return Project(
        id=project.id("id"),
        path=project.text("path_with_namespace"),
        archived=project.flag("archived") or False,
        # The newer key says more; either may be absent, and then CI is taken to be on.
        ci_enabled=project.optional_text("builds_access_level") != "disabled"
        and project.flag("jobs_enabled") is not False,
        repository=Repository(
            url=project.optional_text("web_url"),
            branch=project.optional_text("default_branch"),
            empty=project.flag("empty_repo") or False,
            size=project.child("statistics").size("repository_size"),
            config_path=project.optional_text("ci_config_path") or None,
            image_prefix=project.optional_text("container_registry_image_prefix"),
        ),
    )


def parse_commit(data: object) -> str:
    """Return the commit that a branch is at; raise UnexpectedAnswerError where it has none."""
    commit = _Fields("branch", data).child("commit").text("id")
    if _COMMIT.fullmatch(commit) is None:
        raise UnexpectedAnswerError("A branch: its commit's id is none.")
    return commit


def parse_lint(data: object) -> Lint:
    """Return what the lint endpoint says; raise UnexpectedAnswerError where it is malformed."""
    lint = _Fields("lint result", data)
    return Lint(
        valid=lint.flag("valid") or False,
        merged=lint.optional_text("merged_yaml"),
        errors=lint.texts("errors"),
    )


def parse_tree(what: str, data: object) -> tuple[str, ...]:
    """Return the paths of the files on a page of a tree, symbolic links left out.

    Raises NotGitLabError where it is no list, UnexpectedAnswerError where a row is malformed.
    """
    entries = (_Fields("tree entry", row) for row in rows(what, data))
    return tuple(
        entry.text("path")
        for entry in entries
        if entry.text("type") == "blob" and entry.optional_text("mode") != _LINK_MODE
    )


def parse_found(what: str, data: object) -> tuple[str, ...]:
    """Return the paths of the files on a page of a search, each as often as it is named."""
    return tuple(_Fields("search result", row).text("path") for row in rows(what, data))


def _is_id(value: object) -> bool:
    # bool is an int in Python, not in JSON.
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID


def _text(value: str) -> str:
    """Return the text without lone surrogates: JSON can spell them, UTF-8 cannot."""
    return value if value.isascii() else value.encode(errors="replace").decode()


class _Fields:
    """A JSON object whose fields are read by type; what does not fit raises, naming the field."""

    __slots__ = ("_data", "_name")

    def __init__(self, name: str, data: object) -> None:
        if not isinstance(data, dict):
            raise UnexpectedAnswerError(f"A {name} of the answer is no JSON object.")
        self._name = name
        self._data: dict[str, object] = data

    def _refuse(self, key: str, wanted: str) -> Never:
        found = type(self._data.get(key)).__name__
        which = self._data.get("id")
        label = f"{self._name} {which}" if _is_id(which) else f"A {self._name}"
        raise UnexpectedAnswerError(f"{label}: {key} should be {wanted}, not this {found}.")

    def id(self, key: str) -> int:
        value = self.optional_id(key)
        return self._refuse(key, "an id") if value is None else value

    def optional_id(self, key: str) -> int | None:
        value = self._data.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or not _is_id(value):
            self._refuse(key, "an id")
        return value

    def size(self, key: str) -> int | None:
        value = self._data.get(key)
        if value is None:
            return None
        # A size of zero is one; an id of zero is none.
        if not isinstance(value, int) or not (value == 0 or _is_id(value)) or value is False:
            self._refuse(key, "a size")
        return value

    def text(self, key: str) -> str:
        value = self.optional_text(key)
        return self._refuse(key, "text") if value is None else value

    def optional_text(self, key: str) -> str | None:
        value = self._data.get(key)
        if value is None:
            return None
        return _text(value) if isinstance(value, str) else self._refuse(key, "text")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._data.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            self._refuse(key, "a list of texts")
        return tuple(
            _text(item) if isinstance(item, str) else self._refuse(key, "a list of texts")
            for item in value
        )

    def flag(self, key: str) -> bool | None:
        value = self._data.get(key)
        return value if value is None or isinstance(value, bool) else self._refuse(key, "a flag")

    def seconds(self, key: str) -> float | None:
        value = self._data.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(key, "seconds")
        try:
            seconds = float(value)
        except OverflowError:
            self._refuse(key, "seconds")
        return seconds if math.isfinite(seconds) else self._refuse(key, "seconds")

    def time(self, key: str) -> dt.datetime:
        value = self.optional_time(key)
        return self._refuse(key, "a time") if value is None else value

    def optional_time(self, key: str) -> dt.datetime | None:
        value = self._data.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self._refuse(key, "a time")
        try:
            moment = dt.datetime.fromisoformat(value)
            # Without an offset it is no instant, and guessing one would shift days.
            if moment.tzinfo is None:
                self._refuse(key, "a time with an offset")
            return moment.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            return self._refuse(key, "a time")

    def child(self, key: str) -> _Fields:
        """Return the object under `key`; an empty one where it is absent or null."""
        value = self._data.get(key)
        return _Fields(key, {} if value is None else value)

    def children(self, key: str) -> list[_Fields]:
        value = self._data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._refuse(key, "a list")
        return [_Fields(key, item) for item in value]
