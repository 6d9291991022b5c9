"""Which server, which token, how to trust it: flags, then environment, then configuration file.

The file is python-gitlab's own (`PYTHON_GITLAB_CFG`, `/etc/python-gitlab.cfg`,
`~/.python-gitlab.cfg`), so what works for that tool works here. It is read only where flags and
environment leave the URL or the token open, because reading it may start a helper program.
"""

from __future__ import annotations

import configparser
import math
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Never
from urllib.parse import urlsplit

from logminer.errors import UsageError
from logminer.gitlab.protocol import origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitlab.config import GitlabConfigParser

URL_VARIABLES = ("GITLAB_URL", "GL_SERVER")
TOKEN_VARIABLES = ("GITLAB_TOKEN", "GITLAB_PRIVATE_TOKEN", "GL_TOKEN")
CA_VARIABLES = ("GITLAB_SSL_VERIFY", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
CONNECT_SECONDS = 10.0
"""For a connection: a server that drops packets is found out long before one that is slow."""
DEFAULT_TIMEOUT = 60.0
"""Seconds; also GitLab's own limit for one request (Rack::Timeout) and python-gitlab's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to reach one GitLab server; the token stays out of `repr`."""

    url: str
    """The server, without a slash at the end and without `/api/v4`."""
    token: str = field(repr=False)
    oauth: bool = False
    """Whether it is an OAuth token; else a personal, group or project access token."""
    verify: bool | str = True
    """Whether TLS certificates are verified; a text is the path of the CA bundle to trust."""
    timeout: float = DEFAULT_TIMEOUT
    """Seconds without a byte after which a request has failed."""

    def __post_init__(self) -> None:
        """Raise UsageError where a value cannot be used."""
        origin(self.url)
        if urlsplit(self.url).query or urlsplit(self.url).fragment or self.url.endswith("/"):
            raise UsageError("The GitLab URL must end with the host or a path: no /, ? or #.")
        # Anything else would break out of the header that carries it.
        if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise UsageError("The GitLab token holds characters that no token has.")
        if not self.token:
            raise UsageError("The GitLab token is empty.")
        if isinstance(self.verify, str) and not Path(self.verify).exists():
            raise UsageError(f"The CA bundle {self.verify} does not exist.")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise UsageError("The timeout must be a number of seconds above 0.")

    def __reduce__(self) -> Never:
        """Refuse to be pickled or copied: the token is not to be written anywhere."""
        raise TypeError("Settings hold a token, so they cannot be pickled.")

    @property
    def instance(self) -> str:
        """Host of the server, with the port where it is not the scheme's own."""
        return instance_of(self.url)

    @property
    def header(self) -> tuple[str, str]:
        """The one header that carries the token."""
        if self.oauth:
            return "Authorization", f"Bearer {self.token}"
        return "PRIVATE-TOKEN", self.token


def instance_of(url: str) -> str:
    """Return the name of the server at a URL: its host, with the port where it is not the usual."""
    scheme, host, port = origin(url)
    shown = f"[{host}]" if ":" in host else host
    return shown if (scheme, port) in {("http", 80), ("https", 443)} else f"{shown}:{port}"


def resolve(
    *,
    url: str | None = None,
    token: str | None = None,
    ca_bundle: str | None = None,
    timeout: float | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the settings that flags (the arguments), environment and file make together.

    An empty variable counts as unset.
    Raises UsageError where URL or token is missing or a value cannot be used.
    """
    url = url or named_url(environ)
    token = token or _first(environ, TOKEN_VARIABLES)
    verify = ca_bundle or _verify(_first(environ, CA_VARIABLES))
    timeout = timeout if timeout is not None else _seconds(environ.get("GITLAB_TIMEOUT"))
    oauth = False
    if not (url and token):
        file = _configuration(environ)
        url = url or file.url
        if not url:
            raise UsageError(
                "No GitLab server: set GITLAB_URL, for example to https://gitlab.example.com.",
            )
        if not token:
            oauth = not file.private_token and bool(file.oauth_token)
            token = _token_of(file, url)
        verify = file.ssl_verify if verify is None else verify
        timeout = float(file.timeout) if timeout is None else timeout
    return Settings(
        url=_server(url),
        token=token,
        oauth=oauth,
        verify=True if verify is None else verify,
        timeout=DEFAULT_TIMEOUT if timeout is None else timeout,
    )


def named_url(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the URL of the server that the environment names; None where it names none."""
    return _first(environ, URL_VARIABLES)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


def _verify(text: str | None) -> bool | str | None:
    """Read what `GITLAB_SSL_VERIFY` may hold: a truth value or a path."""
    if text is None:
        return None
    return configparser.ConfigParser.BOOLEAN_STATES.get(text.lower(), text)


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError("GITLAB_TIMEOUT must be a number of seconds.") from None


def _server(url: str) -> str:
    """Return the server's URL in the form that `Settings` keeps."""
    return url.strip().rstrip("/").removesuffix("/api/v4").rstrip("/")


def _token_of(file: GitlabConfigParser, url: str) -> str:
    """Return the file's token for `url`; never one that belongs to another server."""
    token = file.private_token or file.oauth_token
    if token and file.url and origin(file.url.strip()) != origin(url.strip()):
        raise UsageError(
            "No GitLab token: the one in python-gitlab's configuration file belongs to another "
            "server. Set GITLAB_TOKEN.",
        )
    if not token:
        only_job = " A CI job token cannot read job logs." if file.job_token else ""
        raise UsageError(
            f"No GitLab token: set GITLAB_TOKEN to one with the scope read_api.{only_job}",
        )
    return token


def _configuration(environ: Mapping[str, str]) -> GitlabConfigParser:
    """Read python-gitlab's file; without a file, its defaults."""
    # The package takes a third of a second to import, and most runs need no file.
    from gitlab.config import ConfigError, GitlabConfigParser  # noqa: PLC0415 -- heavy

    chosen = environ.get("PYTHON_GITLAB_CFG")
    try:
        return GitlabConfigParser(config_files=[chosen] if chosen else None)
    except (ConfigError, configparser.Error, ValueError, OSError, subprocess.SubprocessError):
        # Not chained: these errors quote lines of the file or a helper's output, where tokens are.
        raise UsageError(
            "python-gitlab's configuration file cannot be read. Correct it, or set GITLAB_URL "
            "and GITLAB_TOKEN.",
        ) from None
