"""What the tools in a job's script say of images: docker, compose, builders and copiers (grammar, section 5).

Whatever a script prints is hearsay: the rows are marked `script`, an output of a build is never a use, and
what cannot be named in full is not named at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from logminer.model import Origin, Outcome, Role
from logminer.reference import parse
from logminer.trace.failures import image_in
from logminer.trace.fold import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.trace.fold import Evidence, Row, Rows

    Match = re.Match[bytes]

_FROM = re.compile(r"^(?:--\S+\s+)*(?P<image>\S+)(?:\s+[Aa][Ss]\s+(?P<stage>\S+))?\s*$")
_PULL_ERROR = re.compile(
    rb"pull access denied for |manifest for \S+ not found|repository \S+ not found|toomanyrequests: "
    rb"|/manifests/|no matching manifest for |manifest unknown|Get \"?https?://[^\s\"]+/v2/"
)
_VALUE_OPTIONS = frozenset(
    # Options of docker pull, run and create that take the next word as their value.
    "-a --attach --add-host --cap-add --cap-drop --cidfile --cpus -c --cpu-shares --cpuset-cpus --device --dns"
    " --entrypoint -e --env --env-file --expose --gpus --group-add -h --hostname --ip --ipc -l --label --link"
    " --log-driver --log-opt -m --memory --mount --name --net --network --network-alias --pid --platform -p"
    " --publish --pull --restart --runtime --security-opt --shm-size --stop-signal --tmpfs --ulimit -u --user"
    " --userns -v --volume --volumes-from -w --workdir --authfile --creds --tls-verify".split()
)
_MAX_LABELS = 64
_MAX_VERTICES = 4096
_MAX_STAGES = 1024
"""Things of one build or one set of parallel pulls that are remembered; more of them are not believed."""


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
        self._base: Row | None = None
        """The base image of a classic build's step, until the step has succeeded."""
        self._vertices: dict[bytes, Row] = {}
        """BuildKit's numbered steps that are about an image."""
        self._kaniko: Row | None = None
        self._wanted: list[str] = []
        """Base images that buildah names, for the role of what is pulled next."""
        self._trying: Row | None = None
        """podman's candidate that has not answered yet."""
        self.handlers: dict[str, Callable[[Match, Evidence], None]] = {
            "script.echo": self._echo,
            "docker.absent": self._announce,
            "docker.pull_from": self._begin_pull,
            "docker.pull_digest": self._digest,
            "docker.pull_status": self._end_pull,
            "docker.error": self._fail,
            "compose.pulling": self._compose_v1,
            "compose.image": self._compose_v5,
            "build.from": self._build_from,
            "build.layer": self._build_layer,
            "buildkit.metadata": self._load_metadata,
            "buildkit.frontend": self._buildkit_frontend,
            "buildkit.from": self._buildkit_from,
            "buildkit.vertex": self._vertex,
            "kaniko.image": self._kaniko_image,
            "kaniko.stage": self._kaniko_stage,
            "kaniko.progress": self._kaniko_progress,
            "kaniko.error": self._kaniko_error,
            "buildah.step": self._buildah_step,
            "podman.trying": self._podman_trying,
            "podman.copying": self._podman_copying,
            "podman.error": self._podman_error,
            "crane.copying": self._copied,
            "skopeo.copying": self._copied,
            "nerdctl.resolved": self._copied,
        }

    def _get(self, role: Role, image: str, evidence: Evidence) -> Row | None:
        """Return the row of an image that is named in full; None for what is no reference."""
        if parse(image) is None:
            return None
        return self._rows.get(role, Origin.SCRIPT, image, evidence)

    # -- docker pull, docker run, compose --------------------------------------------------------

    def _echo(self, match: Match, _evidence: Evidence) -> None:
        """Remember what is asked for, if no variable hides it: an error may not name the tag."""
        self._echoed = None
        words = iter(text(match["arguments"]).split())
        for word in words:
            if word in _VALUE_OPTIONS:
                next(words, None)
            elif not word.startswith("-"):
                word = word.strip("'\"")
                self._echoed = word if parse(word) else None
                return

    def _announce(self, match: Match, evidence: Evidence) -> None:
        self._absent = self._get(Role.SCRIPT, text(match["image"]), evidence)
        if self._absent is not None:
            self._absent.ask(evidence)

    def _begin_pull(self, match: Match, _evidence: Evidence) -> None:
        if len(self._pulls) < _MAX_LABELS or match["label"] in self._pulls:
            self._pulls[match["label"]] = _Pull(text(match["path"]))

    def _digest(self, match: Match, _evidence: Evidence) -> None:
        pull = self._pulls.get(match["label"])
        if pull is not None:
            pull.digest = text(match["digest"])

    def _end_pull(self, match: Match, evidence: Evidence) -> None:
        """Name the image: only this line has the registry."""
        image = text(match["image"])
        reference = parse(image)
        if reference is None:
            return
        pull = self._pull_of(match["label"], reference.repository)
        row = self._asked_for(image)
        if row is None:
            row = self._rows.get(Role.SCRIPT, Origin.SCRIPT, image, evidence)
        if not row.asked:
            row.ask(evidence)
        if pull is not None:
            row.digest = pull.digest or row.digest
        row.downloaded = row.downloaded or match["newer"] is not None
        row.obtain(evidence)
        if row is self._absent:
            self._absent = None

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

    def _fail(self, match: Match, evidence: Evidence) -> None:
        """Record a pull that failed, if it is named: by its error, its echo or its build."""
        error = match["error"]
        waiting = self._base if self._base is not None else self._absent
        if not _PULL_ERROR.search(error):
            if waiting is not None and waiting is self._absent:
                waiting.fail(error, evidence)
            self._absent = None
            return
        named = image_in(error)
        image = text(named.image) if named else None
        if waiting is not None and (image is None or _same_repository(image, waiting.image)):
            waiting.fail(error, evidence)
            self._base = self._absent = None
            return
        if self._echoed is not None and (image is None or _same_repository(image, self._echoed)):
            image = self._echoed
        row = self._get(Role.SCRIPT, image, evidence) if image else None
        if row is not None:
            row.fail(error, evidence)

    def _compose_v1(self, match: Match, evidence: Evidence) -> None:
        row = self._get(Role.SCRIPT, text(match["image"]), evidence)
        if row is not None:
            row.ask(evidence)
            self._absent = row

    def _compose_v5(self, match: Match, evidence: Evidence) -> None:
        row = self._get(Role.SCRIPT, text(match["image"]), evidence)
        if row is None:
            return
        if match["what"] == b"Pulling":
            if not row.asked:
                row.ask(evidence)
            return
        row.answer(evidence)

    # -- classic builder -------------------------------------------------------------------------

    def _build_from(self, match: Match, evidence: Evidence) -> None:
        if match["copied"] is not None:
            self._base = self._base_image(text(match["copied"]), evidence)
        else:
            self._base = self._from(text(match["arguments"]), evidence)

    def _from(self, arguments: str, evidence: Evidence) -> Row | None:
        """Read what stands behind FROM in a Dockerfile; None for a stage, `scratch` or a variable."""
        match = _FROM.match(arguments)
        if match is None:
            return None
        row = self._base_image(match["image"], evidence)
        if match["stage"] and len(self._stages) < _MAX_STAGES:
            self._stages.add(match["stage"].lower())
        return row

    def _base_image(self, image: str, evidence: Evidence) -> Row | None:
        if image.lower() in self._stages or image == "scratch" or image.isdecimal():
            return None
        return self._get(Role.BUILD, image, evidence)

    def _build_layer(self, _match: Match, _evidence: Evidence) -> None:
        self._obtain_base()

    def _obtain_base(self) -> None:
        """The step succeeded: its base image was there, wherever it came from."""
        if self._base is not None:
            self._base.reach(Outcome.USED, self._base.evidence)
            self._base = None

    # -- BuildKit ----------------------------------------------------------------------------------

    def _load_metadata(self, match: Match, evidence: Evidence) -> None:
        self._remember(match["vertex"], self._get(Role.BUILD, text(match["image"]), evidence))

    def _buildkit_frontend(self, match: Match, evidence: Evidence) -> None:
        self._buildkit_image(match, evidence)

    def _buildkit_from(self, match: Match, evidence: Evidence) -> None:
        self._buildkit_image(match, evidence)

    def _buildkit_image(self, match: Match, evidence: Evidence) -> None:
        """Take an image whose digest the registry has just told."""
        name, _, digest = text(match["image"]).partition("@")
        row = self._get(Role.BUILD, name, evidence)
        self._remember(match["vertex"], row)
        if row is None or not digest:
            return
        # Old clients cut a step's name at 72 bytes: then the digest ends in dots and is none.
        whole = parse(f"{name}@{digest}")
        row.digest = whole.digest if whole else row.digest
        row.answer(evidence)

    def _remember(self, vertex: bytes, row: Row | None) -> None:
        if row is not None and len(self._vertices) < _MAX_VERTICES:
            self._vertices[vertex] = row
        elif row is None:
            self._vertices.pop(vertex, None)

    def _vertex(self, match: Match, evidence: Evidence) -> None:
        """Read how a step about an image went on."""
        row = self._vertices.get(match["vertex"])
        if row is None:
            return
        if match["error"] is not None:
            row.fail(match["error"], evidence)
        elif match["cached"] is not None:
            row.downloaded = row.downloaded or False
        else:
            row.downloaded = True

    # -- kaniko ------------------------------------------------------------------------------------

    def _kaniko_image(self, match: Match, evidence: Evidence) -> None:
        row = self._base_image(text(match["image"]), evidence)
        if row is None:
            return
        if self._kaniko is not row:
            self._kaniko_arrived()
        if row.attempts == 0:
            row.ask(evidence)
        self._kaniko = row

    def _kaniko_stage(self, match: Match, _evidence: Evidence) -> None:
        if match["stage"] is not None and len(self._stages) < _MAX_STAGES:
            self._stages.add(text(match["stage"]).lower())
        self._kaniko_arrived()

    def _kaniko_progress(self, _match: Match, _evidence: Evidence) -> None:
        self._kaniko_arrived()

    def _kaniko_arrived(self) -> None:
        """The log goes on without an error: what was asked for is there."""
        if self._kaniko is not None:
            self._kaniko.answer(self._kaniko.evidence)
            self._kaniko = None

    def _kaniko_error(self, match: Match, evidence: Evidence) -> None:
        if self._kaniko is not None:
            self._kaniko.fail(match["error"], evidence)
            self._kaniko = None

    # -- buildah, podman -----------------------------------------------------------------------------

    def _buildah_step(self, match: Match, evidence: Evidence) -> None:
        """Take a base image; the step after it shows that it was there."""
        self._obtain_base()
        if match["arguments"] is not None:
            self._base = self._from(text(match["arguments"]), evidence)

    def _podman_trying(self, match: Match, evidence: Evidence) -> None:
        """Take the candidate; of several only the last can have answered."""
        image = text(match["image"])
        base = self._base
        if base is not None and _short_name_of(base.image, image):
            self._trying = base
            self._trying = self._rows.rename(base, image)
            self._base = self._trying
        else:
            self._trying = self._get(Role.SCRIPT, image, evidence)
        if self._trying is not None:
            self._trying.ask(evidence)

    def _podman_copying(self, _match: Match, evidence: Evidence) -> None:
        if self._trying is not None:
            self._trying.obtain(evidence)
            self._trying = self._base = None

    def _podman_error(self, match: Match, evidence: Evidence) -> None:
        row = self._trying or self._get(Role.SCRIPT, text(match["image"]), evidence)
        if row is not None:
            row.fail(match["error"], evidence)
        self._trying = None

    # -- copiers -----------------------------------------------------------------------------------

    def _copied(self, match: Match, evidence: Evidence) -> None:
        """Take a source that is being copied: the registry is asked for it."""
        row = self._get(Role.SCRIPT, text(match["image"]), evidence)
        if row is not None:
            row.answer(evidence)


def _same_repository(one: str, other: str) -> bool:
    """Whether two references name the same repository of the same registry."""
    first, second = parse(one), parse(other)
    return (
        first is not None
        and second is not None
        and (first.registry, first.repository) == (second.registry, second.repository)
    )


def _short_name_of(short: str, full: str) -> bool:
    """Whether podman may have made `full` out of `short`, with a registry from its configuration."""
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
