"""A queued job into what it contributes to the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from logminer.errors import ForbiddenError, NotFoundError, SkippableError
from logminer.harvest.rules import state_without_asking
from logminer.model import PREPARE_STEP, Depth, Harvested, Project, TraceState
from logminer.trace import VERSION, Extractor

if TYPE_CHECKING:
    import datetime as dt

    from logminer.gitlab import Client
    from logminer.model import Job
    from logminer.reference import Upstreams
    from logminer.trace import Extraction


class Reader:
    """Reads traces and names what became of them."""

    def __init__(
        self,
        client: Client,
        *,
        instance: str,
        upstreams: Upstreams,
        depth: Depth = Depth.FULL,
        max_bytes: int | None = None,
    ) -> None:
        """Read through this client; `instance` and `upstreams` mark and explain the rows.

        Of each trace no more than `max_bytes` are read, and with `Depth.PREPARE` no more than the
        runner's preparation.
        """
        self._client = client
        self._instance = instance
        self._upstreams = upstreams
        self._depth = depth
        self._max_bytes = max_bytes

    async def read(self, job: Job, *, now: dt.datetime) -> Harvested:
        """Return what the job contributes; a trace that is gone or forbidden is a fact, too.

        `now` becomes `harvested_at`. Raises RetryableError or UnexpectedAnswerError where the trace
        should have been readable: the job then stays queued.
        """
        state = state_without_asking(job)
        extraction: Extraction | None = None
        cut = False
        if state is None:
            try:
                extraction, cut = await self._extract(job)
            except NotFoundError:
                state = TraceState.MISSING
            except ForbiddenError:
                state = TraceState.FORBIDDEN
            else:
                state = TraceState.OK if extraction.summary.bytes else TraceState.EMPTY
        if state is TraceState.EMPTY:
            # It may have been erased since it was listed, which is another fact.
            job = await refreshed(self._client, job)
            state = state_without_asking(job) or state
        summary = extraction.summary if extraction and state is TraceState.OK else None
        return Harvested(
            instance=self._instance,
            job=job,
            state=state,
            depth=self._depth,
            summary=replace(summary, truncated=True) if summary and cut else summary,
            uses=extraction.uses if extraction else (),
            extractor_version=VERSION,
            harvested_at=now,
        )

    async def _extract(self, job: Job) -> tuple[Extraction, bool]:
        """Return what the trace tells, and whether `max_bytes` cut it."""
        if self._depth is Depth.FULL:
            whole = await self._client.read_trace(
                job, lambda: Extractor(self._upstreams), max_bytes=self._max_bytes
            )
            return whole.sink.finish(), whole.cut
        head = await self._client.read_trace(
            job,
            lambda: Head(Extractor(self._upstreams)),
            max_bytes=self._max_bytes,
            enough=lambda sink: sink.enough,
        )
        return head.sink.extractor_fed().finish(), head.cut and not head.sink.enough


class Head:
    """Feeds an extractor the runner's preparation and a few bytes more.

    How many does not depend on how the network cut the trace: the dataset must not, either.
    """

    def __init__(self, extractor: Extractor) -> None:
        """Feed this extractor."""
        self._extractor = extractor
        self._kept = bytearray()

    @property
    def enough(self) -> bool:
        """Whether the preparation is over."""
        return self._extractor.prepared

    def feed(self, data: bytes, /) -> None:
        """Take in the next bytes; after the preparation they are dropped."""
        if self.enough:
            return
        self._kept += data
        begin = 0
        while len(self._kept) - begin >= PREPARE_STEP and not self.enough:
            self._extractor.feed(bytes(self._kept[begin : begin + PREPARE_STEP]))
            begin += PREPARE_STEP
        del self._kept[:begin]

    def extractor_fed(self) -> Extractor:
        """Return the extractor, at the end of what there is to feed."""
        if self._kept and not self.enough:
            self._extractor.feed(bytes(self._kept))
        self._kept.clear()
        return self._extractor


async def refreshed(client: Client, job: Job) -> Job:
    """Return the job as it is now; as it was where the server does not tell."""
    try:
        return await client.job(Project(id=job.project_id, path=job.project_path), job.id)
    except SkippableError:
        return job
