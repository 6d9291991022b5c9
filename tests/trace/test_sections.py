"""Which section is open: read backward from where somebody asks, the same as read forward."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logminer.trace import Extractor
from logminer.trace.sections import Marker, Sections

NAMES = ["prepare_executor", "get_sources", "step_script", "step_release", "my_own_section"]
MARKERS = st.lists(
    st.builds(
        Marker,
        name=st.sampled_from(NAMES),
        start=st.booleans(),
        time=st.integers(0, 9),
    ),
    max_size=12,
)


@given(MARKERS, MARKERS)
def test_backward_is_forward(before: list[Marker], after: list[Marker]) -> None:
    """In one look or in two: a start opens, its own end closes, and a script's own mean nothing."""
    sections = Sections()
    sections.take_back(reversed(before))
    sections.take_back(reversed(after))

    expected, time = None, None
    for marker in before + after:
        if marker.name == "my_own_section":
            continue
        time = marker.time
        if marker.start:
            expected = marker.name
        elif marker.name == expected:
            expected = None
    moment = None if time is None else dt.datetime(1970, 1, 1, 0, 0, time, tzinfo=dt.UTC)
    assert (sections.open, sections.time) == (expected, moment)


@pytest.mark.parametrize(
    ("name", "begins"),
    [("prepare_script", False), ("get_sources", True), ("step_x", True), ("archive_cache", False)],
)
def test_what_begins_the_run(name: str, begins: bool) -> None:  # noqa: FBT001 -- a table's column
    """Sections after the preparation need the job's containers; only their start says so."""
    assert Marker(name=name, start=True, time=None).begins_run is begins
    assert not Marker(name=name, start=False, time=None).begins_run


def test_a_marker_that_was_passed_over_is_a_border() -> None:
    """The first section of the running job ends the preparation, though no line stands in it."""
    extractor = Extractor()
    extractor.feed(b"\x1b[0KRunning with gitlab-runner 17.4.0 (a1b2c3d4)\x1b[0;m\n")
    assert not extractor.prepared
    extractor.feed(b"section_start:1768988832:get_sources\r\x1b[0K\n")

    assert extractor.prepared
