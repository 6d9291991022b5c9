"""Lines into rows: one row for each image in each role, and the strongest outcome wins.

The rows of one trace, and nothing else: which line means what stands in `runner` and `script`.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, final

from logminer.model import ImageUse, Origin, Outcome, Role
from logminer.reference import ImageReference, image_id, parse
from logminer.trace.failures import kind_of, message_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from logminer.model import ErrorKind
    from logminer.reference import Upstreams

_DECLARED: Final = Outcome.DECLARED
_FAILED: Final = Outcome.FAILED
_USED: Final = Outcome.USED
_PRESENT: Final = Outcome.PRESENT
_PULLED: Final = Outcome.PULLED

MAX_IMAGE: Final = 1024
"""Characters of an image as written that are kept: a reference has 255, a tag 128, a digest 71."""

_REMEMBERED: Final = 1024
"""Images whose identity is remembered: a company uses some hundreds, over and over."""

MAX_ROWS: Final = 10_000
"""Rows of one trace.

The busiest real job of the labelled logs has 6; a hostile one must not fill memory.
"""


@final
class Evidence:
    """Where a line stands, and which rule read it."""

    __slots__ = ("line", "offset", "rule", "section", "seen_at")

    def __init__(
        self, rule: str, section: str | None, line: int, offset: int, seen_at: dt.datetime | None
    ) -> None:
        """Take what is known of the line."""
        self.rule = rule
        self.section = section
        self.line = line
        self.offset = offset
        self.seen_at = seen_at


class Row:
    """One image in one role, while the trace is still being read."""

    __slots__ = (
        "asked",
        "asked_at",
        "attempts",
        "credentials",
        "digest",
        "downloaded",
        "error_kind",
        "error_message",
        "evidence",
        "id",
        "image",
        "key",
        "number",
        "origin",
        "outcome",
        "platform",
        "policy",
        "reference",
        "role",
    )

    def __init__(
        self, number: int, role: Role, origin: Origin, image: str, evidence: Evidence
    ) -> None:
        """Start with an image that is named and nothing more."""
        self.number = number
        """Rises with the order of appearance; gaps do not matter."""
        self.role = role
        self.origin = origin
        self.outcome = _DECLARED
        self.evidence = evidence
        self.attempts = 0
        self.asked_at = evidence
        self.asked = False
        """Whether the registry was asked and the log has not yet said with what success."""
        self.downloaded: bool | None = None
        self.policy: str | None = None
        self.credentials: str | None = None
        self.platform: str | None = None
        self.error_kind: ErrorKind | None = None
        self.error_message: str | None = None
        self.id: str | None = None
        self.digest: str | None = None
        self.name(image)

    def name(self, image: str) -> None:
        """Take this text as what was written; a digest in it counts if the log shows no other."""
        self.image = image
        self.reference: ImageReference | None = parse(image)
        self.key = _key(self.role, image)
        """What makes it the same row."""
        self.id = self.id or image_id(image)
        self.digest = self.digest or (self.reference.digest if self.reference else None)

    def reach(self, outcome: Outcome, evidence: Evidence) -> None:
        """Take a stronger outcome, and the line that shows it as evidence."""
        if outcome.strength > self.outcome.strength:
            self.outcome = outcome
            self.evidence = evidence

    def ask(self, evidence: Evidence) -> None:
        """Count that the registry is asked; should no answer be printed, this line has to tell."""
        self.attempts += 1
        self.asked = True
        self.asked_at = evidence

    def answer(self, evidence: Evidence) -> None:
        """Take it that the registry was asked, said or not, and that the image is there."""
        self.asked = True
        self.attempts = max(self.attempts, 1)
        self.obtain(evidence)

    def obtain(self, evidence: Evidence) -> None:
        """Take it that the image is there: pulled if the registry was asked, else found locally."""
        self.reach(_PULLED if self.asked else _PRESENT, evidence)
        self.asked = False

    def fail(
        self, error: bytes, evidence: Evidence, *, summary: bool = False, asked: bool = True
    ) -> None:
        """Record a failed attempt.

        `summary` is a line that only repeats an earlier failure; `asked` is false where the policy
        forbade to ask the registry.
        """
        if asked and not self.asked and (self.attempts == 0 or not summary):
            self.attempts += 1
        self.asked = False
        self.error_kind = kind_of(error)
        self.error_message = message_of(error)
        self.reach(_FAILED, evidence)

    def run(self) -> None:
        """Take it that the job ran, so its images were there, whether or not the log said so.

        The evidence stays the line that names the image: that is what a reader wants to see.
        """
        if self.asked:
            self.obtain(self.asked_at)
        elif self.outcome in (_DECLARED, _FAILED):
            self.outcome = _USED


_NUMBER: Final = attrgetter("number")


class Rows:
    """The rows of one trace."""

    def __init__(self) -> None:
        """Start without any."""
        self._rows: dict[str, Row] = {}
        self._made = 0

    def __iter__(self) -> Iterator[Row]:
        """Go through the rows in order of appearance."""
        return iter(sorted(self._rows.values(), key=_NUMBER))

    def of(self, origin: Origin) -> list[Row]:
        """Return the rows of this origin, in any order."""
        return [row for row in self._rows.values() if row.origin is origin]

    def find(self, role: Role, image: str) -> Row | None:
        """Return the row of this image in this role, if there is one."""
        return self._rows.get(role + " " + _identity(image[:MAX_IMAGE]))

    def get(self, role: Role, origin: Origin, image: str, evidence: Evidence) -> Row:
        """Return the row of this image in this role, made now if there was none.

        Beyond `MAX_ROWS` the row is returned and forgotten.
        """
        row = self.find(role, image)
        if row is None:
            self._made += 1
            row = Row(self._made, role, origin, image[:MAX_IMAGE], evidence)
            if len(self._rows) < MAX_ROWS:
                self._rows[row.key] = row
        return row

    def rename(self, row: Row, image: str) -> Row:
        """Give a row the better name of a later line and return it.

        If that name has a row, that one is returned; the other stays if more than its name is
        known of it.
        """
        other = self.find(row.role, image)
        kept = self._rows.get(row.key) is row
        if other is not None and other is not row:
            if kept and row.outcome is _DECLARED and row.attempts == 0:
                del self._rows[row.key]
            return other
        if kept:
            del self._rows[row.key]
        row.name(image[:MAX_IMAGE])
        if kept:
            self._rows[row.key] = row
        return row

    def ordinal(self, row: Row) -> int | None:
        """Return a row's place, from 1; None for a row that is not kept."""
        if self._rows.get(row.key) is not row:
            return None
        return sum(other.number <= row.number for other in self._rows.values())

    def uses(self, upstreams: Upstreams) -> tuple[ImageUse, ...]:
        """Return the finished rows."""
        return tuple(_use(n, row, upstreams) for n, row in enumerate(self, start=1))


def _key(role: Role, image: str) -> str:
    """Return what makes it the same row: the role, and the canonical reference or else the text."""
    return role + " " + _identity(image)


@lru_cache(_REMEMBERED)
def _identity(image: str) -> str:
    """Return what two spellings of one image have in common."""
    reference = parse(image)
    return reference.reference if reference else image


def text(raw: bytes, most: int | None = None) -> str:
    """Decode foreign bytes for the store, `most` characters of them.

    The runner writes U+FFFD for what is no UTF-8, so do we.
    """
    decoded = raw.decode("utf-8", "replace")
    return decoded if most is None else decoded[:most]


def _use(ordinal: int, row: Row, upstreams: Upstreams) -> ImageUse:
    """Freeze a row."""
    reference = row.reference
    upstream = upstreams.resolve(reference) if reference else None
    evidence = row.evidence
    return ImageUse(
        ordinal=ordinal,
        role=row.role,
        origin=row.origin,
        outcome=row.outcome,
        downloaded=row.downloaded,
        pull_policy=row.policy,
        pull_attempts=row.attempts,
        credentials=row.credentials,
        platform=row.platform,
        error_kind=row.error_kind,
        error_message=row.error_message,
        seen_at=evidence.seen_at,
        image=row.image,
        registry=reference.registry if reference else None,
        repository=reference.repository if reference else None,
        tag=reference.tag if reference else None,
        digest=row.digest,
        image_id=row.id,
        reference=reference.reference if reference else None,
        via=upstream.via if upstream else None,
        upstream_registry=upstream.registry if upstream else None,
        upstream_repository=upstream.repository if upstream else None,
        rule=evidence.rule,
        section=evidence.section,
        line=evidence.line,
        offset=evidence.offset,
    )
