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

from logminer.simulator.api import Api
from logminer.simulator.behaviour import Behaviour
from logminer.simulator.gate import Gate
from logminer.simulator.requests import Requests

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Coroutine, Iterator

    from logminer.simulator.company import Company

T = TypeVar("T")

DEFAULT_TOKEN = "glpat-of-the-simulator"  # noqa: S105 -- opens nothing but a simulator


def create_app(company: Company, gate: Gate, requests: Requests) -> web.Application:
    """Return the application, for any aiohttp runner."""
    app = web.Application()
    app.add_routes(Api(company, gate, requests).routes())
    return app


@dataclass(slots=True, kw_only=True)
class Server:
    """A running simulator."""

    url: str
    """`http://127.0.0.1:PORT`."""
    token: str
    requests: Requests
    company: Company
    gate: Gate

    @property
    def behaviour(self) -> Behaviour:
        """How it treats the next request; a limit that is changed begins anew."""
        return self.gate.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self.gate.behaviour = behaviour

    def advance(self, to: dt.datetime) -> None:
        """Let the company live on to that moment; ValueError if it lies in its past."""
        if to < self.company.now:
            raise ValueError(f"{to} is before {self.company.now}")
        self.company.now = to

    def live(self, seconds: float) -> None:
        """Let the company live on by that time."""
        self.company.live(seconds)

    def when(self, kind: str, count: int, action: Callable[[], object]) -> None:
        """Do something just before the `count`-th request of a kind from now is answered.

        The kind "" is any. The action is called on the server's thread and must be short.
        """
        self.gate.when(kind, count, action)


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
    gate = Gate(company, token=token, behaviour=behaviour or Behaviour(), requests=requests)
    app = create_app(company, gate, requests)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,  # nobody waits for the end of a stall
        shutdown_timeout=0.1,
    )

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
            gate=gate,
        )
    finally:
        call(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
