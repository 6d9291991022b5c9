"""Settings: flag before environment before file, and nothing sent to the wrong server."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import gitlab.config
import pytest

from logminer.errors import UsageError
from logminer.gitlab.settings import DEFAULT_TIMEOUT, Settings, resolve

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://gitlab.example.com"
SECRET = "glpat-settings-secret"  # noqa: S105 -- opens nothing


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own configuration out of the tests."""
    monkeypatch.setattr(gitlab.config, "_DEFAULT_FILES", [])
    monkeypatch.delenv("PYTHON_GITLAB_CFG", raising=False)


def written(folder: Path, text: str) -> dict[str, str]:
    """Write a configuration file and return the environment that names it."""
    file = folder / "python-gitlab.cfg"
    file.write_text(text)
    return {"PYTHON_GITLAB_CFG": str(file)}


FILE = f"""
[global]
default = main
timeout = 7
ssl_verify = false
[main]
url = https://file.example.com/
private_token = {SECRET}
"""


def test_flags_come_first() -> None:
    """A flag beats the environment."""
    environ = {"GITLAB_URL": "https://other.example.com", "GITLAB_TOKEN": "other"}

    settings = resolve(url=URL + "/", token=SECRET, timeout=3.0, environ=environ)

    assert settings == Settings(url=URL, token=SECRET, timeout=3.0)


@pytest.mark.parametrize(
    "environ",
    [
        {"GITLAB_URL": URL, "GITLAB_TOKEN": SECRET, "GL_SERVER": "https://x", "GL_TOKEN": "x"},
        {"GITLAB_URL": f"{URL}/api/v4/", "GITLAB_PRIVATE_TOKEN": SECRET, "GL_TOKEN": "x"},
        {"GL_SERVER": URL, "GL_TOKEN": SECRET, "GITLAB_TOKEN": ""},
    ],
)
def test_environment(environ: dict[str, str]) -> None:
    """Each of the variables works, the first that is set wins, and empty is unset."""
    assert resolve(environ=environ) == Settings(url=URL, token=SECRET, timeout=DEFAULT_TIMEOUT)


def test_environment_beats_file(tmp_path: Path) -> None:
    """With URL and token from the environment the file is not even read."""
    environ = written(tmp_path, "no configuration at all")

    settings = resolve(environ=environ | {"GITLAB_URL": URL, "GITLAB_TOKEN": SECRET})

    assert settings == Settings(url=URL, token=SECRET)


def test_file(tmp_path: Path) -> None:
    """The file gives what is missing, how to trust and how long to wait included."""
    settings = resolve(environ=written(tmp_path, FILE))

    assert settings == Settings(
        url="https://file.example.com", token=SECRET, verify=False, timeout=7.0
    )


def test_oauth_token(tmp_path: Path) -> None:
    """An OAuth token of the file goes into the header that is its own."""
    settings = resolve(environ=written(tmp_path, FILE.replace("private_token", "oauth_token")))

    assert settings.header == ("Authorization", f"Bearer {SECRET}")


def test_private_token() -> None:
    """Every other token goes into GitLab's header."""
    assert Settings(url=URL, token=SECRET).header == ("PRIVATE-TOKEN", SECRET)


def test_a_token_stays_with_its_server(tmp_path: Path) -> None:
    """The file's token is not sent to a server that the environment names."""
    with pytest.raises(UsageError, match="another server"):
        resolve(environ=written(tmp_path, FILE) | {"GITLAB_URL": URL})


def test_job_token_is_no_help(tmp_path: Path) -> None:
    """A job token reads no logs, and the error says so."""
    with pytest.raises(UsageError, match="job token cannot read"):
        resolve(environ=written(tmp_path, FILE.replace("private_token", "job_token")))


def test_missing_url() -> None:
    """Without a server the error names the variable."""
    with pytest.raises(UsageError, match="GITLAB_URL"):
        resolve(token=SECRET, environ={})


def test_missing_token() -> None:
    """Without a token the error names the variable and the scope."""
    with pytest.raises(UsageError, match=r"GITLAB_TOKEN.*read_api"):
        resolve(url=URL, environ={})


@pytest.mark.parametrize(
    "text",
    [
        f"private_token = {SECRET}",
        f"[global]\ndefault = main\n{SECRET}\n[main",
        f"[global]\ndefault = {SECRET}",
        f"[global]\ndefault = m\ntimeout = {SECRET}\n[m]\nurl = {URL}",
        f"[global]\ndefault = m\n[m]\nurl = {URL}\nprivate_token = helper: /nonexistent/{SECRET}",
    ],
)
def test_broken_file(tmp_path: Path, text: str) -> None:
    """A file that cannot be read is a usage error that quotes nothing of it."""
    with pytest.raises(UsageError) as caught:
        resolve(environ=written(tmp_path, text))

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "value", "verify"),
    [
        ("GITLAB_SSL_VERIFY", "false", False),
        ("GITLAB_SSL_VERIFY", "1", True),
        ("REQUESTS_CA_BUNDLE", "{here}", "{here}"),
        ("SSL_CERT_FILE", "{here}", "{here}"),
    ],
)
def test_trust(tmp_path: Path, name: str, value: str, *, verify: bool | str) -> None:
    """The usual variables say whom to trust."""
    environ = {"GITLAB_URL": URL, "GITLAB_TOKEN": SECRET, name: value.format(here=tmp_path)}

    settings = resolve(environ=environ)

    assert settings.verify == (verify.format(here=tmp_path) if isinstance(verify, str) else verify)


@pytest.mark.parametrize(
    ("url", "instance"),
    [
        (URL, "gitlab.example.com"),
        (f"{URL}:443", "gitlab.example.com"),
        (f"{URL}:8443/gitlab", "gitlab.example.com:8443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:80", "[::1]"),
    ],
)
def test_instance(url: str, instance: str) -> None:
    """The instance is the host, with a port only where it is not the usual one."""
    assert Settings(url=url, token=SECRET).instance == instance


@pytest.mark.parametrize(
    "change",
    [
        {"url": "gitlab.example.com"},
        {"url": f"{URL}/"},
        {"url": f"{URL}?private_token=x"},
        {"url": "https://user:password@gitlab.example.com"},
        {"token": ""},
        {"token": f"{SECRET}\nX: y"},
        {"token": f"{SECRET} "},
        {"token": f"{SECRET}é"},
        {"verify": "/nonexistent/ca.pem"},
        {"timeout": 0.0},
        {"timeout": float("nan")},
    ],
)
def test_unusable(change: dict[str, object]) -> None:
    """What cannot be used is refused at once, and the token is not in the message."""
    values: dict[str, object] = {"url": URL, "token": SECRET}
    with pytest.raises(UsageError) as caught:
        Settings(**(values | change))  # type: ignore[arg-type]  # wrong values are the point

    assert SECRET not in str(caught.value)


def test_bad_timeout_variable() -> None:
    """A timeout that is no number is a usage error."""
    with pytest.raises(UsageError, match="GITLAB_TIMEOUT"):
        resolve(url=URL, token=SECRET, environ={"GITLAB_TIMEOUT": "soon"})


def test_token_is_hidden() -> None:
    """Settings can be printed."""
    assert SECRET not in repr(Settings(url=URL, token=SECRET))


def test_not_to_be_pickled() -> None:
    """Settings hold the token, so they are not to be written anywhere."""
    with pytest.raises(TypeError, match="token"):
        pickle.dumps(Settings(url=URL, token=SECRET))
