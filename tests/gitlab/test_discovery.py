"""Discovery: a scope becomes projects, through python-gitlab and a real socket."""

from __future__ import annotations

import dataclasses
import gzip
import json
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from logminer.errors import (
    AuthorisationError,
    LogminerError,
    NotGitLabError,
    ServerError,
    UnknownScopeError,
    UsageError,
)
from logminer.gitlab.discovery import Scope, default_scope, discover
from logminer.gitlab.retry import RetryPolicy
from logminer.gitlab.settings import Settings
from logminer.model import Project

Answers = dict[str, list[tuple[int, dict[str, str], bytes]]]
Asked = list[tuple[str, dict[str, str]]]

JSON = {"content-type": "application/json"}
VERSION = (200, JSON, b'{"version":"17.4.1","revision":"abc"}')
API = "/api/v4"


def row(number: int, **extra: object) -> dict[str, Any]:
    """Return a project's JSON."""
    return {"id": number, "path_with_namespace": f"g/p{number}", **extra}


def ok(data: object, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return an answer of 200."""
    return 200, JSON | headers, json.dumps(data).encode()


@pytest.fixture(autouse=True)
def version(answers: Answers) -> None:
    """Let the server be a GitLab until a test says otherwise."""
    answers[f"{API}/version"] = [VERSION]


def test_projects_by_id_and_path(settings: Settings, answers: Answers, asked: Asked) -> None:
    """Ids and paths are looked up, paths encoded; doubles are one, and ids rise."""
    answers[f"{API}/projects/7"] = [ok(row(7))]
    answers[f"{API}/projects/g%2Fsub%2Fp3"] = [ok(row(3, archived=True))]

    projects = discover(settings, projects=[7, "g/sub/p3", "7"])

    assert projects == [Project(id=3, path="g/p3", archived=True), Project(id=7, path="g/p7")]
    assert {headers["private-token"] for _, headers in asked} == {settings.token}


def test_oauth(settings: Settings, answers: Answers, asked: Asked) -> None:
    """An OAuth token goes as a bearer."""
    answers[f"{API}/projects/7"] = [ok(row(7))]

    discover(dataclasses.replace(settings, oauth=True), projects=[7])

    assert asked[0][1]["authorization"] == f"Bearer {settings.token}"
    assert "private-token" not in asked[0][1]


def test_group(settings: Settings, answers: Answers, asked: Asked) -> None:
    """A group is read page by page, with subgroups and without shared projects."""
    path = f"{API}/groups/top%2Fteam/projects"
    link = f'<{settings.url}{path}?page=2&per_page=100>; rel="next"'
    answers[path] = [ok([row(1), row(2)], link=link), ok([row(5, jobs_enabled=False)])]

    projects = discover(settings, groups=["top/team"])

    assert [(project.id, project.ci_enabled) for project in projects] == [
        (1, True),
        (2, True),
        (5, False),
    ]
    first, second = asked[1][0], asked[2][0]
    for part in ("include_subgroups=true", "with_shared=false", "order_by=id", "sort=asc"):
        assert part in first
    assert "archived" not in first
    assert "page=2" in second


@pytest.mark.parametrize(
    ("user", "membership"),
    [({"id": 1}, True), ({"id": 1, "is_admin": False}, True), ({"id": 1, "is_admin": True}, False)],
)
def test_everything(
    settings: Settings, answers: Answers, asked: Asked, user: dict[str, object], *, membership: bool
) -> None:
    """All is an administrator's whole instance and anybody else's memberships, by keyset."""
    path = f"{API}/projects"
    answers[f"{API}/user"] = [ok(user)]
    link = f'<{settings.url}{path}?id_after={{}}&pagination=keyset&order_by=id>; rel="next"'
    answers[path] = [
        ok([row(1), row(2)], link=link.format(2)),
        ok([row(3), row(4)], link=link.format(4)),
        ok([]),
    ]

    projects = discover(settings, everything=True)

    assert [project.id for project in projects] == [1, 2, 3, 4]
    pages = [path for path, _ in asked[2:]]
    assert ("membership=true" in pages[0]) is membership
    assert "pagination=keyset" in pages[0]
    assert [page.count("id_after=") for page in pages] == [0, 1, 1]


def test_wrong_host_in_links(settings: Settings, answers: Answers) -> None:
    """A server that links to a name it does not have is still read, at the URL we know."""
    path = f"{API}/groups/5/projects"
    link = f'<https://wrong.example{path}?page=2>; rel="next"'
    answers[path] = [ok([row(1)], link=link), ok([row(2)])]

    assert [project.id for project in discover(settings, groups=[5])] == [1, 2]


def test_no_archived(settings: Settings, answers: Answers, asked: Asked) -> None:
    """Archived projects can be left out, in lists by the server and by name here."""
    answers[f"{API}/groups/5/projects"] = [ok([row(1)])]
    answers[f"{API}/projects/9"] = [ok(row(9, archived=True))]

    projects = discover(settings, projects=[9], groups=[5], archived=False)

    assert [project.id for project in projects] == [1]
    assert "archived=false" in asked[2][0]


@pytest.mark.parametrize(
    ("include", "exclude", "found"),
    [
        ([], [], [1, 2, 3]),
        (["team/*"], [], [1, 2]),
        (["TEAM/*", "other"], [], [1, 2]),
        ([], ["*/Old*"], [1, 3]),
        (["team/*"], ["*old*"], [1]),
        (["team"], [], []),
        (["team/[a-b]*", "*/c?"], [], [1, 3]),
    ],
)
def test_patterns(
    settings: Settings, answers: Answers, include: list[str], exclude: list[str], found: list[int]
) -> None:
    """Patterns choose by full path, in either case; a star passes slashes."""
    paths = {1: "Team/App", 2: "team/sub/old-app", 3: "lab/c3"}
    rows = [{"id": number, "path_with_namespace": path} for number, path in paths.items()]
    answers[f"{API}/groups/5/projects"] = [ok(rows)]

    projects = discover(settings, groups=[5], include=include, exclude=exclude)

    assert [project.id for project in projects] == found


def test_progress(settings: Settings, answers: Answers) -> None:
    """Whoever waits sees the number of projects grow, doubles not counted."""
    answers[f"{API}/groups/5/projects"] = [ok([row(1), row(2)])]
    answers[f"{API}/projects/2"] = [ok(row(2))]
    seen: list[int] = []

    discover(settings, projects=[2], groups=[5], progress=seen.append)

    assert seen == [1, 2, 2]


@pytest.mark.parametrize(
    ("scope", "name"), [({"projects": ["g/none"]}, "g/none"), ({"groups": ["nobody"]}, "nobody")]
)
def test_unknown(settings: Settings, scope: dict[str, list[str]], name: str) -> None:
    """A project or group that is not there is named."""
    with pytest.raises(UnknownScopeError, match=name):
        discover(settings, **scope)  # type: ignore[arg-type]  # one argument of the two


def test_renamed_project(settings: Settings, answers: Answers) -> None:
    """An old path leads to the id, within the server."""
    answers[f"{API}/projects/g%2Fold"] = [(301, {"location": f"{API}/projects/81"}, b"")]
    answers[f"{API}/projects/81"] = [ok(row(81))]

    assert discover(settings, projects=["g/old"]) == [Project(id=81, path="g/p81")]


@pytest.mark.parametrize("how", ["redirect", "link"])
def test_token_stays_home(
    settings: Settings, answers: Answers, elsewhere: tuple[str, Asked], how: str
) -> None:
    """Neither a redirect nor a link takes the token, or a request, to another origin."""
    url, asked_elsewhere = elsewhere
    path = f"{API}/groups/5/projects"
    if how == "redirect":
        answers[path] = [(302, {"location": f"{url}/x"}, b"")]
    else:
        answers[path] = [ok([row(1)], link=f'<{url}/other?page=2>; rel="next"')]

    with pytest.raises(NotGitLabError, match="another origin"):
        discover(settings, groups=[5])

    assert asked_elsewhere == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, JSON, b'{"message":"401 Unauthorized"}'), AuthorisationError),
        ((403, JSON, b"{}"), AuthorisationError),
        ((404, {"content-type": "text/html"}, b"<html>"), NotGitLabError),
        ((200, {"content-type": "text/html"}, b"<html>Sign in"), NotGitLabError),
        ((200, JSON, b'{"hello":"world"}'), NotGitLabError),
        ((200, JSON, b"[1"), ServerError),
        ((200, JSON, b'"' + b"x" * (8 * 2**20) + b'"'), NotGitLabError),
        ((302, {"location": "/users/sign_in"}, b""), NotGitLabError),
        ((302, {"location": f"{API}/version"}, b""), NotGitLabError),
        ((503, {}, b""), ServerError),
        ((429, {"retry-after": "Mon, 14 Sep 2026 02:00:00 GMT"}, b""), ServerError),
    ],
)
def test_not_a_usable_server(
    settings: Settings,
    answers: Answers,
    answer: tuple[int, dict[str, str], bytes],
    error: type[LogminerError],
) -> None:
    """Whatever is wrong with the server as a whole, the error says which."""
    answers[f"{API}/version"] = [answer]
    answers["/users/sign_in"] = [(200, {"content-type": "text/html"}, b"<html>Sign in")]
    waits: list[float] = []

    with pytest.raises(error) as caught:
        discover(settings, projects=[1], sleep=waits.append)

    assert settings.token not in f"{caught.value!s} {caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("body", [b"{}", b"7", b'{"0":1}', b"[7]", b'[{"id":1}]', b"null"])
def test_lists_that_are_none(settings: Settings, answers: Answers, body: bytes) -> None:
    """JSON of the wrong shape is a server's fault, not a crash."""
    answers[f"{API}/groups/5/projects"] = [(200, JSON, body)]
    try:
        projects = discover(settings, groups=[5])
    except NotGitLabError:
        projects = []

    assert projects == []


def test_try_again(settings: Settings, answers: Answers) -> None:
    """A passing failure and a rate limit are waited out, by the server's word."""
    answers[f"{API}/projects/1"] = [
        (429, {"retry-after": "30"}, b"Retry later"),
        (502, {}, b""),
        (200, JSON | {"x-cut": "3"}, b'{"id":1}'),
        ok(row(1)),
    ]
    waits: list[float] = []

    projects = discover(settings, projects=[1], sleep=waits.append)

    assert [project.id for project in projects] == [1]
    assert len(waits) == 3
    assert 30 <= waits[0] <= 31


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param((200, JSON, b'{"id":1,"path'), id="half the JSON"),
        pytest.param(
            (200, JSON | {"content-encoding": "gzip"}, gzip.compress(b'{"id":1}')[:-9]),
            id="half the gzip",
        ),
        pytest.param((200, JSON | {"content-encoding": "gzip"}, b"no gzip"), id="no gzip"),
        pytest.param((200, {"content-type": "text/html"}, b"<html>Back soon"), id="a page"),
    ],
)
def test_broken_answers(
    settings: Settings, answers: Answers, broken: tuple[int, dict[str, str], bytes]
) -> None:
    """Once the server is known to be a GitLab, an answer that came broken is asked for again."""
    answers[f"{API}/projects/1"] = [broken, ok(row(1))]
    waits: list[float] = []

    projects = discover(settings, projects=[1], sleep=waits.append)

    assert [project.id for project in projects] == [1]
    assert len(waits) == 1


def test_gzip(settings: Settings, answers: Answers, asked: Asked) -> None:
    """Compressed answers are read, and no other compression is asked for."""
    body = gzip.compress(json.dumps(row(1)).encode())
    answers[f"{API}/projects/1"] = [(200, JSON | {"content-encoding": "gzip"}, body)]

    assert [project.id for project in discover(settings, projects=[1])] == [1]
    assert {headers["accept-encoding"] for _, headers in asked} == {"gzip"}


def test_unreachable(settings: Settings) -> None:
    """A server that does not answer is named."""
    nowhere = dataclasses.replace(settings, url="http://127.0.0.1:1")
    waits: list[float] = []

    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1 cannot be reached"):
        discover(nowhere, projects=[1], sleep=waits.append)

    assert len(waits) == 5


def test_empty_scope(settings: Settings, asked: Asked) -> None:
    """Nothing to look for is an error before any request."""
    with pytest.raises(UsageError):
        discover(settings)

    assert asked == []


def test_default_scope() -> None:
    """The two variables of GitLab's inventory script are a scope."""
    environ = {"GL_PROJECT_ID": "12", "GL_GROUP_ID": "g/sub"}

    assert default_scope(environ) == Scope(projects=("12",), groups=("g/sub",))
    assert default_scope({"GL_PROJECT_ID": ""}) == Scope()


def test_a_connection_is_given_up_before_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that drops packets costs ten seconds a try, not the minute a slow answer may take."""
    seen: list[object] = []

    def send(*arguments: object) -> requests.Response:
        seen.append(arguments[3])
        raise requests.ConnectTimeout

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(ServerError):
        discover(
            Settings(url="http://gitlab.example.com", token="t"),  # noqa: S106 -- no secret
            everything=True,
            policy=RetryPolicy(attempts=2),
            sleep=lambda _: None,
        )

    assert seen == [(10.0, 60.0)] * 2
