"""A batch of logs into what they contribute to the store: the unit of work that is sent about.

One function of its order and of the logs that it names, the same in this process, in another one
and on another machine. What comes back is small and needs no more work: rows bound in a sheaf, and
figures.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from logminer.archive.logs import NoLogError, opened
from logminer.archive.progress import Tally
from logminer.errors import NotFoundError, UnexpectedAnswerError, UsageError
from logminer.model import PREPARE_STEP, SETTLED, Depth, Harvested, Job, TraceState
from logminer.reference import Upstreams
from logminer.store import Sheaf
from logminer.trace import VERSION, Extractor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from logminer.archive.logs import Log, Opened
    from logminer.reference.upstream import Mirror

UNKNOWN = "unknown"
"""How a job ended, where nobody has said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be read, and how."""

    logs: tuple[Log, ...]
    instance: str
    mirrors: tuple[Mirror, ...]
    """The mirrors and caches to see through."""
    depth: Depth
    max_bytes: int | None
    """Of a longer log only so much is read, and its job is marked `truncated`."""
    now: dt.datetime
    """Becomes `harvested_at`; a live log written shortly before may still grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """What was read."""

    sheaf: Sheaf | None
    """None where nothing was."""
    tally: Tally
    """What was done and what went wrong, in figures."""
    version: str = VERSION
    """Of the extractor that read it."""


def read(order: Order) -> Reaped:
    """Read a batch of logs; what is wrong with one of them is counted and named, never raised."""
    tally = Tally()
    harvested = []
    upstreams = _upstreams(order.mirrors)
    for log, file in opened(order.logs):
        try:
            each = _read_one(log, file, order, upstreams, tally)
        except NoLogError:
            tally.without_log += 1
        except NotFoundError:
            tally.gone += 1
        except UnexpectedAnswerError as error:
            tally.fail(str(error))
        except UsageError as error:  # another machine may be set up in another way
            tally.fail(f"{log.path}: {error}")
        except Exception as error:  # noqa: BLE001 -- a fault of ours: it must not cost the others
            tally.fail(f"{log.path}: internal error, {error!r}")
        else:
            if each is not None:
                harvested.append(each)
                tally.undescribed += log.job is None
                _count(tally, each)
    return Reaped(sheaf=Sheaf.of(harvested) if harvested else None, tally=tally)


def _read_one(
    log: Log,
    file: AbstractContextManager[Opened],
    order: Order,
    upstreams: Upstreams,
    tally: Tally,
) -> Harvested | None:
    """Return what a job contributes; None where its log may still grow."""
    with file as (chunks, written):
        if log.live and written > (order.now - SETTLED).timestamp():
            tally.waiting += 1
            return None
        extractor = Extractor(upstreams)
        cut = _feed(extractor, chunks, order)
    extraction = extractor.finish()
    summary = extraction.summary
    state = TraceState.OK if summary.bytes else TraceState.EMPTY
    if cut:
        tally.traces_cut += 1
        summary = replace(summary, truncated=True)
    return Harvested(
        instance=order.instance,
        job=log.job or _undescribed(log, written),
        state=state,
        depth=order.depth,
        summary=summary if state is TraceState.OK else None,
        uses=extraction.uses,
        extractor_version=VERSION,
        harvested_at=order.now,
    )


def _feed(extractor: Extractor, chunks: Iterable[bytes], order: Order) -> bool:
    """Feed as much as is asked for; return whether a bound cut it."""
    preparation = order.depth is Depth.PREPARE
    left = order.max_bytes
    cut = False
    for chunk in _steps(chunks) if preparation else chunks:
        piece = chunk
        if left is not None:
            piece, cut = chunk[:left], len(chunk) > left
            left -= len(piece)
        if piece:
            extractor.feed(piece)
        if preparation and extractor.prepared:
            return False
        if cut:
            break
    return cut


def _steps(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in steps, with a look after each whether the preparation is over."""
    for chunk in chunks:  # of a size that steps divide, but for the last
        for begin in range(0, len(chunk), PREPARE_STEP):
            yield chunk[begin : begin + PREPARE_STEP]


def _undescribed(log: Log, written: float) -> Job:
    """Return what is known of a job that nobody has described: what its log's place tells.

    Its day is that of the archiving; of a live log the day on which it was written last, where that
    lies in the month of the job's creation: a copy may have lost it.
    """
    day = log.day
    if log.live:
        end = dt.datetime.fromtimestamp(written, dt.UTC).date()
        day = end if (end.year, end.month) == (day.year, day.month) else day
    return Job(
        project_id=log.project_id,
        project_path=log.project_path or str(log.project_id),
        pipeline_id=None,
        id=log.job_id,
        name="",
        stage="",
        ref=None,
        ref_is_tag=False,
        status=UNKNOWN,
        failure_reason=None,
        created_at=dt.datetime.combine(day, dt.time.min, dt.UTC),
        started_at=None,
        finished_at=None,
        erased_at=None,
        queued_duration=None,
        duration=None,
        runner_id=None,
        runner_description=None,
        tag_list=(),
        url=None,
        trace_size=None,
    )


def _count(tally: Tally, harvested: Harvested) -> None:
    """Count what was read of one job."""
    tally.jobs_done += 1
    tally.images += len(harvested.uses)
    tally.traces[harvested.state] += 1
    summary = harvested.summary
    if summary is not None:
        tally.read += summary.bytes
        if not summary.recognised:
            tally.not_understood += 1
        elif not harvested.uses and summary.names_images:
            tally.without_image += 1


@lru_cache(8)
def _upstreams(mirrors: tuple[Mirror, ...]) -> Upstreams:
    """Return the table of these mirrors, which remembers its answers from batch to batch."""
    return Upstreams(mirrors=mirrors)
