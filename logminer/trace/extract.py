"""Bytes in, image uses out: the one door of this room.

    extractor = Extractor()
    for chunk in chunks:
        extractor.feed(chunk)
    extraction = extractor.finish()

How it works. A scanner finds where one of the rules' literals stands; framing finds the drawing around that
place; the first rule that reads the drawing's text decides what it is; who may have printed it decides whether
it is believed; the rest is folding. Bytes between hits are scanned and counted, never looked at.

Who printed a line (design.md, grammar 1.3):

* With timestamps: stream 00 is the runner, whatever else the line looks like.
* Without: only what stands before the job's containers run ("Running on … via …", or the first section that
  is not preparation) and wears the logger's exact dress. A script can imitate both dress and markers, so
  that border is crossed once and never back. Afterwards the runner's wording only strengthens rows it made.
* A log without its head (a pasted excerpt) has no dress to compare with: there the border alone decides.

What cannot be decided is the script's, and a script's imitation of the runner is no row at all.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from logminer.model import ImageUse, TraceSummary
from logminer.reference import Upstreams
from logminer.trace import framing
from logminer.trace.fold import Evidence, Rows, text
from logminer.trace.framing import RUNNER_STREAM, SERVICE_STREAM, Drawing
from logminer.trace.rules import RULES, Dress, Rule, Speaker
from logminer.trace.runner import RunnerLines
from logminer.trace.scanner import CONTINUATION, scanner
from logminer.trace.script import ScriptLines
from logminer.trace.window import Window

VERSION: Final = "1"
"""Rises with every change that can make a row differ; stands in each row as `extractor_version`."""

_HEAD_LINES: Final = 10
"""The header is a trace's first line; pasted copies have a few of their own before it."""

_LIMIT_TAIL: Final = 160
"""Bytes that may follow "exceeded limit of N bytes.": the second sentence and a colour reset."""

_RUNNING: Final = frozenset(
    {"get_sources", "clear_worktree", "restore_cache", "download_artifacts", "build_script", "after_script"}
)
"""Sections that begin only when the job's containers run; `step_…` besides."""
_SECTIONS: Final = _RUNNING | {
    "prepare_executor",
    "resolve_secrets",
    "prepare_script",
    "archive_cache",
    "archive_cache_on_failure",
    "upload_artifacts",
    "upload_artifacts_on_success",
    "upload_artifacts_on_failure",
    "cleanup_file_variables",
}
"""The runner's own (common/build.go); `step_…` besides. Others are the script's and mean nothing here."""

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
_EXECUTOR_OF: Final = {"docker.job": "docker", "kubernetes.job": _KUBERNETES}
"""Up to 12.8 no title names the executor; these lines do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """What one trace tells."""

    summary: TraceSummary
    uses: tuple[ImageUse, ...]


class Extractor:
    """Reads one trace. Never raises on any bytes; holds a bounded part of them."""

    def __init__(self, upstreams: Upstreams | None = None) -> None:
        """Prepare to read; `upstreams` are the proxies to see through, GitLab's own by default."""
        self._upstreams = upstreams or Upstreams.default()
        self._scanner = scanner()
        self._rows = Rows()
        self._runner = RunnerLines(self._rows)
        self._script = ScriptLines(self._rows)

        self._window = Window()
        self._chains: dict[bytes | None, int] = {}
        """For each stream, where the continued line begins that was put together last."""

        self._version: str | None = None
        self._executor: str | None = None
        self._stamped = False
        self._dressed = False
        self._header_seen = False
        self._decided = False
        """Whether the first hit has shown if the log carries timestamps."""
        self._ran = False
        """Whether the border to the script is crossed."""
        self._excerpt_line: int | None = None
        """In a log without its head: the line up to which the runner's block in the script section reaches."""
        self._section: str | None = None
        self._section_time: dt.datetime | None = None
        self._limit: tuple[int, int] | None = None
        """Line and end of the last notice that the log exceeded its limit."""
        self._held: tuple[Rule, re.Match[bytes], Evidence] | None = None
        """A match that reaches to the end of its line: not believed if the log is cut right there."""

    @property
    def prepared(self) -> bool:
        """Whether the runner's preparation is over: what follows is the job's script."""
        return self._ran

    def feed(self, chunk: bytes) -> None:
        """Read on; where the chunk ends in the trace never shows in the result."""
        if chunk:
            self._window.push(chunk)
            self._read(final=False)

    def finish(self) -> Extraction:
        """End the trace: the last line counts though no LF ends it."""
        self._read(final=True)
        window = self._window
        truncated = self._limit is not None and window.size - self._limit[1] <= _LIMIT_TAIL
        if self._held is not None:
            cut_line = self._limit[0] - 1 if truncated and self._limit else None
            if self._held[2].line != cut_line:
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
                cut_lines=window.cut_lines,
            ),
            uses=self._rows.uses(self._upstreams),
        )

    # -- from hits to lines ----------------------------------------------------------------------

    def _read(self, *, final: bool) -> None:
        """Read all whole drawings that are held."""
        window = self._window
        end = window.region(final=final)
        begin = window.begin
        if end <= begin:
            return
        hits = self._scanner.scan(memoryview(window.data)[begin:end])
        done = begin
        stop = end
        for number, (at, _) in enumerate(hits):
            position = begin + at
            if position <= done:
                continue
            drawing = self._drawing(position, begin, end)
            done = max(done, drawing.end)
            if position > drawing.end:
                continue
            rules = []
            for later, index in hits[number:]:
                if begin + later > drawing.end:
                    break
                rules.append(index)
            if drawing.stamp is None:
                self._line(window.data[drawing.start : drawing.end], drawing, rules)
            elif not self._stamped_line(drawing, rules, end, final=final):
                stop = drawing.begin
                break
        window.keep(stop, stamped=self._stamped)

    def _drawing(self, position: int, begin: int, end: int) -> Drawing:
        """Find the drawing around a hit; the first one shows whether the log carries timestamps."""
        data = self._window.data
        resumed = self._window.resumed
        if not self._decided:
            self._decided = True
            drawing = framing.drawing_at(data, position, begin, end, stamped=True, resumed=resumed)
            self._stamped = drawing.stamp is not None
            return drawing
        return framing.drawing_at(
            data, position, begin, end, stamped=self._stamped, resumed=resumed
        )

    def _stamped_line(self, drawing: Drawing, rules: list[int], end: int, *, final: bool) -> bool:
        """Put a continued line together and read it; False if its other half has not come yet."""
        data = self._window.data
        first = last = drawing
        parts = [data[drawing.start : drawing.end]]
        size = len(parts[0])
        while first.continued and size < framing.MAX_DRAWING:
            head = framing.head_of(data, first, at_start=self._window.base == 0)
            if head is None:
                break
            first = head
            parts.insert(0, data[head.start : head.end])
            size += len(parts[0])
        while size < framing.MAX_DRAWING:
            tail, known = framing.tail_of(data, last, end, final=final)
            if not known:
                return False
            if tail is None:
                break
            last = tail
            parts.append(data[tail.start : tail.end])
            size += len(parts[-1])
        if len(parts) == 1:
            self._line(parts[0], drawing, rules)
            return True
        offset = self._window.base + first.start
        if self._chains.get(first.stream) != offset:
            self._chains[first.stream] = offset
            body = b"".join(parts)[: framing.MAX_DRAWING]
            self._line(body, first, [index for _, index in self._scanner.scan(body)])
        return True

    # -- from lines to rows ------------------------------------------------------------------------

    def _line(self, body: bytes, drawing: Drawing, rules: list[int]) -> None:
        """Let the first rule that reads the line have it."""
        dressed, dress = framing.undress(body)
        bare = framing.strip(body)
        for index in sorted(set(rules)):
            if index == CONTINUATION:
                continue
            rule = RULES[index]
            if rule.speaker is Speaker.SCRIPT:
                match = rule.read.search(bare)
            elif rule.speaker is Speaker.RUNNER and self._dressed:
                match = rule.read.match(dressed)
            else:
                match = rule.read.match(bare)
            if match is not None:
                self._dispatch(rule, match, drawing, dress)
                return

    def _dispatch(
        self, rule: Rule, match: re.Match[bytes], drawing: Drawing, dress: Dress
    ) -> None:
        """Decide who speaks, and hand the line on if he may."""
        line = self._window.line_number(drawing.line)
        if self._held is not None and not (
            rule.name == "runner.limit" and self._held[2].line == line - 1
        ):
            self._release()
        exact = self._stamped or self._dressed
        if exact and rule.speaker is not Speaker.SCRIPT and not self._ran:
            # A pasted log may have lost its line ends; in a real one the runner begins the line.
            # Once a script has run, its unended line may well stand before the next section's marker.
            if not framing.begins_line(self._window.data, drawing):
                return
        if rule.speaker is Speaker.ANYONE:
            self._frame(rule, match, drawing, line)
            return
        if rule.speaker is Speaker.RUNNER:
            if not self._is_runners(rule, drawing, dress, line):
                return
        elif not self._is_scripts(match, drawing):
            return
        evidence = Evidence(
            rule=rule.name,
            section=self._section,
            line=line,
            offset=self._window.base + drawing.line,
            seen_at=self._seen_at(drawing),
        )
        if _ends_in_image(rule, match):
            if drawing.end not in self._window.cuts:
                self._held = (rule, match, evidence)
        else:
            self._handle(rule, match, evidence)

    def _release(self) -> None:
        """Believe the match that was held back: its line was whole."""
        if self._held is not None:
            held, self._held = self._held, None
            self._handle(*held)

    def _handle(self, rule: Rule, match: re.Match[bytes], evidence: Evidence) -> None:
        """Fold a line that is believed."""
        if rule.speaker is Speaker.SCRIPT:
            self._script.handlers[rule.name](match, evidence)
        elif self._ran and not self._stamped and self._excerpt_line is None:
            self._runner.strengthen(rule.name, match, evidence)
        else:
            if self._executor is None and rule.name in _EXECUTOR_OF:
                self._executor = _EXECUTOR_OF[rule.name]
            self._runner.kubernetes = self._executor == _KUBERNETES
            self._runner.handlers[rule.name](match, evidence)

    # -- who speaks ----------------------------------------------------------------------------

    def _is_runners(self, rule: Rule, drawing: Drawing, dress: Dress, line: int) -> bool:
        """Whether the runner itself printed this line, and has an executor that says such things."""
        if not self._has_executor_for(rule):
            return False
        if self._stamped:
            return drawing.stream is not None and drawing.stream.startswith(RUNNER_STREAM)
        if self._dressed and dress is not rule.dress:
            return False
        if self._excerpt_line is not None:
            # Nothing but the runner's own block, line after line, follows the title of the script.
            if line > self._excerpt_line + 1:
                self._excerpt_line = None
                return False
            self._excerpt_line = line
        return True

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

    def _is_scripts(self, match: re.Match[bytes], drawing: Drawing) -> bool:
        """Whether the job's script printed this line: not the runner, not a service."""
        if self._stamped:
            return drawing.stream is None or not drawing.stream.startswith(
                (RUNNER_STREAM, SERVICE_STREAM)
            )
        return (self._ran or not self._dressed) and not match.string.startswith(b"[service:")

    # -- frame: header, sections, borders ----------------------------------------------------------

    def _frame(self, rule: Rule, match: re.Match[bytes], drawing: Drawing, line: int) -> None:
        """Follow the runner through its sections."""
        by_runner = not self._stamped or (
            drawing.stream is not None and drawing.stream.startswith(RUNNER_STREAM)
        )
        if rule.name == "runner.limit":
            if drawing.stamp is None:
                self._limit = (line, self._window.base + drawing.end)
        elif rule.name == "runner.ran":
            self._cross()
        elif not by_runner:
            return
        elif rule.name == "runner.header":
            if not self._header_seen and line <= _HEAD_LINES:
                self._header_seen = True
                self._version = text(match["version"])
                body = self._window.data[drawing.start : drawing.end]
                self._dressed = not self._stamped and framing.undress(body)[1] is Dress.PRINT
        elif rule.name == "runner.section":
            self._enter(match, drawing)
        elif rule.name == "runner.executor":
            if self._executor is None and not self._ran:
                found = match["title"] or match["instance"] or match["plain"].lower()
                self._executor = text(found)
        elif rule.name == "runner.script":
            if not self._header_seen and not self._ran:
                self._excerpt_line = line
            self._cross()

    def _enter(self, match: re.Match[bytes], drawing: Drawing) -> None:
        """Take a section marker, if the name is one of the runner's."""
        name = text(match["name"])
        if name not in _SECTIONS and not name.startswith("step_"):
            return
        if match["edge"] == b"start":
            self._section = name
            if name in _RUNNING or name.startswith("step_"):
                self._cross()
        elif self._section == name:
            self._section = None
        if drawing.stamp is None:
            self._section_time = dt.datetime.fromtimestamp(int(match["time"]), dt.UTC)

    def _cross(self) -> None:
        """Cross the border: from here on the job's script may print whatever it likes."""
        if not self._ran:
            self._ran = True
            self._runner.ran()

    def _seen_at(self, drawing: Drawing) -> dt.datetime | None:
        """Return when the line was printed; without timestamps, when its section began or ended."""
        if drawing.stamp is None:
            return self._section_time
        return framing.stamped_at(drawing.stamp, whole_seconds=_pads_wrongly(self._version))


def _ends_in_image(rule: Rule, match: re.Match[bytes]) -> bool:
    """Whether what is believed to be an image reaches to the line's end: a cut would not show."""
    return "image" in rule.read.groupindex and match.end("image") == len(match.string)


def _pads_wrongly(version: str | None) -> bool:
    """Whether this runner prints damaged microseconds: 16.11 to 18.3."""
    numbers = re.match(r"(\d+)\.(\d+)", version or "")
    return numbers is None or (int(numbers[1]), int(numbers[2])) < (18, 4)
