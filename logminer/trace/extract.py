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
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from logminer.model import TraceSummary
from logminer.reference import Upstreams
from logminer.trace import framing
from logminer.trace.fold import Evidence, Row, Rows, text
from logminer.trace.framing import RUNNER_STREAM, SERVICE_STREAM
from logminer.trace.lines import Line, Lines
from logminer.trace.reading import SHORT, Reading, read, remembered
from logminer.trace.rules import RULES, Dress, Speaker
from logminer.trace.runner import HANDLERS as RUNNERS
from logminer.trace.runner import STRENGTHENING, RunnerLines
from logminer.trace.scanner import SHARING
from logminer.trace.script import HANDLERS as SCRIPTS
from logminer.trace.script import ScriptLines
from logminer.trace.sections import marker_of
from logminer.trace.sighting import MAX_TEXT, Sighting, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from logminer.model import ImageUse

VERSION: Final = "2"
"""Rises with every change that can make a row differ; stands in each row as `extractor_version`."""

_HEAD_LINES: Final = 10
"""The header is a trace's first line; pasted copies have a few of their own before it."""

_LIMIT_SIZE: Final = 256
"""Bytes from the notice of the limit to the end: both its sentences and their colours."""

# Up to Python 3.11 a look at a member costs as much as a call, and these are asked of each line.
_ANYONES: Final = Speaker.ANYONE
_RUNNERS: Final = Speaker.RUNNER
_SCRIPTS: Final = Speaker.SCRIPT
_OF_RUNNER: Final = Verdict.RUNNER
_OF_SCRIPT: Final = Verdict.SCRIPT

_BUILT_IN: Final = Upstreams.default()
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
_BEFORE: Final = frozenset({"runner.executor", "runner.ran", "runner.script"})
"""Rules of the preamble: behind the border they say nothing new."""
_SPENT: Final = {
    stamped: frozenset(
        sharing
        for sharing in SHARING
        if all(
            RULES[index].name in _BEFORE
            or (
                not stamped
                and RULES[index].speaker is Speaker.RUNNER
                and RULES[index].name not in STRENGTHENING
            )
            for index in sharing
        )
    )
    for stamped in (False, True)
}
"""What says nothing new behind the border, in logs with timestamps and without."""

_USING: Final = SHARING[next(n for n, rule in enumerate(RULES) if rule.name == "docker.using_for")]
_SPENT_ALL: Final = _SPENT[False] | {_USING}
"""The same where every image of the runner's is known to have been there."""

_EXECUTOR_OF: Final = {"docker.job": "docker", "kubernetes.job": _KUBERNETES}
"""Up to 12.8 no title names the executor; these lines do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What one trace tells."""

    summary: TraceSummary
    uses: tuple[ImageUse, ...]


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
        self._upstreams = upstreams or _BUILT_IN
        self._observe = observe
        self._lines = Lines()
        self._rows = Rows()
        self._runner = RunnerLines(self._rows)
        self._script = ScriptLines(self._rows)

        self._version: str | None = None
        self._whole_seconds = True
        """Whether only the seconds of the timestamps are right; so where the runner is unknown."""
        self._executor: str | None = None
        self._families: frozenset[str] | None = None
        """Whose wordings the executor prints; None where it is unknown: any then."""
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
        self._held: tuple[Reading, Line, Evidence] | None = None
        """A reading that reaches to the end of its line: not believed if the log is cut there."""

    @property
    def prepared(self) -> bool:
        """Whether the runner's preparation is over: what follows is the job's script."""
        return self._ran

    def feed(self, chunk: bytes) -> None:
        """Read on; where the chunk ends in the trace never shows in the result."""
        self._lines.feed(chunk, self._read)
        self._look_for_border()

    def finish(self) -> Extraction:
        """End the trace: the last line counts though no LF ends it."""
        self._lines.finish(self._read)
        self._look_for_border()
        window = self._lines.window
        truncated = self._limit is not None and window.size - self._limit[1] <= _LIMIT_SIZE
        held = self._held
        if truncated and self._limit and held and held[2].line == self._limit[0] - 1:
            self._report(held[0], held[1], Verdict.CUT, evidence=held[2])
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
        """Let the first rule that reads the line have it, if whoever speaks there may."""
        if not self._ran and self._lines.sections.running:
            self._begin_to_run()
        body = line.body
        if len(body) <= SHORT:
            reading = remembered(body, line.rules, self._dressed)
        else:
            reading = read(body, line.rules, self._dressed)
        if reading is None:
            return
        if self._held is not None and not self._ends_held(reading, line):
            self._release()
        verdict = self._verdict(reading, line)
        if verdict is not _OF_RUNNER and verdict is not _OF_SCRIPT:
            self._report(reading, line, verdict)
        elif reading.speaker is _ANYONES:
            self._report(reading, line, verdict)
            _FRAME[reading.name](self, reading.match, line)
        elif not reading.ends_in_image:
            self._fold(reading, line)
        elif line.cut:
            self._report(reading, line, Verdict.CUT)
        else:
            self._held = reading, line, self._evidence(reading.name, line)

    def _look_for_border(self) -> None:
        """Cross the border if a marker that was passed over has."""
        if not self._ran and self._lines.sections.running:
            self._begin_to_run()

    @property
    def _behind_border(self) -> bool:
        """Whether most of the runner's wordings cannot matter any more: a script may forge them."""
        return self._ran and not self._lines.stamped and self._excerpt_line is None

    def _evidence(self, rule: str, line: Line) -> Evidence:
        """Say where a line stands, for the row that it may decide.

        Without timestamps it was printed when its section began or ended.
        """
        lines = self._lines
        section = lines.section()
        number, offset = lines.window.place(line.line)
        seen_at = lines.sections.time
        if line.stamp is not None:
            seen_at = framing.stamped_at(line.stamp, whole_seconds=self._whole_seconds)
        return Evidence(rule, section, number, offset, seen_at)

    def _ends_held(self, reading: Reading, line: Line) -> bool:
        """Whether this is the notice of the limit, right behind the line that is held back."""
        return (
            self._held is not None
            and reading.name == "runner.limit"
            and self._held[2].line == self._lines.place(line)[0] - 1
        )

    def _release(self) -> None:
        """Believe the reading that was held back: its line was whole."""
        if self._held is not None:
            held, self._held = self._held, None
            self._fold(*held)

    def _fold(self, reading: Reading, line: Line, evidence: Evidence | None = None) -> None:
        """Fold a line that is believed; the evidence of one that was held back is known."""
        rule, match = reading.name, reading.match
        if reading.speaker is _RUNNERS and self._behind_border:
            verdict = Verdict.AFTER_BORDER
            row, outcome = self._runner.strengthen(rule, match)
            if row is not None and outcome is not None:
                row.reach(outcome, self._evidence(rule, line))
            if self._lines.spent:
                self._listen()
        else:
            evidence = evidence or self._evidence(rule, line)
            if reading.speaker is _SCRIPTS:
                verdict = _OF_SCRIPT
                row = SCRIPTS[rule](self._script, match, evidence)
            else:
                verdict = _OF_RUNNER
                if self._executor is None and rule in _EXECUTOR_OF:
                    self._know_executor(_EXECUTOR_OF[rule])
                row = RUNNERS[rule](self._runner, match, evidence)
        if self._observe is not None:
            self._report(reading, line, verdict, row, evidence)

    def _report(
        self,
        reading: Reading,
        line: Line,
        verdict: Verdict,
        row: Row | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """Tell the observer, if there is one."""
        if self._observe is None:
            return
        evidence = evidence or self._evidence(reading.name, line)
        self._observe(
            Sighting(
                line=evidence.line,
                offset=evidence.offset,
                section=self._lines.section(),
                stream=text(line.stream) or None,
                rule=evidence.rule,
                text=text(framing.plain(line.body))[:MAX_TEXT],
                verdict=verdict,
                ordinal=self._rows.ordinal(row) if row else None,
                role=row.role if row else None,
                image=row.image if row else None,
            )
        )

    # -- who speaks ------------------------------------------------------------------------------

    def _verdict(self, reading: Reading, line: Line) -> Verdict:
        """Decide who printed a line."""
        speaker = reading.speaker
        if speaker is _SCRIPTS:
            return self._verdict_on_script(reading, line)
        if not self._ran and line.begin != line.line and not self._lines.may_speak(line):
            return Verdict.NOT_ALONE
        if speaker is _RUNNERS:
            return self._verdict_on_runner(reading, line)
        return self._verdict_on_frame(reading.name, line) if self._lines.stamped else _OF_RUNNER

    def _verdict_on_frame(self, rule: str, line: Line) -> Verdict:
        """Decide by its stream whether a marker, a title or a border is one.

        The notice of the limit is printed past the logger; "Running on" by a script of the runner's
        own, in the job's container.
        """
        stream = line.stream
        if rule == "runner.limit":
            believed = not stream
        elif rule == "runner.ran":
            believed = not stream.startswith(SERVICE_STREAM)
        else:
            believed = stream.startswith(RUNNER_STREAM)
        return _OF_RUNNER if believed else Verdict.WRONG_STREAM

    def _verdict_on_runner(self, reading: Reading, line: Line) -> Verdict:
        """Decide whether the runner printed a line, and has an executor that says such things."""
        if self._families is not None and reading.rule.who not in self._families:
            return Verdict.WRONG_EXECUTOR
        if self._lines.stamped:
            runners = line.stream.startswith(RUNNER_STREAM)
            return _OF_RUNNER if runners else Verdict.WRONG_STREAM
        if self._dressed and reading.dress is not reading.rule.dress:
            return Verdict.NOT_DRESSED
        if self._excerpt_line is not None:
            # Nothing but the runner's own block, line after line, follows the title of the script.
            number = self._lines.place(line)[0]
            if number > self._excerpt_line + 1:
                self._excerpt_line = None
                return Verdict.AFTER_BORDER
            self._excerpt_line = number
        return _OF_RUNNER

    def _verdict_on_script(self, reading: Reading, line: Line) -> Verdict:
        """Decide whether the job's script printed a line: not the runner, not a service."""
        if self._lines.stamped:
            others = line.stream.startswith((RUNNER_STREAM, SERVICE_STREAM))
            return Verdict.WRONG_STREAM if others else _OF_SCRIPT
        if self._dressed and not self._ran:
            return Verdict.BEFORE_BORDER
        service = reading.match.string.startswith(b"[service:")
        return Verdict.SERVICE if service else _OF_SCRIPT

    # -- frame: header, sections, borders --------------------------------------------------------

    def _take_header(self, match: re.Match[bytes], line: Line) -> None:
        """Take the first header near the top; any other is a nested runner's."""
        if not self._header_seen and self._lines.place(line)[0] <= _HEAD_LINES:
            self._header_seen = True
            self._version = text(match["version"])
            self._whole_seconds = _pads_wrongly(self._version)
            dress = framing.undress(line.body)[1]
            self._dressed = not self._lines.stamped and dress is Dress.PRINT
            self._lines.exact = self._dressed
            # It is known now how the runner prints; an observer is shown its markers.
            self._lines.passing = self._observe is None

    def _take_executor(self, match: re.Match[bytes], _line: Line) -> None:
        """Take the executor's name from its title or from its own first line."""
        if self._executor is None and not self._ran:
            title = match["title"] or match["instance"] or match["plain"].lower()
            self._know_executor(text(title))

    def _know_executor(self, executor: str) -> None:
        """Take the executor: it tells which wordings are the runner's."""
        self._executor = executor
        self._runner.kubernetes = executor == _KUBERNETES
        if executor.startswith("docker"):
            self._families = frozenset({"runner", "docker"})
        elif executor == _KUBERNETES:
            self._families = frozenset({"runner", "kubernetes"})
        else:
            self._families = frozenset()

    def _begin_to_run(self) -> None:
        """Cross the border: from here on the job's script may print whatever it likes."""
        if not self._ran:
            self._lines.section()  # before, while markers are still held to the runner's ways
            self._ran = self._lines.sections.running = True
            self._runner.ran()
            if self._excerpt_line is None and self._observe is None:
                self._listen()

    def _listen(self) -> None:
        """Choose what need not be read any more."""
        stamped = self._lines.stamped
        heard = stamped or self._runner.may_strengthen
        self._lines.spent = _SPENT[stamped] if heard else _SPENT_ALL

    def _take_start(self, _match: re.Match[bytes], _line: Line) -> None:
        """Cross the border at "Running on": the job's containers say so themselves."""
        self._begin_to_run()

    def _begin_script(self, _match: re.Match[bytes], line: Line) -> None:
        """Cross the border at the title of the script."""
        if not self._header_seen and not self._ran:
            self._excerpt_line = self._lines.place(line)[0]
        self._begin_to_run()

    def _enter(self, match: re.Match[bytes], _line: Line) -> None:
        """Take a section marker: the first of a running job's is the border to the script."""
        marker = marker_of(match, stamped=self._lines.stamped)
        self._lines.enter(marker)
        if marker.begins_run:
            self._begin_to_run()

    def _reach_limit(self, _match: re.Match[bytes], line: Line) -> None:
        """Remember the notice: only if nothing follows was the log really cut."""
        self._limit = self._lines.place(line)


_FRAME: Final[Mapping[str, Callable[[Extractor, re.Match[bytes], Line], None]]] = {
    "runner.header": Extractor._take_header,
    "runner.section": Extractor._enter,
    "runner.executor": Extractor._take_executor,
    "runner.ran": Extractor._take_start,
    "runner.script": Extractor._begin_script,
    "runner.limit": Extractor._reach_limit,
}
"""Each takes the line of one rule that is about no image."""


@lru_cache
def _pads_wrongly(version: str | None) -> bool:
    """Whether this runner prints damaged microseconds: 16.11 to 18.3."""
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    return numbers is None or (int(numbers[1]), int(numbers[2])) < (18, 4)
