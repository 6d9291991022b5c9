"""What stands between python-gitlab and the wire.

python-gitlab's session would follow a redirect or a `Link` to another host with the token in the
header, read a body of any size, and take a `Retry-After` date for a number. Each of its requests,
every hop of a redirect included, passes this adapter, which allows one origin, bounds bodies,
raises this project's errors, and tries again by this project's policy, at this project's pace.
"""

from __future__ import annotations

import io
import queue
import random
import threading
from typing import TYPE_CHECKING, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter

from logminer.errors import (
    ConnectionFailedError,
    NotGitLabError,
    RetryableError,
    ServerError,
    UnavailableError,
    UnexpectedAnswerError,
    UsageError,
)
from logminer.gitlab import protocol
from logminer.gitlab.encoding import PIECE_BYTES, decoder
from logminer.gitlab.settings import CONNECT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.gitlab.budget import Budget
    from logminer.gitlab.pacing import Pacer
    from logminer.gitlab.retry import RetryPolicy
    from logminer.gitlab.settings import Settings

ANSWER_SECONDS: Final = 300.0
"""The whole of one request and its answer."""


class Guard(HTTPAdapter):
    """A transport adapter for the server of `settings` and no other."""

    def __init__(  # noqa: PLR0913 -- the parts of a request's fate, each somebody else's
        self,
        settings: Settings,
        *,
        policy: RetryPolicy,
        pacer: Pacer,
        budget: Budget,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        """Prepare; `clock` gives monotonic seconds."""
        super().__init__()
        self._home = protocol.origin(settings.url)
        self._api = f"{settings.url}/api/v4"
        self._instance = settings.instance
        self._policy = policy
        self._pacer = pacer
        self._budget = budget
        self._proven = False
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
                return self._once(
                    what,
                    lambda: super(Guard, self).send(
                        request, stream, timeout, verify, cert, proxies
                    ),
                )
            except RetryableError as error:
                failures += 1
                now = self._clock()
                wait = self._policy.wait(
                    error,
                    failures=failures,
                    elapsed=now - began,
                    chance=random.random(),  # noqa: S311 -- jitter, no secret
                )
                if wait is None:
                    raise
                self._budget.wait(now, wait)
            self._sleep(wait)

    def _is_home(self, url: str) -> bool:
        try:
            return protocol.origin(url) == self._home
        except UsageError:
            return False

    def _once(self, what: str, send: Callable[[], requests.Response]) -> requests.Response:
        """Send once, when it is time; translate what fails."""
        pacer = self._pacer
        while (seconds := pacer.wait(now := self._clock())) > 0:
            self._budget.wait(now, seconds)
            self._sleep(seconds)
        self._budget.take(self._clock())
        scout = pacer.take(self._clock())
        response: requests.Response | None = None
        try:
            response = _within(ANSWER_SECONDS, send)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            # The cause is buried at a depth that differs by version; its name in OpenSSL is not.
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ServerError(protocol.untrusted(self._instance)) from error
            raise ConnectionFailedError(f"{what}: no answer ({type(error).__name__}).") from error
        except queue.Empty:
            raise ConnectionFailedError(f"{what}: the answer takes too long.") from None
        finally:
            if response is None:
                pacer.unanswered()
            else:
                limit = protocol.rate_limit(response.headers)
                pacer.answered(self._clock(), limit, scout=scout)
        if not response.is_redirect:
            self._check(what, response)
        return response

    def _check(self, what: str, response: requests.Response) -> None:
        """Raise what an answer says that is not good, or not whole."""
        body = response.content
        try:
            protocol.check(what, response.status_code, response.headers, body)
            # python-gitlab reads it again, but takes a broken answer for another server's.
            protocol.decode(what, response.headers, body)
        except NotGitLabError as error:
            if not self._proven:
                raise
            # It was GitLab a moment ago: a page of a proxy, while the server restarts.
            raise UnavailableError(str(error)) from None
        self._proven = True

    def build_response(
        self,
        req: requests.PreparedRequest,
        resp: urllib3.BaseHTTPResponse,
    ) -> requests.Response:
        """Read the body here, where it can be bounded and seen to be whole."""
        response = super().build_response(req, resp)
        body = bytearray()
        encoding = decoder(resp.headers.get("content-encoding"))
        while len(body) <= protocol.MAX_JSON_BYTES and (
            data := resp.read(PIECE_BYTES, decode_content=False)
        ):
            for piece in encoding.feed(data):
                body += piece
                if len(body) > protocol.MAX_JSON_BYTES:
                    break
        if len(body) > protocol.MAX_JSON_BYTES:
            resp.close()
        else:
            encoding.finish()
        protocol.check_body("GET", bytes(body))
        resp.release_conn()
        response.raw = io.BytesIO(body)
        return response


def _within(seconds: float, send: Callable[[], requests.Response]) -> requests.Response:
    """Return what `send` returns; raise queue.Empty where that takes longer.

    requests bounds the silence between two bytes only: a server that drips them holds it for ever.
    A thread that is given up is left to the server's mercy, and never keeps the program alive.
    """
    outcome: queue.SimpleQueue[requests.Response | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put(send())
        except BaseException as error:  # noqa: BLE001 -- raised again, where it belongs
            outcome.put(error)

    threading.Thread(target=run, name="discovery", daemon=True).start()
    result = outcome.get(timeout=seconds)
    if isinstance(result, BaseException):
        raise result
    return result
