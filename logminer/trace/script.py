"""What the tools in a job's script say of images (grammar, section 5).

Docker, compose, builders and copiers.
Whatever a script prints is hearsay: the rows are marked `script`, an output of a build is never a
use, and what cannot be named in full is not named at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from logminer.model import Origin, Outcome, Role
from logminer.reference import parse
from logminer.trace.failures import image_in
from logminer.trace.fold import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from logminer.trace.fold import Evidence, Row, Rows

    Match = re.Match[bytes]

_BUILD: Final = Role.BUILD
_SCRIPT: Final = Role.SCRIPT
_HEARSAY: Final = Origin.SCRIPT

_FROM: Final = re.compile(r"^(?:--\S+\s+)*(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<stage>\S+))?\s*$")
_PULL_ERROR: Final = re.compile(
    rb"pull access denied for |manifest for \S+ not found|repository \S+ not found"
    rb"|toomanyrequests: "
    rb"|/manifests/|no matching manifest for |manifest unknown|Get \"?https?://[^\s\"]+/v2/"
)
_VALUE_OPTIONS: Final = frozenset(
    # Options of docker pull, run and create that take the next word as their value.
    (
        *("-a", "--attach", "--add-host", "--cap-add", "--cap-drop", "--cidfile", "--cpus", "-c"),
        *("--cpu-shares", "--cpuset-cpus", "--device", "--dns", "--entrypoint", "-e", "--env"),
        *("--env-file", "--expose", "--gpus", "--group-add", "-h", "--hostname", "--ip", "--ipc"),
        *("-l", "--label", "--link", "--log-driver", "--log-opt", "-m", "--memory", "--mount"),
        *("--name", "--net", "--network", "--network-alias", "--pid", "--platform", "-p"),
        *("--publish", "--pull", "--restart", "--runtime", "--security-opt", "--shm-size"),
        *("--stop-signal", "--tmpfs", "--ulimit", "-u", "--user", "--userns", "-v", "--volume"),
        *("--volumes-from", "-w", "--workdir", "--authfile", "--creds", "--tls-verify"),
    )
)
_MAX_LABELS: Final = 64
_MAX_VERTICES: Final = 4096
_MAX_STAGES: Final = 1024
"""Things of one build or one set of parallel pulls that are remembered."""
_MAX_STAGE: Final = 255
"""Characters of a stage's name that are compared: a longer one is no repository's name either."""
_FIRST_VERTICES: Final = frozenset({b"0", b"1"})
"""BuildKit's steps that begin another build."""


class _Pull:
    """A `docker pull` block that is being printed."""

    __slots__ = ("digest", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.digest: str | None = None


class ScriptLines:
    """Folds the tools' lines into rows."""

    def __init__(self, rows: Rows) -> None:
        """Write into these rows."""
        self._rows = rows
        self._echoed: str | None = None
        """The image of the last echoed pull or run, where it is written out."""
        self._absent: Row | None = None
        """An image that docker run has announced to pull."""
        self._pulls: dict[bytes, _Pull] = {}
        """Open blocks, by the label that parallel pulls put before their lines."""
        self._stages: set[str] = set()
        """Names of this build's earlier stages."""
        self._base: Row | None = None
        """The base image of a build's step, until the step has succeeded."""
        self._short: str | None = None
        """What the Dockerfile calls that base."""
        self._vertices: dict[bytes, Row] = {}
        """BuildKit's numbered steps that are about an image."""
        self._kaniko: Row | None = None
        self._trying: Row | None = None
        """podman's candidate that has not answered yet."""

    def _get(self, role: Role, image: str, evidence: Evidence) -> Row | None:
        """Return the row of an image that is named in full; None for what is no reference."""
        if parse(image) is None:
            return None
        return self._rows.get(role, _HEARSAY, image, evidence)

    # -- docker pull, docker run, compose --------------------------------------------------------

    def _echo(self, match: Match, _evidence: Evidence) -> None:
        """Remember what is asked for, if no variable hides it: an error may not name the tag."""
        self._echoed = None
        words = iter(text(match["arguments"]).split())
        for word in words:
            if word in _VALUE_OPTIONS:
                next(words, None)
            elif not word.startswith("-"):
                image = word.strip("'\"")
                self._echoed = image if parse(image) else None
                return

    def _announce(self, match: Match, evidence: Evidence) -> Row | None:
        """Take the image that docker run pulls now."""
        self._absent = self._get(_SCRIPT, text(match["image"]), evidence)
        if self._absent is not None:
            self._absent.ask(evidence)
        return self._absent

    def _begin_pull(self, match: Match, _evidence: Evidence) -> None:
        """Open a block; of too many open ones the oldest is given up."""
        self._pulls.pop(match["label"], None)
        if len(self._pulls) >= _MAX_LABELS:
            del self._pulls[next(iter(self._pulls))]
        self._pulls[match["label"]] = _Pull(text(match["path"]))

    def _digest(self, match: Match, _evidence: Evidence) -> None:
        """Hold the digest until the block says of which image."""
        pull = self._pulls.get(match["label"])
        if pull is not None:
            pull.digest = text(match["digest"])

    def _end_pull(self, match: Match, evidence: Evidence) -> Row | None:
        """Name the image: only this line has the registry."""
        image = text(match["image"])
        reference = parse(image)
        if reference is None:
            return None
        pull = self._pull_of(match["label"], reference.repository)
        row = self._asked_for(image)
        if row is None:
            row = self._rows.get(_SCRIPT, _HEARSAY, image, evidence)
        if not row.asked:
            row.ask(evidence)
        if pull is not None:
            row.digest = pull.digest or row.digest
        row.downloaded = row.downloaded or match["newer"] is not None
        row.obtain(evidence)
        if row is self._absent:
            self._absent = None
        if self._echoed is not None and _same_repository(image, self._echoed):
            self._echoed = None
        return row

    def _pull_of(self, label: bytes, repository: str) -> _Pull | None:
        """Close the block that this status ends: of its label, or else of its repository."""
        labels = [label, *(other for other in self._pulls if other != label)]
        for candidate in labels:
            pull = self._pulls.get(candidate)
            if pull is not None and pull.path == repository:
                return self._pulls.pop(candidate)
        return None

    def _asked_for(self, image: str) -> Row | None:
        """Return the row of a build or a run that made docker pull this."""
        for waiting in (self._base, self._absent):
            if waiting is not None and waiting is self._rows.find(waiting.role, image):
                return waiting
        return None

    def _fail(self, match: Match, evidence: Evidence) -> Row | None:
        """Record a pull that failed, if it is named: by its error, its echo or its build."""
        error = match["error"]
        row = self._base if self._base is not None else self._absent
        if not _PULL_ERROR.search(error):
            # Whatever the daemon says after "Unable to find image" ends that run.
            row, self._absent = self._absent, None
        else:
            named = image_in(error)
            image = text(named) if named else None
            if row is not None and (image is None or _same_repository(image, row.image)):
                self._base = self._absent = None
            else:
                echoed = self._echoed
                if echoed is not None and (image is None or _same_repository(image, echoed)):
                    image = echoed
                row = self._get(_SCRIPT, image, evidence) if image else None
        if row is not None:
            row.fail(error, evidence)
        return row

    def _compose_v1(self, match: Match, evidence: Evidence) -> Row | None:
        return self._announce(match, evidence)

    def _compose_v5(self, match: Match, evidence: Evidence) -> Row | None:
        row = self._get(_SCRIPT, text(match["image"]), evidence)
        if row is None:
            return None
        if match["what"] == b"Pulled":
            row.answer(evidence)
        elif not row.asked:
            row.ask(evidence)
        return row

    # -- classic builder -------------------------------------------------------------------------

    def _build_from(self, match: Match, evidence: Evidence) -> Row | None:
        """Take a step's base image; the first step begins another build."""
        if int(match["step"]) == 1:
            self._begin_build()
        self._obtain_base()
        if match["copied"] is not None:
            self._base = self._base_image(text(match["copied"]), evidence)
        else:
            self._base = self._from(text(match["arguments"]), evidence)
        return self._base

    def _begin_build(self) -> None:
        """Forget the build before: its stages are no names here, and its last step is past."""
        self._stages.clear()
        self._base = self._trying = None

    def _from(self, arguments: str, evidence: Evidence) -> Row | None:
        """Read what stands behind FROM in a Dockerfile; None for a stage, `scratch`, a variable."""
        match = _FROM.match(arguments)
        if match is None:
            return None
        self._short = match["image"]
        row = self._base_image(match["image"], evidence)
        self._name_stage(match["stage"] or "")
        return row

    def _base_image(self, image: str, evidence: Evidence) -> Row | None:
        if image.lower() in self._stages or image == "scratch" or image.isdecimal():
            return None
        return self._get(_BUILD, image, evidence)

    def _name_stage(self, name: str) -> None:
        if len(self._stages) < _MAX_STAGES:
            self._stages.add(name[:_MAX_STAGE].lower())

    def _build_layer(self, _match: Match, _evidence: Evidence) -> Row | None:
        return self._obtain_base()

    def _obtain_base(self) -> Row | None:
        """Take it that the step succeeded: its base image was there, wherever it came from."""
        row, self._base = self._base, None
        if row is not None:
            row.reach(Outcome.USED, row.evidence)
        return row

    # -- BuildKit --------------------------------------------------------------------------------

    def _buildkit_step(self, match: Match, _evidence: Evidence) -> None:
        """Take the head of a step that is about no image: its number is no longer another's."""
        self._remember(match["vertex"], None)

    def _load_metadata(self, match: Match, evidence: Evidence) -> Row | None:
        row = self._get(_BUILD, text(match["image"]), evidence)
        self._remember(match["vertex"], row)
        return row

    def _buildkit_image(self, match: Match, evidence: Evidence) -> Row | None:
        """Take an image whose digest the registry has just told."""
        name, _, digest = text(match["image"]).partition("@")
        row = self._get(_BUILD, name, evidence)
        self._remember(match["vertex"], row)
        if row is not None and digest:
            # Old clients cut a step's name at 72 bytes: the digest ends in dots and is none.
            whole = parse(f"{name}@{digest}")
            row.digest = whole.digest if whole else row.digest
            row.answer(evidence)
        return row

    def _remember(self, vertex: bytes, row: Row | None) -> None:
        """Bind a step's number to its image; whenever a step goes on, its head is repeated."""
        if vertex in _FIRST_VERTICES:
            self._vertices.clear()
        self._vertices.pop(vertex, None)
        if row is not None and len(self._vertices) < _MAX_VERTICES:
            self._vertices[vertex] = row

    def _vertex(self, match: Match, evidence: Evidence) -> Row | None:
        """Read how a step about an image went on."""
        row = self._vertices.get(match["vertex"])
        if row is None:
            return None
        if match["error"] is not None:
            row.fail(match["error"], evidence, summary=True)
        elif match["cached"] is not None:
            row.downloaded = row.downloaded or False
        else:
            row.downloaded = True
        return row

    def _build_failed(self, match: Match, evidence: Evidence) -> Row | None:
        """Read the last word of a build; mostly its step has told the error before."""
        row = self._get(_BUILD, text(match["image"]), evidence)
        if row is not None and row.error_kind is None:
            row.fail(match["error"], evidence)
        return row

    # -- kaniko ----------------------------------------------------------------------------------

    def _kaniko_image(self, match: Match, evidence: Evidence) -> Row | None:
        row = self._base_image(text(match["image"]), evidence)
        if row is None:
            return None
        if self._kaniko is not row:
            self._arrive()
        if row.attempts == 0:
            row.ask(evidence)
        self._kaniko = row
        return row

    def _kaniko_stage(self, match: Match, _evidence: Evidence) -> Row | None:
        if match["stage"] is not None:
            self._name_stage(text(match["stage"]))
        return self._arrive()

    def _kaniko_arrived(self, _match: Match, _evidence: Evidence) -> Row | None:
        return self._arrive()

    def _arrive(self) -> Row | None:
        """Take it that the log goes on without an error: what was asked for is there."""
        row, self._kaniko = self._kaniko, None
        if row is not None:
            row.answer(row.evidence)
        return row

    def _kaniko_error(self, match: Match, evidence: Evidence) -> Row | None:
        row, self._kaniko = self._kaniko, None
        if row is not None:
            row.fail(match["error"], evidence)
        return row

    # -- buildah, podman -------------------------------------------------------------------------

    def _buildah_step(self, match: Match, evidence: Evidence) -> Row | None:
        """Take a base image; the step after it shows that it was there."""
        if match["first"] is not None:
            self._begin_build()
        row = self._obtain_base()
        if match["arguments"] is None:
            return row
        self._base = self._from(text(match["arguments"]), evidence)
        return self._base

    def _podman_trying(self, match: Match, evidence: Evidence) -> Row | None:
        """Take the candidate; of several only the last can have answered."""
        image = text(match["image"])
        if self._base is not None and _short_name_of(self._short or "", image):
            self._base = self._trying = self._rows.rename(self._base, image)
        else:
            if self._trying is not None:
                self._trying.asked = False
                self._trying.reach(Outcome.FAILED, self._trying.evidence)
            self._trying = self._get(_SCRIPT, image, evidence)
        if self._trying is not None:
            self._trying.ask(evidence)
        return self._trying

    def _podman_copying(self, _match: Match, evidence: Evidence) -> Row | None:
        row, self._trying = self._trying, None
        if row is not None:
            row.obtain(evidence)
            self._base = None
        return row

    def _podman_error(self, match: Match, evidence: Evidence) -> Row | None:
        row = self._trying or self._get(_SCRIPT, text(match["image"]), evidence)
        if row is not None:
            row.fail(match["error"], evidence)
        self._trying = self._base = None
        return row

    # -- copiers ---------------------------------------------------------------------------------

    def _copied(self, match: Match, evidence: Evidence) -> Row | None:
        """Take a source that is being copied: the registry is asked for it."""
        row = self._get(_SCRIPT, text(match["image"]), evidence)
        if row is not None:
            row.answer(evidence)
        return row


HANDLERS: Final[Mapping[str, Callable[[ScriptLines, Match, Evidence], Row | None]]] = {
    "script.echo": ScriptLines._echo,
    "docker.absent": ScriptLines._announce,
    "docker.pull_from": ScriptLines._begin_pull,
    "docker.pull_digest": ScriptLines._digest,
    "docker.pull_status": ScriptLines._end_pull,
    "docker.error": ScriptLines._fail,
    "compose.pulling": ScriptLines._compose_v1,
    "compose.image": ScriptLines._compose_v5,
    "build.from": ScriptLines._build_from,
    "build.layer": ScriptLines._build_layer,
    "buildkit.metadata": ScriptLines._load_metadata,
    "buildkit.frontend": ScriptLines._buildkit_image,
    "buildkit.from": ScriptLines._buildkit_image,
    "buildkit.vertex": ScriptLines._vertex,
    "buildkit.failed": ScriptLines._build_failed,
    "buildkit.step": ScriptLines._buildkit_step,
    "kaniko.image": ScriptLines._kaniko_image,
    "kaniko.stage": ScriptLines._kaniko_stage,
    "kaniko.progress": ScriptLines._kaniko_arrived,
    "kaniko.error": ScriptLines._kaniko_error,
    "buildah.step": ScriptLines._buildah_step,
    "podman.trying": ScriptLines._podman_trying,
    "podman.copying": ScriptLines._podman_copying,
    "podman.error": ScriptLines._podman_error,
    "crane.copying": ScriptLines._copied,
    "skopeo.copying": ScriptLines._copied,
    "nerdctl.resolved": ScriptLines._copied,
}
"""Each folds the line of one rule, and returns the row that it touched."""


def _same_repository(one: str, other: str) -> bool:
    """Whether two references name the same repository of the same registry."""
    first, second = parse(one), parse(other)
    return (
        first is not None
        and second is not None
        and (first.registry, first.repository) == (second.registry, second.repository)
    )


def _short_name_of(short: str, full: str) -> bool:
    """Whether podman may have made `full` out of `short`, with a registry it is configured with."""
    one, other = parse(short), parse(full)
    if one is None or other is None:
        return False
    name = short.partition("@")[0]
    head, _, tail = name.rpartition("/")
    bare = (head + "/" if head else "") + tail.partition(":")[0]
    repository = f"{other.registry}/{other.repository}"
    return (repository == bare or repository.endswith("/" + bare)) and (one.tag or "latest") == (
        other.tag or "latest"
    )
