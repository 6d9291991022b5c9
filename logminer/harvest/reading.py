"""A queued job into what it contributes to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from logminer.errors import ForbiddenError, NotFoundError, SkippableError
from logminer.harvest.rules import state_without_asking
from logminer.model import PREPARE_STEP, Depth, Harvested, Project, TraceState
from logminer.trace import VERSION, Extractor, KeepingExtractor, read_again

if TYPE_CHECKING:
    import datetime as dt

    from logminer.gitlab import Client
    from logminer.model import Job
    from logminer.reference import Upstreams
    from logminer.store import OldJob
    from logminer.trace import Extraction


class Reader:
    """Reads traces and names what became of them."""

    def __init__(  # noqa: PLR0913 -- how traces are read, each named by the caller
        self,
        client: Client,
        *,
        instance: str,
        upstreams: Upstreams,
        depth: Depth = Depth.FULL,
        max_bytes: int | None = None,
        keep: bool = False,
    ) -> None:
        """Read through this client; `instance` and `upstreams` mark and explain the rows.

        Of each trace no more than `max_bytes` are read, and with `Depth.PREPARE` no more than the
        runner's preparation. With `keep`, the part is kept from which a trace can be read again.
        """
        self._client = client
        self._instance = instance
        self._upstreams = upstreams
        self._depth = depth
        self._max_bytes = max_bytes
        self._keep = keep

    async def read(self, job: Job, *, now: dt.datetime, depth: Depth | None = None) -> Harvested:
        """Return what the job contributes; a trace that is gone or forbidden is a fact, too.

        `depth` is the run's where none is named; `now` becomes `harvested_at`.
        Raises RetryableError or UnexpectedAnswerError where the trace should have been readable:
        the job then stays queued.
        """
        depth = depth or self._depth
        state = state_without_asking(job)
        extraction: Extraction | None = None
        cut, kept = False, None
        if state is None:
            try:
                extraction, cut, kept = await self._extract(job, depth)
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
            depth=depth,
            summary=replace(summary, truncated=True) if summary and cut else summary,
            uses=extraction.uses if extraction else (),
            extractor_version=VERSION,
            harvested_at=now,
            kept=kept if state is TraceState.OK else None,
        )

    async def _extract(self, job: Job, depth: Depth) -> tuple[Extraction, bool, bytes | None]:
        """Return what the trace tells, whether `max_bytes` cut it, and what is to be kept of it."""
        extractor: Extractor | KeepingExtractor
        if depth is Depth.FULL:
            whole = await self._client.read_trace(job, self._extractor, max_bytes=self._max_bytes)
            extractor, cut = whole.sink, whole.cut
        else:
            head = await self._client.read_trace(
                job,
                lambda: Head(self._extractor()),
                max_bytes=self._max_bytes,
                enough=lambda sink: sink.enough,
            )
            extractor, cut = head.sink.extractor_fed(), head.cut and not head.sink.enough
        extraction = extractor.finish()
        kept = extractor.kept(cut=cut) if isinstance(extractor, KeepingExtractor) else None
        return extraction, cut, kept

    def _extractor(self) -> Extractor | KeepingExtractor:
        return KeepingExtractor(self._upstreams) if self._keep else Extractor(self._upstreams)


def read_kept(old: OldJob, upstreams: Upstreams, *, now: dt.datetime) -> Harvested | None:
    """Return what a job contributes by today's rules, from what was kept of its trace.

    None where nothing was, or nothing that can be read.
    """
    if old.kept is None:
        return None
    try:
        extraction, cut = read_again(old.kept, upstreams)
    except ValueError:
        return None
    summary = extraction.summary
    return Harvested(
        instance=old.instance,
        job=old.job,
        state=TraceState.OK,
        depth=old.depth,
        summary=replace(summary, truncated=True) if cut else summary,
        uses=extraction.uses,
        extractor_version=VERSION,
        harvested_at=now,
        kept=old.kept,
    )


class Head:
    """Feeds an extractor the runner's preparation and a few bytes more.

    How many does not depend on how the network cut the trace: the dataset must not, either.
    """

    def __init__(self, extractor: Extractor | KeepingExtractor) -> None:
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

    def extractor_fed(self) -> Extractor | KeepingExtractor:
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
