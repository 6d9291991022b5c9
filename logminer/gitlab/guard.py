"""What stands between python-gitlab and the wire.

python-gitlab's session would follow a redirect or a `Link` to another host with the token in the
header, read a body of any size, and take a `Retry-After` date for a number. Each of its requests,
every hop of a redirect included, passes this adapter, which allows one origin, bounds bodies,
raises this project's errors, and tries again by this project's policy.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import requests
import urllib3
from requests.adapters import HTTPAdapter

from logminer.errors import (
    ConnectionFailedError,
    RetryableError,
    ServerError,
    UnexpectedAnswerError,
    UsageError,
)
from logminer.gitlab import protocol
from logminer.gitlab.settings import CONNECT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.gitlab.retry import RetryPolicy
    from logminer.gitlab.settings import Settings


class Guard(HTTPAdapter):
    """A transport adapter for the server of `settings` and no other."""

    def __init__(
        self,
        settings: Settings,
        *,
        policy: RetryPolicy,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        """Prepare; `clock` gives monotonic seconds."""
        super().__init__()
        self._home = protocol.origin(settings.url)
        self._api = f"{settings.url}/api/v4"
        self._instance = settings.instance
        self._policy = policy
        self._sleep = sleep
        self._clock = clock

    def send(  # noqa: PLR0913, PLR0917 -- the signature of the base class
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 -- as above
        timeout: float | tuple[float | None, float | None] | None = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002 -- as above
        cert: str | tuple[str, str] | None = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Return a good answer or a redirect; raise an error of `logminer.errors` otherwise."""
        url = request.url or ""
        if isinstance(timeout, int | float):
            timeout = (CONNECT_SECONDS, timeout)
        if not self._is_home(url):
            raise UnexpectedAnswerError(
                "The server leads to another origin, where the token is not sent. "
                "If that is your GitLab, set its URL.",
            )
        what = f"GET {url.partition('?')[0].removeprefix(self._api)}"
        began, failures = self._clock(), 0
        while True:
            try:
                return self._checked(
                    what,
                    lambda: super(Guard, self).send(
                        request, stream, timeout, verify, cert, proxies
                    ),
                )
            except RetryableError as error:
                failures += 1
                wait = self._policy.wait(
                    error,
                    failures=failures,
                    elapsed=self._clock() - began,
                    chance=random.random(),  # noqa: S311 -- jitter, no secret
                )
                if wait is None:
                    raise
            self._sleep(wait)

    def _is_home(self, url: str) -> bool:
        try:
            return protocol.origin(url) == self._home
        except UsageError:
            return False

    def _checked(self, what: str, send: Callable[[], requests.Response]) -> requests.Response:
        """Send once; translate what fails."""
        try:
            response = send()
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # The cause is buried at a depth that differs by version; its name in OpenSSL is not.
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ServerError(protocol.untrusted(self._instance)) from error
            raise ConnectionFailedError(f"{what}: no answer ({type(error).__name__}).") from error
        if not response.is_redirect:
            protocol.check(what, response.status_code, response.headers, response.content)
        return response

    def build_response(
        self,
        req: requests.PreparedRequest,
        resp: urllib3.BaseHTTPResponse,
    ) -> requests.Response:
        """Read the body here, where it can be bounded."""
        response = super().build_response(req, resp)
        body = resp.read(protocol.MAX_JSON_BYTES + 1, decode_content=True)
        if len(body) > protocol.MAX_JSON_BYTES:
            resp.close()
            raise UnexpectedAnswerError(protocol.TOO_LARGE)
        resp.release_conn()
        response.raw = io.BytesIO(body)
        return response
