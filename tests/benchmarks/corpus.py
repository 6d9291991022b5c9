"""A corpus of job logs on disk: the simulator's, log-normal in size, with a real log's noise."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from logminer.simulator import Company

if TYPE_CHECKING:
    from pathlib import Path

MEDIAN = 68_000
"""Bytes: the median of the traces that the design's figures were measured with."""


def write(directory: Path, *, megabytes: int, seed: int = 1) -> list[Path]:
    """Write job logs until they are that large together; returns their paths, old ones reused."""
    marker = directory / f"complete-{megabytes}-{seed}"
    if not marker.exists():
        directory.mkdir(parents=True, exist_ok=True)
        company = Company.generate(
            seed=seed,
            today=dt.date(2026, 11, 23),
            days=365,
            projects=300,
            jobs=40 * megabytes,
            median_trace_bytes=MEDIAN,
        )
        written = 0
        for job in company.jobs:
            trace = company.trace(job.id)
            if trace:
                (directory / f"{job.id}.log").write_bytes(trace)
                written += len(trace)
            if written >= megabytes * 1_000_000:
                break
        else:
            raise ValueError("the company has too few jobs for so many megabytes")
        marker.touch()
    return sorted(directory.glob("*.log"))
