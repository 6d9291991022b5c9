"""The Grafana dashboard: every panel a question somebody asks in the morning."""

from __future__ import annotations

from typing import Any, Final

_SOURCE: Final = '{source=~"$source"}'
_WIDTH: Final = 24
"""Of a dashboard, in Grafana's columns."""

_STATS: Final = (
    # title, expression, unit, thresholds (value, colour) above the first colour
    (
        "Since the last complete harvest",
        f"time() - logminer_last_success_timestamp_seconds{_SOURCE}",
        "s",
        ((93_600, "red"),),
    ),
    (
        "Exit code of the last run",
        f"logminer_last_run_exit_code{_SOURCE}",
        "none",
        ((1, "red"), (3, "orange"), (4, "red"), (75, "orange")),
    ),
    (
        "Oldest job that waits to be read",
        f"time() - logminer_oldest_queued_job_timestamp_seconds{_SOURCE}",
        "s",
        ((86_400, "orange"), (172_800, "red")),
    ),
    (
        "Logs of no known runner",
        f"logminer_last_run_unrecognised_ratio{_SOURCE}",
        "percentunit",
        ((0.01, "orange"), (0.05, "red")),
    ),
)

_SERIES: Final = (
    # title, unit, (expression, legend) …
    (
        "Jobs by what became of their logs",
        "none",
        ((f"logminer_last_run_jobs{_SOURCE}", "{{source}} {{trace_state}}"),),
    ),
    (
        "Requests by endpoint and status",
        "none",
        (
            (f"logminer_last_run_requests{_SOURCE}", "{{source}} {{endpoint}} {{status}}"),
            (f"logminer_last_run_rate_limited_requests{_SOURCE}", "{{source}} answered 429"),
        ),
    ),
    (
        "Backlog",
        "none",
        (
            (f"logminer_queued_jobs{_SOURCE}", "{{source}} queued"),
            (f"logminer_open_jobs{_SOURCE}", "{{source}} not ended"),
        ),
    ),
    (
        "Image uses found",
        "none",
        (
            (f"logminer_last_run_image_uses{_SOURCE}", "{{source}}"),
            (f"logminer_last_run_jobs_without_image{_SOURCE}", "{{source}} jobs without any"),
        ),
    ),
    (
        "Duration",
        "s",
        ((f"logminer_last_run_duration_seconds{_SOURCE}", "{{source}}"),),
    ),
    (
        "Received",
        "bytes",
        ((f"logminer_last_run_received_bytes{_SOURCE}", "{{source}}"),),
    ),
    (
        "Left in the server's limit",
        "none",
        ((f"logminer_rate_limit_remaining_requests{_SOURCE}", "{{source}}"),),
    ),
    (
        "Failures and projects",
        "none",
        (
            (f"logminer_last_run_failures{_SOURCE}", "{{source}} failures"),
            (f"logminer_last_run_projects{_SOURCE}", "{{source}} projects {{outcome}}"),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it; it asks for a Prometheus data source."""
    panels = [_stat(number, *stat) for number, stat in enumerate(_STATS)]
    panels += [_series(number, *series) for number, series in enumerate(_SERIES)]
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    return {
        "title": "logminer",
        "uid": "logminer",
        "tags": ["logminer", "gitlab", "ci"],
        "schemaVersion": 39,
        "editable": True,
        "timezone": "utc",
        "time": {"from": "now-30d", "to": "now"},
        "refresh": "",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "source",
                    "type": "query",
                    "datasource": _DATASOURCE,
                    "query": "label_values(logminer_build_info, source)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                },
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def _stat(
    number: int, title: str, expression: str, unit: str, thresholds: tuple[tuple[float, str], ...]
) -> dict[str, Any]:
    """Return a figure in a row of four."""
    width = _WIDTH // len(_STATS)
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in thresholds]
    return _panel("stat", title, unit, ((expression, "{{source}}"),), steps) | {
        "gridPos": {"h": 5, "w": width, "x": number * width, "y": 0},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"},
    }


def _series(
    number: int, title: str, unit: str, targets: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    """Return a graph, two in a row."""
    width, height = _WIDTH // 2, 8
    x, y = number % 2 * width, 5 + number // 2 * height
    return _panel("timeseries", title, unit, targets, [{"color": "green", "value": None}]) | {
        "gridPos": {"h": height, "w": width, "x": x, "y": y},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
    }


def _panel(
    kind: str,
    title: str,
    unit: str,
    targets: tuple[tuple[str, str], ...],
    steps: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "datasource": _DATASOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": "ABCDEFGH"[n], "expr": expression, "legendFormat": legend, "instant": False}
            for n, (expression, legend) in enumerate(targets)
        ],
    }
