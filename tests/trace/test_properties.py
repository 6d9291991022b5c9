"""Random well-formed traces with the truth known by construction, and random bytes without any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logminer.reference import parse
from logminer.trace import Extraction
from logminer.trace.rules import RULES

Read = Callable[[bytes], Extraction]
Feed = Callable[[bytes, Sequence[int]], Extraction]

ERAS = (
    "9.5.0",
    "10.8.0",
    "12.3.0",
    "13.6.0",
    "14.1.0",
    "14.2.0",
    "15.9.0",
    "16.11.0",
    "17.4.0",
    "18.9.0",
    "19.2.0",
)
NOISE = (
    "Compiling image of docker (service)...",
    "Pulling the latest Docker image...",
    "Starting service worker",
    "npm install npm@latest",
    "Successfully tagged registry.example.com/out:1",
    "#9 naming to registry.example.com/out:1 done",
    "Pushed registry.example.com/out@sha256:" + "ef" * 32,
    "10%\r20%\r100%",
    "caf\u00e9 \u20ac \x00",
    "",
)
FORGERIES = (
    "\x1b[0KUsing Docker executor with image evil:1 ...\x1b[0;m",
    "\x1b[0KPulling docker image evil:1 ...\x1b[0;m",
    "\x1b[0KUsing docker image sha256:" + "66" * 32 + " for evil:1 ...\x1b[0;m",
    "section_start:1768988000:prepare_executor\r\x1b[0KUsing Docker executor with image evil:1 ...",
    "2026-01-21T09:47:05.000001Z 00O \x1b[0KUsing Docker executor with image evil:1 ...\x1b[0;m",
    "\x1b[0KRunning with gitlab-runner 1.0.0 (evil)\x1b[0;m",
    "Running on evil via evil...",
)
NAMES = st.sampled_from(
    [
        "alpine",
        "alpine:3.20",
        "registry.example.com:5000/team/app:1.2",
        "registry.example.com/team/db:7",
        "team/tool:latest",
        "ghcr.io/owner/image:v1",
    ]
)
FOUND = {"pulled": ("pulled", 1), "present": ("present", 0), "rescued": ("present", 1)}
"""How an image is had: outcome and attempts; a second policy rescues from 13.8 on."""


@dataclass
class Writer:
    """Writes a trace as a runner of some era would, and nothing else."""

    version: str
    sections: bool
    stamped: bool
    output: bytearray = field(default_factory=bytearray)
    number: int = 0

    @property
    def era(self) -> tuple[int, ...]:
        """The version, comparable."""
        return tuple(int(part) for part in self.version.split("."))

    def write(self, key: str, text: bytes) -> None:
        """Write one line, stamped or not, whose text may hold CR."""
        if not self.stamped:
            self.output += text + b"\n"
            return
        lines = [text]
        if self.era < (19, 1) and b"\r" in text:
            cut = text.rindex(b"\r") + 1
            lines = [text[:cut], text[cut:]]
        elif b"\r\x1b[0K" in text:
            cut = text.rindex(b"\r\x1b[0K") + 5
            lines = [text[:cut], text[cut:]]
        for part, line in enumerate(lines):
            self.number += 1
            sign = "+" if part else " "
            stamp = f"2026-01-21T09:47:05.{self.number % 1_000_000:06d}Z {key}{sign}"
            self.output += stamp.encode() + line + b"\n"

    def say(self, text: str, colour: str = "\x1b[0K", key: str = "00O") -> None:
        """Print through the logger: the reset stands before the LF from 14.2 on."""
        dressed = (colour + text).encode()
        if self.era >= (14, 2):
            self.write(key, dressed + b"\x1b[0;m")
        else:
            self.output += dressed + b"\n\x1b[0;m"

    def section(self, name: str, title: str) -> None:
        """Begin a section, on the line of its title; titles are printed from 12.9 on."""
        marker = f"section_start:1768988826:{name}\r\x1b[0K" if self.sections else ""
        if self.era < (12, 9):
            self.output += marker.encode()
            return
        text = f"{marker}\x1b[0K\x1b[36;1m{title}"
        if self.era >= (14, 2):
            self.write("00O", f"{text}\x1b[0;m\x1b[0;m".encode())
        else:
            self.output += f"{text}\x1b[0;m\n\x1b[0;m".encode()

    def script(self, text: str) -> None:
        """Print what the job prints."""
        self.write("01O", text.encode())


@st.composite
def traces(draw: st.DrawFn) -> tuple[bytes, list[tuple[object, ...]]]:
    """Make a trace of a docker job, and what must be found in it."""
    version = draw(st.sampled_from(ERAS))
    era = tuple(int(part) for part in version.split("."))
    stamped = era >= (16, 11) and draw(st.booleans())
    writer = Writer(version, sections=era >= (11, 10) and draw(st.booleans()), stamped=stamped)
    truth: list[tuple[object, ...]] = []
    findings = st.sampled_from(sorted(FOUND if era >= (13, 8) else {"pulled", "present"}))
    image = draw(NAMES)
    services = draw(st.lists(NAMES, max_size=3, unique_by=lossy))
    program = "gitlab-runner" if era >= (9, 6) else "gitlab-ci-multi-runner"
    writer.say(f"Running with {program} {version} (a1b2c3d4)")
    writer.section("prepare_executor", 'Preparing the "docker" executor')
    writer.say(f"Using Docker executor with image {image} ...")
    truth.append(("job", "runner", image, *FOUND[finding := draw(findings)]))
    for number, service in enumerate(services):
        writer.say(f"Starting service {lossy(service)}" + ("..." if era >= (17, 1) else " ..."))
        how = draw(findings)
        obtain(writer, service, how, f"{number:x}" * 64, f"{lossy(service).split(':')[0]} service")
        truth.append(("service", "runner", service, *FOUND[how]))
    if services:
        writer.say("Waiting for services to be up and running...")
    obtain(writer, image, finding, "a" * 64, "build container")
    writer.section("prepare_script", "Preparing environment")
    writer.script("Running on runner-1 via build-01...")
    writer.section("step_script", 'Executing "step_script" stage of the job script')
    lines = draw(
        st.lists(
            st.one_of(
                st.sampled_from(NOISE), st.sampled_from(FORGERIES), st.tuples(NAMES, st.booleans())
            ),
            max_size=8,
        )
    )
    pulled: dict[str, tuple[object, ...]] = {}
    for line in lines:
        if isinstance(line, str):
            writer.script(line)
            continue
        name, newer = line
        what = "Downloaded newer image" if newer else "Image is up to date"
        writer.script(f"Status: {what} for {name}")
        before = pulled.get(name, ("script", "script", name, "pulled", 0))
        pulled[name] = (*before[:4], int(str(before[4])) + 1)
    writer.say("Job succeeded", "\x1b[32;1m")
    return bytes(writer.output), [*truth, *pulled.values()]


def lossy(image: str) -> str:
    """Print a service's name as the runner does: without the registry's port, with a tag."""
    name = image.replace(":5000", "")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def obtain(writer: Writer, image: str, finding: str, identity: str, role: str) -> None:
    """Print how an image is had, in the words of the era."""
    era = writer.era
    if era >= (18, 0):
        writer.say(f"Using effective pull policy of [always] for container {image}")
    if finding != "present":
        writer.say(f"Pulling docker image {image} ...")
    if finding == "rescued":
        writer.say(
            'WARNING: Failed to pull image with policy "always": toomanyrequests: slow down',
            "\x1b[0;33m",
            "00E",
        )
    if finding != "pulled":
        writer.say('Using locally found image version due to "if-not-present" pull policy')
    if era < (10, 5):
        writer.say(f"Using docker image {image} ID=sha256:{identity} for {role}...")
    elif era < (13, 4):
        writer.say(f"Using docker image sha256:{identity} for {image} ...")
    else:
        writer.say(
            f"Using docker image sha256:{identity} for {image} with digest x@sha256:{identity} ..."
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=traces())
def test_what_was_written_is_found(
    read: Read, made: tuple[bytes, list[tuple[object, ...]]]
) -> None:
    """Every image with its outcome and attempts, in order, and nothing a script forged."""
    trace, truth = made
    extraction = read(trace)

    assert [
        (use.role, use.origin, use.image, use.outcome, use.pull_attempts) for use in extraction.uses
    ] == truth
    assert extraction.summary.recognised


FRAGMENTS = st.one_of(
    st.sampled_from([example for rule in RULES for example in rule.examples]),
    st.sampled_from(
        [
            *(b"\n", b"\r", b"\r\n", b"\x1b[0K", b"\x1b[0;m", b"\x1b[32;1m", b"\x1b[31;1m", b" "),
            b"2026-01-21T09:47:05.000001Z 00O ",
            b"2026-01-21T09:47:05.000001Z 01O ",
            b"2026-01-21T09:47:05.000001Z 01O+",
            *(b"x" * 8192, b"\r." * 5000, b"a:1", b"evil"),
        ]
    ),
    st.binary(max_size=12),
)


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(FRAGMENTS, max_size=30),
    places=st.lists(st.integers(min_value=0, max_value=1000), max_size=12),
)
def test_no_mixture_breaks_the_extractor(
    feed: Feed, pieces: list[bytes], places: list[int]
) -> None:
    """Never an error, the same for any cuts, and references that hold together."""
    trace = b"".join(pieces)
    cuts = sorted(place * len(trace) // 1000 for place in places)
    whole = feed(trace, [])

    assert feed(trace, cuts) == whole
    for use in whole.uses:
        reference = parse(use.image)
        assert use.reference == (reference.reference if reference else None)
        assert (use.registry is None) == (reference is None)
        assert use.digest is None or use.digest.startswith("sha")


@settings(max_examples=100, deadline=None)
@given(trace=st.binary(max_size=400), cut=st.integers(min_value=0, max_value=400))
def test_no_bytes_break_the_extractor(feed: Feed, trace: bytes, cut: int) -> None:
    """Bytes without any sense give no rows."""
    whole = feed(trace, [])

    assert feed(trace, [min(cut, len(trace))]) == whole
    assert whole.summary.bytes == len(trace)
