"""The simulator as a running server, on a thread of its own.

with serve(company) as server:
    ... server.url, server.token ...
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from logminer.simulator.api import Api, Behaviour, Requests

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Coroutine, Iterator

    from logminer.simulator.company import Company

T = TypeVar("T")

DEFAULT_TOKEN = "glpat-of-the-simulator"  # noqa: S105 -- opens nothing but a simulator


def create_app(
    company: Company,
    *,
    token: str = DEFAULT_TOKEN,
    behaviour: Behaviour | None = None,
    requests: Requests | None = None,
) -> web.Application:
    """Return the application, for any aiohttp runner."""
    api = Api(
        company, token=token, behaviour=behaviour or Behaviour(), requests=requests or Requests()
    )
    app = web.Application(middlewares=[api.middleware])
    app.add_routes(api.routes())
    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running simulator."""

    url: str
    """`http://127.0.0.1:PORT`."""
    token: str
    requests: Requests
    company: Company

    def advance(self, to: dt.datetime) -> None:
        """Let the company live on to that moment; ValueError if it lies in its past."""
        if to < self.company.now:
            raise ValueError(f"{to} is before {self.company.now}")
        self.company.now = to


@contextmanager
def serve(
    company: Company,
    *,
    token: str = DEFAULT_TOKEN,
    behaviour: Behaviour | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """Run the simulator on 127.0.0.1, on its own thread, until the block ends.

    Port 0 is any free one. OSError if the port is taken.
    """
    requests = Requests()
    app = create_app(company, token=token, behaviour=behaviour, requests=requests)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)

    def call(coroutine: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        call(runner.setup())
        call(web.TCPSite(runner, "127.0.0.1", port).start())
        yield Server(
            url=f"http://127.0.0.1:{runner.addresses[0][1]}",
            token=token,
            requests=requests,
            company=company,
        )
    finally:
        call(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
