"""What a run measures, read back with the library's own parsers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_of
from prometheus_client.parser import text_string_to_metric_families as prometheus_of

from logminer import __version__
from logminer.harvest import Tally
from logminer.harvest.metrics import METRICS, Backlog, Measured, last_success, openmetrics
from logminer.model import TraceState

NIGHT = dt.datetime(2026, 11, 27, 2, 30, tzinfo=dt.UTC)
BEFORE = dt.datetime(2026, 11, 26, 2, 30, tzinfo=dt.UTC)

Values = dict[tuple[str, ...], float]


def values(text: str, parse: Any = openmetrics_of) -> Values:  # noqa: ANN401 -- either parser
    """Return each sample under its name and the values of its labels but the source's."""
    return {
        (sample.name, *(v for k, v in sample.labels.items() if k != "source")): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def tally(**figures: Any) -> dict[str, Any]:  # noqa: ANN401 -- any figure of a tally
    """Return a run's figures as the ledger keeps them."""
    return Tally(**figures).as_dict()


@pytest.fixture
def night() -> Measured:
    """A night of which everything is known."""
    return Measured(
        source="gitlab.example.com",
        exit_code=3,
        ended=NIGHT,
        seconds=90.5,
        last_success=BEFORE,
        tally=tally(
            projects_listed=11,
            skipped_projects=["a/b: forbidden"],
            failures=["job 5: no"],
            answers={"trace": {"2xx": 40, "4xx": 2, "none": 1}, "discovery": {"any": 3}},
            rate_limited=7,
            received=123_456,
            images=60,
            not_understood=4,
            without_image=2,
            requests_left=1_990,
        )
        | {"traces": {"ok": 40, "missing": 2}},
        backlog=Backlog(queued=9, open=5, oldest=BEFORE),
    )


def test_every_figure(night: Measured) -> None:
    """Everything that a night measured stands there, under its name, for its source."""
    text = openmetrics(night)

    expected: Values = {
        ("logminer_build_info", __version__): 1,
        ("logminer_last_run_timestamp_seconds",): 1_795_746_600,
        ("logminer_last_success_timestamp_seconds",): 1_795_660_200,
        ("logminer_last_run_exit_code",): 3,
        ("logminer_last_run_duration_seconds",): 90.5,
        ("logminer_last_run_projects", "listed"): 11,
        ("logminer_last_run_projects", "skipped"): 1,
        ("logminer_last_run_failures",): 1,
        ("logminer_last_run_jobs", "ok"): 40,
        ("logminer_last_run_jobs", "empty"): 0,
        ("logminer_last_run_jobs", "erased"): 0,
        ("logminer_last_run_jobs", "missing"): 2,
        ("logminer_last_run_jobs", "forbidden"): 0,
        ("logminer_last_run_jobs", "failed"): 0,
        ("logminer_last_run_jobs", "not_started"): 0,
        ("logminer_last_run_requests", "trace", "2xx"): 40,
        ("logminer_last_run_requests", "trace", "4xx"): 2,
        ("logminer_last_run_requests", "trace", "none"): 1,
        ("logminer_last_run_requests", "discovery", "any"): 3,
        ("logminer_last_run_rate_limited_requests",): 7,
        ("logminer_last_run_received_bytes",): 123_456,
        ("logminer_last_run_image_uses",): 60,
        ("logminer_last_run_unrecognised_ratio",): 0.1,
        ("logminer_last_run_jobs_without_image",): 2,
        ("logminer_rate_limit_remaining_requests",): 1_990,
        ("logminer_queued_jobs",): 9,
        ("logminer_open_jobs",): 5,
        ("logminer_oldest_queued_job_timestamp_seconds",): 1_795_660_200,
    }
    assert values(text) == expected
    assert text.count("# TYPE ") == len(METRICS)
    assert text.endswith("# EOF\n")


def test_an_older_parser_reads_the_same(night: Measured) -> None:
    """The node exporter reads the Prometheus format, in which this text says the same."""
    text = openmetrics(night)

    assert values(text, prometheus_of) == values(text)
    assert {family.type for family in prometheus_of(text)} == {"gauge"}
    assert {s.timestamp for family in openmetrics_of(text) for s in family.samples} == {None}


def test_what_is_not_known_is_left_out() -> None:
    """A run that failed before it reached the server tells how it ended and nothing else."""
    text = openmetrics(
        Measured(source="unknown", exit_code=2, ended=NIGHT, seconds=0.5, last_success=None)
    )

    assert {name for name, *_ in values(text)} == {
        "logminer_build_info",
        "logminer_last_run_timestamp_seconds",
        "logminer_last_run_exit_code",
        "logminer_last_run_duration_seconds",
    }


def test_a_night_without_logs_divides_nothing() -> None:
    """No log read is no share of anything; a limit that nobody announced is not there."""
    text = openmetrics(
        Measured(source="s", exit_code=0, ended=NIGHT, seconds=1, last_success=NIGHT, tally=tally())
    )

    assert values(text)["logminer_last_run_unrecognised_ratio",] == 0
    assert "logminer_rate_limit_remaining_requests" not in text


def test_last_success_is_read_back(night: Measured) -> None:
    """What was written is found again, by source."""
    assert last_success(openmetrics(night)) == {"gitlab.example.com": 1_795_660_200}


@pytest.mark.parametrize("text", ["", "# EOF\n", "x{", "logminer_last_success", "\x00" * 9, "{}}"])
def test_a_foreign_file_says_nothing(text: str) -> None:
    """Whatever lies where the metrics go, it stops no run."""
    assert last_success(text) == {}


def test_labels_are_bounded(night: Measured) -> None:
    """Every label's values come from lists of ours, but for the source's name and the version."""
    known = {
        *TraceState,
        *("listed", "skipped", "discovery", "any", "none", "trace", "2xx", "4xx"),
        __version__,
    }
    found = {label for key in values(openmetrics(night)) for label in key[1:]}

    assert found <= known
