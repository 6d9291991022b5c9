"""The protocol: whatever a server sends becomes a value or an error of the tree."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.errors import (
    AuthorisationError,
    ConnectionFailedError,
    ForbiddenError,
    LogminerError,
    NotFoundError,
    NotGitLabError,
    RateLimitedError,
    UnavailableError,
    UnexpectedAnswerError,
    UsageError,
)
from logminer.gitlab import joblist, protocol
from logminer.gitlab.protocol import Pipeline, RateLimit, SkippedJob
from logminer.model import Job, Project

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Project(id=82455138, path="g/p")
DATE = "Mon, 14 Sep 2026 02:00:00 GMT"
EPOCH = 1_789_351_200
JSON = {"content-type": "application/json"}


def full_job() -> dict[str, Any]:
    """Return a job with every key a recent server sends that matters here, and some that do not."""
    return {
        "id": 14511776899,
        "status": "failed",
        "stage": "test",
        "name": "unit: [a, 1]",
        "ref": "refs/merge-requests/42/head",
        "tag": False,
        "allow_failure": False,
        "created_at": "2026-09-13T01:55:00.802Z",
        "started_at": "2026-09-13T03:56:02.722+02:00",
        "finished_at": "2026-09-13T02:00:03.895Z",
        "erased_at": None,
        "duration": 241.173,
        "queued_duration": 2,
        "user": None,
        "commit": None,
        "pipeline": {"id": 2547342256, "project_id": 82455138, "source": "schedule"},
        "failure_reason": "runner_system_failure",
        "web_url": "https://gitlab.example.com/g/p/-/jobs/14511776899",
        "artifacts": [
            {"file_type": "archive", "size": 1000},
            {"file_type": "trace", "size": 15003},
        ],
        "runner": {"id": 32, "description": "shared-docker"},
        "tag_list": ["docker", "linux"],
    }


class TestCheck:
    """`check`."""

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, AuthorisationError),
            (403, ForbiddenError),
            (404, NotFoundError),
            (408, UnavailableError),
            (409, UnavailableError),
            (410, NotFoundError),
            (429, RateLimitedError),
            (451, ForbiddenError),
            (500, UnavailableError),
            (502, UnavailableError),
            (599, UnavailableError),
            (204, UnexpectedAnswerError),
            (206, UnexpectedAnswerError),
            (304, UnexpectedAnswerError),
            (400, UnexpectedAnswerError),
            (405, UnexpectedAnswerError),
            (600, UnexpectedAnswerError),
        ],
    )
    def test_status_decides(self, status: int, error: type[LogminerError]) -> None:
        """Each status has its error, whatever the body is."""
        with pytest.raises(error) as caught:
            protocol.check("GET /x", status, {"content-type": "text/html"}, b"<html>")

        assert type(caught.value) is error
        assert str(caught.value).startswith("GET /x: ")

    def test_ok(self) -> None:
        """An answer of 200 passes, with a content type or without."""
        protocol.check("GET /x", 200, {"content-type": "text/plain"}, b"")
        protocol.check("GET /x", 200, {}, b"")

    def test_html_is_no_api(self) -> None:
        """A page that says 200 is somebody's login page, not GitLab's API."""
        with pytest.raises(NotGitLabError, match="HTML page"):
            protocol.check("GET /x", 200, {"content-type": "text/HTML; charset=utf-8"}, b"")

    def test_missing_scope_is_the_token_s_fault(self) -> None:
        """A 403 for want of scope would come for everything: the run ends."""
        with pytest.raises(AuthorisationError, match="read_api"):
            protocol.check("GET /x", 403, JSON, b'{"error":"insufficient_scope"}')

    def test_server_s_words_are_not_quoted(self) -> None:
        """A server that echoes a secret does not get it into an error."""
        with pytest.raises(ForbiddenError) as caught:
            protocol.check("GET /x", 403, {"x": "secret"}, b'{"message":"secret","error":"secret"}')

        assert "secret" not in str(caught.value)


class TestRetryAfter:
    """`retry_after`."""

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"retry-after": "60"}, 60.0),
            ({"retry-after": " 0 "}, 0.0),
            ({"retry-after": "-1"}, None),
            ({"retry-after": "1.5"}, None),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "٣"}, None),
            ({"retry-after": "9" * 400}, None),
            ({"retry-after": "Mon, 14 Sep 2026 02:01:30 GMT", "date": DATE}, 90.0),
            ({"retry-after": "Mon, 14 Sep 2026 01:00:00 GMT", "date": DATE}, 0.0),
            ({"retry-after": "Mon, 14 Sep 2026 02:01:30 GMT"}, None),
        ],
    )
    def test_table(self, headers: dict[str, str], seconds: float | None) -> None:
        """Seconds, or a date counted from the answer's own; never negative."""
        found = protocol.retry_after(headers)

        assert found == seconds

    def test_errors_carry_it(self) -> None:
        """A 429 and a 503 both keep how long to wait."""
        with pytest.raises(RateLimitedError) as limited:
            protocol.check("GET /x", 429, {"retry-after": "7"}, b"Retry later")
        with pytest.raises(UnavailableError) as unavailable:
            protocol.check("GET /x", 503, {"retry-after": "8"}, b"")

        assert (limited.value.retry_after, unavailable.value.retry_after) == (7.0, 8.0)


class TestHeaders:
    """`server_time`, `rate_limit` and `next_parameter`."""

    def test_server_time(self) -> None:
        """`Date` is an instant in UTC; a broken one is none."""
        assert protocol.server_time({"date": DATE}) == dt.datetime(2026, 9, 14, 2, tzinfo=dt.UTC)
        assert protocol.server_time({"date": "yesterday"}) is None
        assert protocol.server_time({}) is None

    def test_rate_limit(self) -> None:
        """The reset is counted by the server's own clock."""
        headers = {
            "ratelimit-remaining": "12",
            "ratelimit-reset": str(EPOCH + 45),
            "date": DATE,
        }

        assert protocol.rate_limit(headers) == RateLimit(remaining=12, reset_in=45.0)

    @pytest.mark.parametrize(
        "change",
        [{"date": ""}, {"ratelimit-reset": "x"}, {"ratelimit-remaining": "-1"}],
    )
    def test_no_rate_limit(self, change: dict[str, str]) -> None:
        """Headers that cannot be read are as good as none."""
        headers = {"ratelimit-remaining": "12", "ratelimit-reset": str(EPOCH), "date": DATE}

        assert protocol.rate_limit(headers | change) is None

    @pytest.mark.parametrize(
        ("link", "cursor"),
        [
            ("", None),
            ('<https://h/x?cursor=a>; rel="first"', None),
            ('<https://h/x?per_page=100&cursor=eyJpZCI%3D>; rel="next"', "eyJpZCI="),
            ("<https://h/x?cursor=a>; rel=next", "a"),
            ('<https://h/x?cursor=p>; rel="prev", <https://h/x?cursor=n>; rel="next"', "n"),
            ('<https://evil.example/?cursor=n>; title="x"; rel="next"', "n"),
            ('<https://h/x?cursor=l>; rel="nextish"', None),
        ],
    )
    def test_next_parameter(self, link: str, cursor: str | None) -> None:
        """Only the parameter of the next link is taken; its host plays no part."""
        found = protocol.next_parameter("GET /x", {"link": link}, "cursor")

        assert found == (cursor and ("cursor", cursor))

    def test_first_of_several(self) -> None:
        """Of several parameters the first that the link has is taken."""
        link = {"link": '<https://h/x?pagination=keyset&page=2>; rel="next"'}

        assert protocol.next_parameter("GET /x", link, "cursor", "page") == ("page", "2")

    @pytest.mark.parametrize("target", ["https://h/x?page=2", "http://[::1/?cursor=a"])
    def test_next_without_the_parameter(self, target: str) -> None:
        """A next page that cannot be named is an error, not the end of the list."""
        with pytest.raises(UnexpectedAnswerError, match="no cursor"):
            protocol.next_parameter("GET /x", {"link": f'<{target}>; rel="next"'}, "cursor")


class TestRedirect:
    """`redirect_target`."""

    HERE = "https://gitlab.example.com/api/v4/projects/g%2Fp?x=1"

    @pytest.mark.parametrize(
        ("location", "target"),
        [
            ("/api/v4/projects/81", "https://gitlab.example.com/api/v4/projects/81"),
            ("https://GITLAB.example.com:443/a?b=c#d", "https://gitlab.example.com/a?b=c"),
            ("81", "https://gitlab.example.com/api/v4/projects/81"),
        ],
    )
    def test_same_origin(self, location: str, target: str) -> None:
        """A target on the origin is followed, spelled with the host that was configured."""
        found = protocol.redirect_target("GET /x", self.HERE, 301, {"location": location})

        assert found == target

    @pytest.mark.parametrize(
        "location",
        [
            "https://evil.example/",
            "//evil.example/",
            "http://gitlab.example.com/",
            "https://gitlab.example.com:8443/",
            "https://gitlab.example.com@evil.example/",
            "https://gitlab.example.com.evil.example/",
            "https://gitlab.example.com\\@evil.example/",
            "https://u:p@gitlab.example.com/",
            "ftp://gitlab.example.com/",
            "http://[::1",
        ],
    )
    def test_other_origin(self, location: str) -> None:
        """Any other scheme, host or port is refused."""
        with pytest.raises(UnexpectedAnswerError):
            protocol.redirect_target("GET /x", self.HERE, 302, {"location": location})

    def test_no_redirect(self) -> None:
        """A `Location` without a redirect's status leads nowhere, nor does one without it."""
        assert protocol.redirect_target("GET /x", self.HERE, 200, {"location": "/y"}) is None
        assert protocol.redirect_target("GET /x", self.HERE, 302, {}) is None


class TestJob:
    """`parse_job` and `parse_jobs`."""

    def test_full(self) -> None:
        """Every field finds its place, times in UTC, ids beyond 32 bits."""
        job = protocol.parse_job(full_job(), PROJECT)

        assert job == Job(
            project_id=82455138,
            project_path="g/p",
            pipeline_id=2547342256,
            id=14511776899,
            name="unit: [a, 1]",
            stage="test",
            ref="refs/merge-requests/42/head",
            ref_is_tag=False,
            status="failed",
            failure_reason="runner_system_failure",
            created_at=dt.datetime(2026, 9, 13, 1, 55, 0, 802_000, dt.UTC),
            started_at=dt.datetime(2026, 9, 13, 1, 56, 2, 722_000, dt.UTC),
            finished_at=dt.datetime(2026, 9, 13, 2, 0, 3, 895_000, dt.UTC),
            erased_at=None,
            queued_duration=2.0,
            duration=241.173,
            runner_id=32,
            runner_description="shared-docker",
            tag_list=("docker", "linux"),
            url="https://gitlab.example.com/g/p/-/jobs/14511776899",
            trace_size=15003,
            pipeline_source="schedule",
        )

    def test_old_server(self) -> None:
        """What older servers do not send, or send as null, is absent and not an error."""
        row = {
            "id": 1,
            "status": "created",
            "stage": "build",
            "name": "b",
            "created_at": "2019-01-01T00:00:00.000Z",
            "runner": None,
            "pipeline": {"id": 2},
        }

        job = protocol.parse_job(row, PROJECT)

        assert (job.runner_id, job.tag_list, job.trace_size, job.erased_at) == (
            None,
            (),
            None,
            None,
        )
        assert (job.ref, job.ref_is_tag, job.duration, job.url) == (None, False, None, None)

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("id", None),
            ("id", True),
            ("id", 0),
            ("id", -1),
            ("id", 2**63),
            ("id", "12"),
            ("id", 1.0),
            ("name", None),
            ("name", 3),
            ("status", ["x"]),
            ("tag", "false"),
            ("created_at", None),
            ("created_at", "yesterday"),
            ("created_at", "2026-09-13T01:55:00"),
            ("created_at", "0001-01-01T00:00:00+14:00"),
            ("started_at", 1789351200),
            ("duration", "2"),
            ("duration", True),
            ("duration", 10**400),
            ("duration", float("inf")),
            ("runner", [1]),
            ("runner", {"id": "x"}),
            ("pipeline", 5),
            ("artifacts", {"file_type": "trace"}),
            ("artifacts", ["trace"]),
            ("artifacts", [{"file_type": "trace", "size": -1}]),
            ("artifacts", [{"file_type": "trace", "size": False}]),
            ("tag_list", "docker"),
            ("tag_list", [1]),
            ("queued_duration", [2]),
        ],
    )
    def test_wrong_type(self, key: str, value: object) -> None:
        """A field of the wrong type is named, and the row is skipped."""
        with pytest.raises(UnexpectedAnswerError, match=r"should be|no JSON object"):
            protocol.parse_job(full_job() | {key: value}, PROJECT)

    @pytest.mark.parametrize("size", [0, 2**40, None])
    def test_trace_size(self, size: int | None) -> None:
        """A size of zero is a size, and an unknown one is none."""
        row = full_job() | {"artifacts": [{"file_type": "trace", "size": size}]}

        assert protocol.parse_job(row, PROJECT).trace_size == size

    def test_lone_surrogates(self) -> None:
        """Text that JSON can spell and UTF-8 cannot is made storable."""
        row = full_job() | {"name": json.loads(r'"a\ud800b é"')}

        assert protocol.parse_job(row, PROJECT).name == "a?b é"

    def test_a_bad_row_costs_only_itself(self) -> None:
        """The rows beside it are kept, and it is named with a reason."""
        bad = full_job() | {"id": 7, "name": None}

        jobs, skipped = protocol.parse_jobs("GET /x", [bad, full_job(), "junk"], PROJECT)

        assert [job.id for job in jobs] == [14511776899]
        assert skipped == (
            SkippedJob(
                project_id=82455138,
                id=7,
                reason="job 7: name should be text, not this NoneType.",
            ),
            SkippedJob(
                project_id=82455138,
                id=None,
                reason="A job of the answer is no JSON object.",
            ),
        )

    def test_no_list(self) -> None:
        """An answer that is no list at all is not GitLab's."""
        with pytest.raises(NotGitLabError):
            protocol.parse_jobs("GET /x", {"message": "hello"}, PROJECT)


class TestBody:
    """`decode`, as far as it keeps memory bounded."""

    @pytest.mark.parametrize(
        "body", [b'["' + b"x" * (8 * 2**20) + b'"]', b"[" + b"{}," * 200_000 + b"{}]"]
    )
    def test_too_large(self, body: bytes) -> None:
        """Neither many bytes nor many small values are read into memory."""
        with pytest.raises(UnexpectedAnswerError, match=r"8 MiB|200,000 values"):
            protocol.decode("GET /x", {}, body)

    def test_row_ids(self) -> None:
        """The ids of a list come in its order, without those that are none."""
        rows = [{"id": 9}, {"id": "8"}, 7, {"id": True}, {"id": 2**63}, {}, {"id": 3}]

        assert protocol.row_ids(rows) == [9, 3]
        assert protocol.row_ids({"id": 9}) == []


class TestOthers:
    """Pipelines, projects, versions and JSON itself."""

    def test_pipelines(self) -> None:
        """A pipeline is its id and its last change."""
        rows = [{"id": 5, "updated_at": "2026-09-13T02:00:05.432Z"}, {"id": 6}]

        pipelines = protocol.parse_pipelines("GET /x", rows)

        assert pipelines == (
            Pipeline(id=5, updated_at=dt.datetime(2026, 9, 13, 2, 0, 5, 432_000, dt.UTC)),
            Pipeline(id=6, updated_at=None),
        )

    def test_bad_pipeline(self) -> None:
        """A pipeline that cannot be read is not passed over."""
        with pytest.raises(UnexpectedAnswerError, match="id"):
            protocol.parse_pipelines("GET /x", [{"id": None}])

    @pytest.mark.parametrize(
        ("extra", "archived", "ci_enabled"),
        [
            ({}, False, True),
            ({"archived": True}, True, True),
            ({"jobs_enabled": False}, False, False),
            ({"builds_access_level": "disabled"}, False, False),
            ({"builds_access_level": "private", "jobs_enabled": True}, False, True),
        ],
    )
    def test_project(self, extra: dict[str, object], archived: bool, ci_enabled: bool) -> None:  # noqa: FBT001 -- expectations
        """Archived and switched-off CI are told by keys that may be absent."""
        row = {"id": 3, "path_with_namespace": "g/p"} | extra

        project = protocol.parse_project(row)

        assert project == Project(id=3, path="g/p", archived=archived, ci_enabled=ci_enabled)

    def test_version(self) -> None:
        """The version is returned as the server spells it."""
        assert protocol.parse_version("GET /version", {"version": "17.4.1-ee"}) == "17.4.1-ee"

    @pytest.mark.parametrize("data", [None, [], {}, {"version": 17}, {"version": "latest"}])
    def test_no_version(self, data: object) -> None:
        """JSON without a version is another product's."""
        with pytest.raises(NotGitLabError):
            protocol.parse_version("GET /version", data)

    @pytest.mark.parametrize(
        ("headers", "body", "error"),
        [
            (JSON, b'[{"id": 1', ConnectionFailedError),
            (JSON, b"[NaN]", ConnectionFailedError),
            (JSON, b"[" * 200_000, NotGitLabError),
            ({"content-type": "text/plain"}, b"It works!", NotGitLabError),
            ({}, b"", NotGitLabError),
        ],
    )
    def test_bad_json(
        self, headers: dict[str, str], body: bytes, error: type[LogminerError]
    ) -> None:
        """JSON that was promised and broke off may be read again; the rest is not GitLab's."""
        with pytest.raises(error):
            protocol.decode("GET /x", headers, body)

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://gitlab.example.com", ("https", "gitlab.example.com", 443)),
            ("http://GitLab.example.com:8080/g", ("http", "gitlab.example.com", 8080)),
            ("http://[::1]/", ("http", "::1", 80)),
        ],
    )
    def test_origin(self, url: str, expected: tuple[str, str, int]) -> None:
        """An origin is scheme, host and port, the port filled in."""
        assert protocol.origin(url) == expected

    @pytest.mark.parametrize(
        "url", ["", "gitlab.example.com", "file:///x", "https://", "https://u@h", "http://h:99999"]
    )
    def test_no_origin(self, url: str) -> None:
        """What is no plain HTTP URL is refused."""
        with pytest.raises(UsageError):
            protocol.origin(url)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("2026-01-01T00Z"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
TIMES = st.sampled_from(
    [
        "2026-09-13T01:55:00.802Z",
        "2026-09-13T01:55:00.8029999+02:00",
        "2026-09-13t01:55:00z",
        "2026-09-13T01:55:60Z",
        "2026-09-13T01:55:00",
        "0001-01-01T00:00:00+23:59",
        "2026-09-13",
        "",
    ]
)
NUMBERS = st.sampled_from([0, 1, 1.0, 1.5, -1, True, 2**63 - 1, 2**63, 10**400, -0.0, "7"])
NAMES = st.sampled_from(
    [
        "content-type",
        "date",
        "link",
        "location",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
    ],
)
VALUES = (
    st.text(max_size=60)
    | st.sampled_from(["application/json", "text/html", DATE, "60"])
    | st.text(alphabet='<>;,="relnxtcuso?&%[]:/@1 ', max_size=40)
)


def outcome(call: Callable[[], object]) -> str:
    """Return the message of the error of ours that a call raises, or nothing."""
    try:
        call()
    except LogminerError as error:
        return str(error)
    return ""


def changed(row: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """Return a job in which another value stands under a key, or in the object under it."""
    outer, _, inner = key.partition(".")
    if not inner:
        return row | {key: value}
    if isinstance(row[outer], list):
        return row | {outer: [each | {inner: value} for each in row[outer]]}
    return row | {outer: row[outer] | {inner: value}}


def read_list(body: bytes) -> joblist.JobList | str:
    """Return what `joblist` reads, or what it complains of."""
    try:
        return joblist.listed("GET /x", joblist.decode("GET /x", {}, body, PROJECT), PROJECT)
    except LogminerError as error:
        return str(error)


def read_rows(body: bytes) -> joblist.JobList | str:
    """Return the same, read as any JSON and row by row."""
    try:
        data = protocol.decode("GET /x", {}, body)
        jobs, skipped = protocol.parse_jobs("GET /x", data, PROJECT)
    except LogminerError as error:
        return str(error)
    return joblist.JobList(jobs=jobs, skipped=skipped, ids=protocol.row_ids(data))


class TestAnything:
    """No input gets an exception out of the protocol that is not one of ours."""

    @given(st.integers(0, 999), st.dictionaries(NAMES, VALUES), st.binary(max_size=200))
    def test_responses(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Status, headers and body of any kind."""
        calls: list[Callable[[], object]] = [
            lambda: protocol.check("GET /x", status, headers, body),
            lambda: protocol.decode("GET /x", headers, body),
            lambda: protocol.next_parameter("GET /x", headers, "cursor"),
            lambda: protocol.redirect_target("GET /x", "https://h/x", status, headers),
        ]
        for call in calls:
            assert outcome(call).isprintable()
        wait = protocol.retry_after(headers)
        limit = protocol.rate_limit(headers)

        assert wait is None or wait >= 0
        assert limit is None or (limit.reset_in >= 0 and limit.remaining >= 0)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [*sorted(full_job()), "runner.id", "pipeline.id", "artifacts.size"]
                ),
                JSON_VALUES | TIMES | NUMBERS,
            ),
            max_size=3,
        )
    )
    def test_joblist(self, changes: list[tuple[str, object]]) -> None:
        """A list of jobs reads the same by its types as row by row, whatever stands in a field."""
        rows = [full_job()]
        for key, value in changes:
            rows.append(changed(full_job(), key, value))
            # In a page with a row that does not fit, and in one of its own.
            for page in (rows, rows[-1:]):
                body = json.dumps(page).encode()

                assert read_list(body) == read_rows(body)

    def test_joblist_by_its_types(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An ordinary list needs no second reading."""
        expected = (protocol.parse_job(full_job(), PROJECT),) * 2
        body = json.dumps([full_job()] * 2).encode()
        monkeypatch.delattr(protocol, "decode")

        data = joblist.decode("GET /x", {}, body, PROJECT)
        assert joblist.listed("GET /x", data, PROJECT).jobs == expected

    @given(JSON_VALUES, st.sampled_from(sorted(full_job())), JSON_VALUES)
    def test_values(self, data: object, key: str, value: object) -> None:
        """JSON of any shape, and a good job with any one field replaced."""
        for row in (data, full_job() | {key: value}):
            jobs, skipped = protocol.parse_jobs("GET /x", [row], PROJECT)

            assert len(jobs) + len(skipped) == 1
        calls: list[Callable[[], object]] = [
            lambda: protocol.parse_jobs("GET /x", data, PROJECT),
            lambda: joblist.listed("GET /x", data, PROJECT),
            lambda: protocol.parse_pipelines("GET /x", data),
            lambda: protocol.parse_project(data),
            lambda: protocol.parse_version("GET /x", data),
        ]
        for call in calls:
            assert outcome(call).isprintable()
