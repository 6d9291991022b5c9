"""What a run and the ledger behind it measure, as OpenMetrics text. Pure: no file, no clock.

Everything is a gauge: a batch job's figures begin anew with each run, so a rate over them would
mean nothing. A gauge without a timestamp of its own is also what the node exporter's textfile
collector takes, which reads the older Prometheus format: the text is valid in both.

Labels are bounded: a source has one file, endpoints, classes of status and states are lists of
ours. Moments are given as moments; how old they are is the reader's to say (`time() - …`), because
a file that nobody writes any more would keep its age.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from logminer import __version__
from logminer.model import TraceState

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from logminer.store import LedgerView

LAST_SUCCESS: Final = "logminer_last_success_timestamp_seconds"

_TEXTS: Final = {
    "logminer_build_info": "The logminer that wrote this file.",
    "logminer_last_run_timestamp_seconds": "When the last run ended, however it ended.",
    LAST_SUCCESS: "When the last complete harvest ended (exit code 0).",
    "logminer_last_run_exit_code": "Exit code of the last run: 0 complete, 1 failed, 2 usage,"
    " 3 partial, 4 not authorised, 75 locked or out of budget, 130 interrupted.",
    "logminer_last_run_duration_seconds": "How long the last run took.",
    "logminer_last_run_projects": "Projects of the last run, listed or skipped.",
    "logminer_last_run_failures": "Things that should have worked in the last run and did not.",
    "logminer_last_run_jobs": "Jobs that the last run recorded, by what became of their logs.",
    "logminer_last_run_requests": "Requests of the last run, by endpoint and class of the status.",
    "logminer_last_run_rate_limited_requests": "Requests that the server answered with 429.",
    "logminer_last_run_received_bytes": "Bytes of answers in the last run, as they came.",
    "logminer_last_run_image_uses": "Image uses that the last run found.",
    "logminer_last_run_unrecognised_ratio": "Share of the logs read whose first lines match no"
    " known runner.",
    "logminer_last_run_jobs_without_image": "Logs of docker and kubernetes executors in which no"
    " image was found: the runner's wording may have changed.",
    "logminer_rate_limit_remaining_requests": "Requests left in the server's limit, as it last"
    " said.",
    "logminer_queued_jobs": "Jobs that have ended and wait to be read: the backlog.",
    "logminer_open_jobs": "Jobs that had not ended when they were last seen.",
    "logminer_oldest_queued_job_timestamp_seconds": "When the oldest job of the backlog ended.",
}
"""Every metric, and what it says."""

METRICS: Final = frozenset(_TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What there is to tell of a run that has just ended."""

    source: str
    exit_code: int
    ended: dt.datetime
    seconds: float
    last_success: dt.datetime | None
    tally: Mapping[str, Any] = field(default_factory=dict)
    """The run's figures as the ledger remembers them; empty where it failed before."""
    backlog: Backlog | None = None
    """None where the ledger cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a ledger holds back for the next run."""

    queued: int
    open: int
    oldest: dt.datetime | None
    """When the oldest queued job ended; None where none is queued."""

    @classmethod
    def of(cls, ledger: LedgerView) -> Backlog:
        """Ask a ledger."""
        waiting = ledger.take(1)
        oldest = waiting[0].finished_at or waiting[0].created_at if waiting else None
        return cls(
            queued=ledger.count_queued(),
            open=ledger.count_open(),
            oldest=oldest,
        )


def openmetrics(measured: Measured) -> str:
    """Return everything that is known, as text; what is not known is left out."""
    page = _Page(measured.source)
    page.put("logminer_build_info", 1, version=__version__)
    page.put("logminer_last_run_timestamp_seconds", measured.ended.timestamp())
    page.put("logminer_last_run_exit_code", measured.exit_code)
    page.put("logminer_last_run_duration_seconds", measured.seconds)
    if measured.last_success is not None:
        page.put(LAST_SUCCESS, measured.last_success.timestamp())
    if measured.tally:
        _put_run(page, measured.tally)
    if measured.backlog is not None:
        page.put("logminer_queued_jobs", measured.backlog.queued)
        page.put("logminer_open_jobs", measured.backlog.open)
        if measured.backlog.oldest is not None:
            oldest = measured.backlog.oldest.timestamp()
            page.put("logminer_oldest_queued_job_timestamp_seconds", oldest)
    return page.text()


def last_success(text: str) -> dict[str, float]:
    """Return when each source was last harvested completely, by a file that was written before.

    A file that is none of ours says nothing.
    """
    try:
        return {
            sample.labels["source"]: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == LAST_SUCCESS
        }
    except (ValueError, KeyError):
        return {}


def _put_run(page: _Page, tally: Mapping[str, Any]) -> None:
    """Put what the run did."""
    listed, skipped = tally["projects_listed"], tally["projects_skipped"]
    page.put("logminer_last_run_projects", listed, outcome="listed")
    page.put("logminer_last_run_projects", skipped, outcome="skipped")
    page.put("logminer_last_run_failures", tally["failed"])
    for state in TraceState:
        page.put("logminer_last_run_jobs", tally["traces"].get(state, 0), trace_state=state)
    for endpoint, answers in tally["answers"].items():
        for status, number in answers.items():
            page.put("logminer_last_run_requests", number, endpoint=endpoint, status=status)
    page.put("logminer_last_run_rate_limited_requests", tally["rate_limited"])
    page.put("logminer_last_run_received_bytes", tally["received"])
    page.put("logminer_last_run_image_uses", tally["images"])
    read = tally["traces"].get(TraceState.OK, 0)
    share = tally["not_understood"] / read if read else 0.0
    page.put("logminer_last_run_unrecognised_ratio", share)
    page.put("logminer_last_run_jobs_without_image", tally["without_image"])
    if tally["requests_left"] is not None:
        page.put("logminer_rate_limit_remaining_requests", tally["requests_left"])


class _Page:
    """The metrics of one source, in the order in which they are first put."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def put(self, name: str, value: float, **labels: str) -> None:
        """Say a value; a metric has the same labels wherever it is put."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = Gauge(name, _TEXTS[name], ["source", *labels], registry=self._registry)
            self._gauges[name] = gauge
        gauge.labels(source=self._source, **labels).set(value)

    def text(self) -> str:
        """Return the page."""
        text: bytes = generate_latest(self._registry)
        return text.decode()
