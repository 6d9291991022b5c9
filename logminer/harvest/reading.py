"""A queued job into what it contributes to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.errors import ForbiddenError, NotFoundError
from logminer.harvest.rules import state_without_asking
from logminer.model import Depth, Harvested, TraceState
from logminer.trace import VERSION, Extractor

if TYPE_CHECKING:
    import datetime as dt

    from logminer.gitlab import Client
    from logminer.model import Job
    from logminer.reference import Upstreams
    from logminer.trace import Extraction


class Reader:
    """Reads traces and names what became of them."""

    def __init__(self, client: Client, *, instance: str, upstreams: Upstreams) -> None:
        """Read through this client; `instance` and `upstreams` mark and explain the rows."""
        self._client = client
        self._instance = instance
        self._upstreams = upstreams

    async def read(self, job: Job, *, now: dt.datetime) -> Harvested:
        """Return what the job contributes; a trace that is gone or forbidden is a fact, too.

        `now` becomes `harvested_at`. Raises RetryableError or UnexpectedAnswerError where the trace
        should have been readable: the job then stays queued.
        """
        state = state_without_asking(job)
        extraction: Extraction | None = None
        if state is None:
            try:
                sink = await self._client.read_trace(job, lambda: Extractor(self._upstreams))
            except NotFoundError:
                state = TraceState.MISSING
            except ForbiddenError:
                state = TraceState.FORBIDDEN
            else:
                extraction = sink.finish()
                state = TraceState.OK if extraction.summary.bytes else TraceState.EMPTY
        return Harvested(
            instance=self._instance,
            job=job,
            state=state,
            depth=Depth.FULL,
            summary=extraction.summary if extraction and state is TraceState.OK else None,
            uses=extraction.uses if extraction else (),
            extractor_version=VERSION,
            harvested_at=now,
        )
