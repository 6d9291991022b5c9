"""Bytes in, image uses out: the one door of this room.

    extractor = Extractor()
    for chunk in chunks:
        extractor.feed(chunk)
    extraction = extractor.finish()

How it works.
A scanner finds where one of the rules' literals stands; framing finds the drawing around that
place; the first rule that reads the drawing's text decides what it is; who may have printed it
decides whether it is believed; the rest is folding.
Bytes between hits are scanned and counted, never looked at.

Who printed a line (design.md, grammar 1.3):

* With timestamps: stream 00 is the runner, whatever else the line looks like.
* Without: only what stands before the job's containers run ("Running on … via …", or the first
  section that is not preparation) and wears the logger's exact dress.
  A script can imitate both dress and markers, so that border is crossed once and never back.
  Afterwards the runner's wording only strengthens rows it made.
* A log without its head (a pasted excerpt) has no dress to compare with: there the border alone
  decides, and after the title of the script only a block of the runner's own lines, line after
  line, is still the runner's.

What cannot be decided is the script's, and a script's imitation of the runner is no row at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from logminer.model import TraceSummary
from logminer.reference import Upstreams
from logminer.trace import framing
from logminer.trace.fold import Evidence, Row, Rows, text
from logminer.trace.framing import RUNNER_STREAM, SERVICE_STREAM
from logminer.trace.lines import Line, Lines
from logminer.trace.rules import RULES, Dress, Rule, Speaker
from logminer.trace.runner import STRENGTHENING, RunnerLines
from logminer.trace.scanner import SHARING
from logminer.trace.script import ScriptLines
from logminer.trace.sections import marker_of
from logminer.trace.sighting import MAX_TEXT, Sighting, Verdict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from logminer.model import ImageUse

VERSION: Final = "1"
"""Rises with every change that can make a row differ; stands in each row as `extractor_version`."""

_HEAD_LINES: Final = 10
"""The header is a trace's first line; pasted copies have a few of their own before it."""

_LIMIT_SIZE: Final = 256
"""Bytes from the notice of the limit to the end: both its sentences and their colours."""

_HEARD: Final = frozenset({Verdict.RUNNER, Verdict.SCRIPT})

_KUBERNETES: Final = "kubernetes"
_EXECUTORS: Final = frozenset(
    {
        "docker",
        "docker-autoscaler",
        "docker+machine",
        "docker-ssh",
        "docker-ssh+machine",
        "docker-windows",
        "custom",
        "instance",
        "kubernetes",
        "parallels",
        "shell",
        "ssh",
        "virtualbox",
    }
)
"""Every executor that GitLab ships or shipped; another name is a fork's."""
_SPENT: Final = frozenset(
    sharing
    for sharing in SHARING
    if all(
        RULES[index].speaker is Speaker.RUNNER and RULES[index].name not in STRENGTHENING
        for index in sharing
    )
)
"""Rules that say nothing new behind the border where the log has no timestamps."""

_EXECUTOR_OF: Final = {"docker.job": "docker", "kubernetes.job": _KUBERNETES}
"""Up to 12.8 no title names the executor; these lines do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What one trace tells."""

    summary: TraceSummary
    uses: tuple[ImageUse, ...]


class _Reading(NamedTuple):
    """A line, and the rule that read it."""

    rule: Rule
    match: re.Match[bytes]
    dress: Dress | None
    """None where only the words count."""
    line: Line

    @property
    def ends_in_image(self) -> bool:
        """Whether what is taken for an image reaches to the line's end: a cut would not show."""
        match = self.match
        return "image" in match.re.groupindex and match.end("image") == len(match.string)

    @property
    def stream(self) -> bytes:
        """The stream that the timestamps name; empty where a line has none."""
        return self.line.drawing.stream or b""


class Extractor:
    """Reads one trace. Never raises on any bytes; holds a bounded part of them."""

    def __init__(
        self,
        upstreams: Upstreams | None = None,
        *,
        observe: Callable[[Sighting], None] | None = None,
    ) -> None:
        """Prepare to read.

        `upstreams` are the proxies to see through, GitLab's own by default.
        `observe` is told of each line that a rule reads, in the order in which they are decided.
        """
        self._upstreams = upstreams or Upstreams.default()
        self._observe = observe
        self._lines = Lines()
        self._rows = Rows()
        self._runner = RunnerLines(self._rows)
        self._script = ScriptLines(self._rows)

        self._version: str | None = None
        self._executor: str | None = None
        self._dressed = False
        """Whether the header wore the logger's dress: then everything of the runner's must."""
        self._header_seen = False
        self._ran = False
        """Whether the border to the script is crossed."""
        self._excerpt_line: int | None = None
        """In a log without its head: the line up to which the runner's block in the script
        section reaches."""
        self._limit: tuple[int, int] | None = None
        """Line and offset of the last notice that the log exceeded its limit."""
        self._held: tuple[_Reading, Evidence] | None = None
        """A reading that reaches to the end of its line: not believed if the log is cut there."""
        self._frame = {
            "runner.header": self._take_header,
            "runner.section": self._enter,
            "runner.executor": self._take_executor,
            "runner.ran": self._take_start,
            "runner.script": self._begin_script,
            "runner.limit": self._reach_limit,
        }

    @property
    def prepared(self) -> bool:
        """Whether the runner's preparation is over: what follows is the job's script."""
        return self._ran

    def feed(self, chunk: bytes) -> None:
        """Read on; where the chunk ends in the trace never shows in the result."""
        for line in self._lines.feed(chunk):
            self._read(line)
        self._look_for_border()

    def finish(self) -> Extraction:
        """End the trace: the last line counts though no LF ends it."""
        for line in self._lines.finish():
            self._read(line)
        self._look_for_border()
        window = self._lines.window
        truncated = self._limit is not None and window.size - self._limit[1] <= _LIMIT_SIZE
        held = self._held
        if truncated and self._limit and held and held[1].line == self._limit[0] - 1:
            self._report(held[0], Verdict.CUT, None)
        else:
            self._release()
        self._runner.settle()
        return Extraction(
            summary=TraceSummary(
                runner_version=self._version,
                executor=self._executor,
                recognised=self._header_seen and self._executor in _EXECUTORS,
                truncated=truncated,
                bytes=window.size,
                lines=window.lines(),
                cut_lines=window.cut_lines + self._lines.cut_chains,
            ),
            uses=self._rows.uses(self._upstreams),
        )

    # -- from lines to rows ----------------------------------------------------------------------

    def _read(self, line: Line) -> None:
        """Let the first rule that reads the line have it."""
        self._look_for_border()
        if self._is_deaf and line.rules in _SPENT:
            return
        bare = dressed = dress = None
        for index in line.rules:
            rule = RULES[index]
            if rule.speaker is Speaker.RUNNER and self._dressed:
                if dressed is None:
                    dressed, dress = framing.undress(line.body)
                match = rule.read.match(dressed)
            else:
                if bare is None:
                    bare = framing.strip(line.body)
                anywhere = rule.speaker is Speaker.SCRIPT
                match = rule.read.search(bare) if anywhere else rule.read.match(bare)
            if match is not None:
                self._decide(_Reading(rule, match, dress, line))
                return

    def _look_for_border(self) -> None:
        """Cross the border if a marker that was passed over has."""
        if not self._ran:
            self._lines.section()
            if self._lines.sections.running:
                self._begin_to_run()

    @property
    def _is_deaf(self) -> bool:
        """Whether most of the runner's wordings cannot matter any more: a script may forge them."""
        return (
            self._ran
            and not self._lines.stamped
            and self._excerpt_line is None
            and self._observe is None
        )

    def _decide(self, reading: _Reading) -> None:
        """Decide who speaks, and hand the line on if he may."""
        held = self._held
        if held is not None and not (
            reading.rule.name == "runner.limit" and held[1].line == reading.line.number - 1
        ):
            self._release()
        verdict = self._verdict(reading)
        if verdict not in _HEARD:
            self._report(reading, verdict, None)
        elif reading.rule.speaker is Speaker.ANYONE:
            self._report(reading, verdict, None)
            self._frame[reading.rule.name](reading.match, reading.line)
        elif not reading.ends_in_image:
            self._fold(reading, self._evidence(reading))
        elif reading.line.cut:
            self._report(reading, Verdict.CUT, None)
        else:
            self._held = reading, self._evidence(reading)

    def _evidence(self, reading: _Reading) -> Evidence:
        """Say where a line stands, for the row that it may decide."""
        line = reading.line
        return Evidence(
            rule=reading.rule.name,
            section=self._lines.section(),
            line=line.number,
            offset=line.offset,
            seen_at=self._seen_at(line),
        )

    def _release(self) -> None:
        """Believe the reading that was held back: its line was whole."""
        if self._held is not None:
            held, self._held = self._held, None
            self._fold(*held)

    def _fold(self, reading: _Reading, evidence: Evidence) -> None:
        """Fold a line that is believed."""
        rule, match = reading.rule, reading.match
        if rule.speaker is Speaker.SCRIPT:
            verdict = Verdict.SCRIPT
            row = self._script.handlers[rule.name](match, evidence)
        elif self._ran and not self._lines.stamped and self._excerpt_line is None:
            verdict = Verdict.AFTER_BORDER
            row = self._runner.strengthen(rule.name, match, evidence)
        else:
            verdict = Verdict.RUNNER
            if self._executor is None and rule.name in _EXECUTOR_OF:
                self._executor = _EXECUTOR_OF[rule.name]
            self._runner.kubernetes = self._executor == _KUBERNETES
            row = self._runner.handlers[rule.name](match, evidence)
        self._report(reading, verdict, row)

    def _report(self, reading: _Reading, verdict: Verdict, row: Row | None) -> None:
        """Tell the observer, if there is one."""
        if self._observe is None:
            return
        line = reading.line
        self._observe(
            Sighting(
                line=line.number,
                offset=line.offset,
                section=self._lines.section(),
                stream=text(reading.stream) or None,
                rule=reading.rule.name,
                text=text(framing.plain(line.body))[:MAX_TEXT],
                verdict=verdict,
                ordinal=self._rows.ordinal(row) if row else None,
                role=row.role if row else None,
                image=row.image if row else None,
            )
        )

    # -- who speaks ------------------------------------------------------------------------------

    def _verdict(self, reading: _Reading) -> Verdict:
        """Decide who printed a line."""
        if reading.rule.speaker is Speaker.SCRIPT:
            return self._verdict_on_script(reading)
        if not self._ran and not self._lines.may_speak(reading.line.drawing):
            return Verdict.NOT_ALONE
        if reading.rule.speaker is Speaker.ANYONE:
            return self._verdict_on_frame(reading)
        return self._verdict_on_runner(reading)

    def _verdict_on_frame(self, reading: _Reading) -> Verdict:
        """Decide whether a marker, a title or a border is one.

        The notice of the limit is printed past the logger; "Running on" by a script of the runner's
        own, in the job's container.
        """
        name, stream = reading.rule.name, reading.stream
        if not self._lines.stamped:
            return Verdict.RUNNER
        if name == "runner.limit":
            believed = not stream
        elif name == "runner.ran":
            believed = not stream.startswith(SERVICE_STREAM)
        else:
            believed = stream.startswith(RUNNER_STREAM)
        return Verdict.RUNNER if believed else Verdict.WRONG_STREAM

    def _verdict_on_runner(self, reading: _Reading) -> Verdict:
        """Decide whether the runner printed a line, and has an executor that says such things."""
        if not self._has_executor_for(reading.rule):
            return Verdict.WRONG_EXECUTOR
        if self._lines.stamped:
            runners = reading.stream.startswith(RUNNER_STREAM)
            return Verdict.RUNNER if runners else Verdict.WRONG_STREAM
        if self._dressed and reading.dress is not reading.rule.dress:
            return Verdict.NOT_DRESSED
        if self._excerpt_line is not None:
            # Nothing but the runner's own block, line after line, follows the title of the script.
            if reading.line.number > self._excerpt_line + 1:
                self._excerpt_line = None
                return Verdict.AFTER_BORDER
            self._excerpt_line = reading.line.number
        return Verdict.RUNNER

    def _has_executor_for(self, rule: Rule) -> bool:
        """Whether the job's executor prints this rule's lines; any may where none is known."""
        executor = self._executor
        if executor is None:
            return True
        if rule.name.startswith("kubernetes."):
            return executor == _KUBERNETES
        if rule.name.startswith("docker."):
            return executor.startswith("docker")
        return executor == _KUBERNETES or executor.startswith("docker")

    def _verdict_on_script(self, reading: _Reading) -> Verdict:
        """Decide whether the job's script printed a line: not the runner, not a service."""
        if self._lines.stamped:
            others = (RUNNER_STREAM, SERVICE_STREAM)
            return Verdict.WRONG_STREAM if reading.stream.startswith(others) else Verdict.SCRIPT
        if self._dressed and not self._ran:
            return Verdict.BEFORE_BORDER
        service = reading.match.string.startswith(b"[service:")
        return Verdict.SERVICE if service else Verdict.SCRIPT

    # -- frame: header, sections, borders --------------------------------------------------------

    def _take_header(self, match: re.Match[bytes], line: Line) -> None:
        """Take the first header near the top; any other is a nested runner's."""
        if not self._header_seen and line.number <= _HEAD_LINES:
            self._header_seen = True
            self._version = text(match["version"])
            dress = framing.undress(line.body)[1]
            self._dressed = not self._lines.stamped and dress is Dress.PRINT
            self._lines.exact = self._dressed
            # It is known now how the runner prints; an observer is shown every marker.
            self._lines.passing = self._observe is None

    def _take_executor(self, match: re.Match[bytes], _line: Line) -> None:
        """Take the executor's name from its title or from its own first line."""
        if self._executor is None and not self._ran:
            self._executor = text(match["title"] or match["instance"] or match["plain"].lower())

    def _begin_to_run(self) -> None:
        """Cross the border: from here on the job's script may print whatever it likes."""
        if not self._ran:
            self._ran = self._lines.sections.running = True
            self._runner.ran()

    def _take_start(self, _match: re.Match[bytes], _line: Line) -> None:
        """Cross the border at "Running on": the job's containers say so themselves."""
        self._begin_to_run()

    def _begin_script(self, _match: re.Match[bytes], line: Line) -> None:
        """Cross the border at the title of the script."""
        if not self._header_seen and not self._ran:
            self._excerpt_line = line.number
        self._begin_to_run()

    def _enter(self, match: re.Match[bytes], _line: Line) -> None:
        """Take a section marker: the first of a running job's is the border to the script."""
        marker = marker_of(match, stamped=self._lines.stamped)
        self._lines.enter(marker)
        if marker.begins_run:
            self._begin_to_run()

    def _reach_limit(self, _match: re.Match[bytes], line: Line) -> None:
        """Remember the notice: only if nothing follows was the log really cut."""
        self._limit = (line.number, line.offset)

    def _seen_at(self, line: Line) -> dt.datetime | None:
        """Return when the line was printed; without timestamps, when its section began or ended."""
        stamp = line.drawing.stamp
        if stamp is None:
            return self._lines.sections.time
        return framing.stamped_at(stamp, whole_seconds=_pads_wrongly(self._version))


def _pads_wrongly(version: str | None) -> bool:
    """Whether this runner prints damaged microseconds: 16.11 to 18.3."""
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    return numbers is None or (int(numbers[1]), int(numbers[2])) < (18, 4)
