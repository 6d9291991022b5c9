"""Run as a program: an S3 server on loopback, which is moto's, until its input ends.

    python tests/s3.py

Prints its URL. moto answers `If-Match` and `If-None-Match` as S3 does (412, or 404 where the object
to be matched is gone), but looks first and writes afterwards, so that two requests at one time may
both succeed: here they are answered one after the other. What moto cannot do is done here, too:

    PUT  /-/answers    JSON [{"method": …, "path": …, "status": …, "code": …, "times": …}, …]:
                       answer the next `times` requests of a method, whose path matches an
                       expression, with this error instead
    GET  /-/requests   JSON [[method, path, condition], …]: what was asked so far
    GET  /-/count      how many that were
"""

from __future__ import annotations

import json
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ERROR = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'


class OneAtATime:
    """moto, one request after the other, with errors on demand."""

    def __init__(self) -> None:
        """Answer as moto does, until something else is asked for."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._turn = threading.Lock()
        self._answers: list[dict[str, Any]] = []
        self._requests: list[list[str]] = []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._turn:
            if path == "/-/requests":
                return self._say(start, "200 OK", json.dumps(self._requests))
            if path == "/-/count":
                return self._say(start, "200 OK", str(len(self._requests)))
            if path == "/-/answers":
                length = int(environ["CONTENT_LENGTH"])
                self._answers = json.loads(environ["wsgi.input"].read(length))
                return self._say(start, "200 OK", "")
            condition = environ.get("HTTP_IF_MATCH") or environ.get("HTTP_IF_NONE_MATCH") or ""
            self._requests.append([method, path, condition])
            for each in self._answers:
                if each["times"] and each["method"] == method and re.search(each["path"], path):
                    each["times"] -= 1
                    return self._say(
                        start, f"{each['status']} Error", ERROR.format(code=each["code"])
                    )
            return list(self._moto(environ, start))

    def _say(self, start: Callable[..., Any], status: str, body: str) -> Iterable[bytes]:
        start(status, [("Content-Type", "application/xml")])
        return [body.encode()]


class Quiet(WSGIRequestHandler):
    """Speaks HTTP/1.1, so that connections are kept, and says nothing on stderr."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def main() -> None:
    """Serve until nobody holds our input any more."""
    server = make_server("127.0.0.1", 0, OneAtATime(), threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.port}", flush=True)  # noqa: T201 -- whoever started us reads it
    sys.stdin.read()


if __name__ == "__main__":
    main()
