"""Real logs, labelled by people who read them: every image with its role, and no false row."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from logminer.reference import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from logminer.trace import Extraction

REAL = Path(__file__).parents[3] / "shared" / "real-traces"
LABELS = REAL / "index.tsv"
LABEL = re.compile(
    r"(?P<role>\w+)(?:\((?P<state>[^)]*)\))?=(?P<image>[^@;]+)(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
STATES = {"failed": "failed", "never ran": "declared", "declared": "declared"}

DAMAGED = {
    "docker-9.5-alpine-wrapped.log": {
        # The helper's line was wrapped behind its ID: the rest of the sentence is another line.
        "helper": "sha256:15db13e05d8cd647a9c25273cd9ebfc522db1b25fb9928853d21aa91d2ae7295",
    },
    "docker-18.6-one-line-markdown.log": {
        # The whole log on one line, with Markdown escapes: no sentence begins or ends.
        "job": "docker:latest",
        "helper": "sha256:54e6bb7e83797064b15abaf06223c9083f9e7b807d7046c13920150573a66d97",
    },
    "docker-machine-1.10-lines-joined.log": {
        # Four sentences of the runner on one line: what is the image and what the next sentence?
        "job": "joyzoursky/python-chromedriver:3.5",
    },
    "k8s-18.6-wrapped-terminal-paste.log": {
        # Wrapped at 80 columns: the image stands alone on a line, without its sentence.
        "job": "319312831725.dkr.ecr.us-west-2.amazonaws.com/appflow-runners/linux:2025.11",
    },
}
"""Labels that cannot be found, because the copy is damaged, and how."""

pytestmark = pytest.mark.skipif(not LABELS.exists(), reason=f"no labelled logs at {REAL}")


def labelled() -> list[dict[str, str]]:
    """Load the labels; none where there are no logs."""
    if not LABELS.exists():
        return []
    with LABELS.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def canonical(image: str) -> str:
    """Return one spelling for all of an image: labels are written as people write."""
    reference = parse(image)
    return reference.reference if reference else image


@pytest.mark.parametrize("row", labelled(), ids=lambda row: row["file"])
def test_every_image_with_its_role_and_no_other(
    row: dict[str, str],
    read: Callable[[bytes], Extraction],
    feed: Callable[[bytes, Sequence[int]], Extraction],
) -> None:
    """What the label says is what is found; digests, too, where the label has one."""
    trace = (REAL / row["file"]).read_bytes()
    damaged = DAMAGED.get(row["file"], {})
    labels = [LABEL.fullmatch(label) for label in row["images"].split(";") if label]
    if len(trace) < 300_000:
        extraction = read(trace)
    else:
        extraction = feed(trace, range(65_536, len(trace), 65_536))
        assert feed(trace, []) == extraction
    uses = {(use.role.value, canonical(use.image)): use for use in extraction.uses}

    assert None not in labels
    expected = [label for label in labels if label and damaged.get(label["role"]) != label["image"]]
    assert set(uses) == {(label["role"], canonical(label["image"])) for label in expected}
    for label in expected:
        use = uses[label["role"], canonical(label["image"])]
        if label["digest"]:
            assert use.digest == label["digest"]
        if label["state"]:
            assert use.outcome.value == STATES[label["state"].partition(",")[0]]
        elif use.outcome.value not in {"pulled", "present", "used"}:
            assert row["file"] == "docker-machine-12.3-elided.log"  # cut before the job ran


@pytest.mark.skipif(not LABELS.exists(), reason="the damaged logs are among the labelled ones")
def test_damaged_logs_are_still_there() -> None:
    """No excuse outlives its reason."""
    assert set(DAMAGED) <= {row["file"] for row in labelled()}
