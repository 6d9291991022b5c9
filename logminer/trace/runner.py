"""What the runner's own lines mean: docker family and Kubernetes (grammar, sections 2 and 3).

A line often names no image and speaks of the one in hand: a service until the next service or until
"Waiting for services", otherwise what was named last. The state here is just that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from logminer.model import Origin, Outcome, Role
from logminer.reference import image_id
from logminer.trace.failures import image_in, image_in_url
from logminer.trace.fold import MAX_IMAGE, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from logminer.trace.fold import Evidence, Row, Rows

    Match = re.Match[bytes]

# Up to Python 3.11 a look at a member costs as much as a call, and these are asked at each line.
_JOB: Final = Role.JOB
_SERVICE: Final = Role.SERVICE
_HELPER: Final = Role.HELPER
_PRESENT: Final = Outcome.PRESENT
_PULLED: Final = Outcome.PULLED
_REJECTED: Final = Outcome.REJECTED
_RUNNER: Final = Origin.RUNNER

_EVENT: Final = re.compile(
    rb'(?P<pulling>(?i:Pulling image)) "(?P<a>[^"]+)"'
    rb'|(?P<pulled>Successfully pulled image) "(?P<b>[^"]+)"'
    rb'|(?P<present>Container image) "(?P<c>[^"]+)" already present on machine'
    rb"|(?:(?P<backoff>Back-off pulling image)|Failed to pull image|Failed to apply default"
    rb" image tag)"
    rb' "(?P<d>[^"]+)"'
    rb'|Container image "(?P<never>[^"]+)" is not present with pull policy of Never'
    rb"|Created container:? (?P<container>[\w.-]{1,253})$"
)
_ERROR_IMAGE: Final = re.compile(
    rb"^(?:prepare environment: )?(?:waiting for pod running: )?"
    rb'(?:failed to pull image|pulling image) "(?P<image>[^"]*)"'
    rb"(?: with specified policies \[(?P<policies>[^\]]*)\]| for container (?P<container>[\w.-]+))?"
    rb"(?:: image pull failed)?: (?P<error>.*)$"
)
_PULL_ERROR: Final = re.compile(
    rb"image pull failed|pull access denied|/manifests/|manifest unknown|toomanyrequests|image"
    rb" \S+ not found"
    rb"|No such image"
)
_GO_ESCAPE: Final = re.compile(rb"\\(.)")
_HELPERS: Final = frozenset({"helper", "init-permissions", "init-logs"})
_HELPER_NAME: Final = "gitlab-runner-helper"
_MAX_NAMES: Final = 1024
"""Services and containers of one job that are remembered; a pod or a host runs far fewer."""
_MAX_EVENTS: Final = 64
"""Events of one image that are held for one container, repeated back-offs left out."""
_MAX_POLICY: Final = 256
"""Characters of a list of pull policies, a platform, a container's name: all are a few words."""

STRENGTHENING: Final = frozenset({"docker.pulling", "docker.using_for"})
"""Wordings that mean something even where a script may have forged them: see `strengthen`."""


class RunnerLines:
    """Folds the runner's lines into rows."""

    def __init__(self, rows: Rows) -> None:
        """Write into these rows."""
        self._rows = rows
        self._job: Row | None = None
        self._service: Row | None = None
        """The service that is being started."""
        self._service_names: dict[str, Row] = {}
        """By the lossy text of "Starting service"."""
        self._helper: Row | None = None
        """The helper that was named last."""
        self._helper_next = False
        """Whether the lines that follow are that helper's, until it is used."""
        self._current: Row | None = None
        """The image in hand: what a line that names none speaks of."""
        self._local: tuple[str, Evidence] | None = None
        """"Using locally found image version", until it is known of which image."""
        self._credentials: str | None = None
        """Said before the image they are for."""
        self._retried: Row | None = None
        """A row whose announced retry has not shown itself as a line of its own."""
        self._events: list[tuple[Match, Evidence]] = []
        """Pod events of one image, until the container that they are for is created."""
        self._container_policies: dict[str, str] = {}
        """Kubernetes announces policies by container before it names their images."""
        self._repulled: Row | None = None
        """The row that a line of uncertain origin says is pulled again."""
        self.kubernetes = False

    def ran(self) -> None:
        """Take it that the job's containers run: what was declared was there."""
        self.settle()
        for row in self._rows.of(_RUNNER):
            row.run()

    def settle(self) -> None:
        """Apply what was held back for a line that did not come; credentials are for one image."""
        self._credentials = None
        self._apply_local()
        if self._events:
            self._apply_events(None)
        self._apply_retry()

    @property
    def may_strengthen(self) -> bool:
        """Whether a line that says that an image is used can tell anything by itself."""
        return self._repulled is not None or any(
            row.outcome.strength < _PRESENT.strength for row in self._rows.of(_RUNNER)
        )

    def strengthen(self, rule: str, match: Match) -> tuple[Row | None, Outcome | None]:
        """Let a line that a script may have forged raise the outcome of a row that exists; no more.

        Returns the row, and the outcome if it is a stronger one. Where the image had vanished, the
        runner pulls it again in the script's section.
        """
        row = outcome = None
        if rule == "docker.pulling":
            row = self._repulled = self._known(text(match["image"]))
        elif rule == "docker.using_for":
            row = self._known(text(match["image"]))
            if row is not None:
                shown = _PULLED if row is self._repulled else _PRESENT
                outcome = shown if shown.strength > row.outcome.strength else None
                self._repulled = None
        return row, outcome

    # -- the image in hand ---------------------------------------------------------------------

    def _declare_job(self, match: Match, evidence: Evidence) -> Row:
        """Take the job's image; the preparation may be a repeated one."""
        self.settle()
        self._service = None
        self._helper_next = False
        self._job = self._current = self._get(_JOB, text(match["image"]), evidence)
        return self._job

    def _start_service(self, match: Match, evidence: Evidence) -> Row:
        """Begin a service under its lossy name."""
        self.settle()
        name = text(match["image"], MAX_IMAGE)
        row = self._service_names.get(name)
        if row is None:
            row = self._get(_SERVICE, text(match["image"]), evidence)
            if len(self._service_names) < _MAX_NAMES:
                self._service_names[name] = row
        self._service = self._current = row
        return row

    def _services_up(self, _match: Match, _evidence: Evidence) -> None:
        """End the service part: what follows is the helper's or the job's."""
        self.settle()
        self._service = None
        self._current = self._job

    def _name_helper(self, match: Match, evidence: Evidence) -> Row:
        """Take the helper's image; the default it overrides is not used."""
        self._apply_local()
        self._credentials = None
        self._helper = self._current = self._get(_HELPER, text(match["image"]), evidence)
        self._helper_next = True
        return self._helper

    def _row_of(self, name: str, evidence: Evidence) -> Row:
        """Return the row that a line naming this image speaks of, by what is in hand."""
        if image_id(name) or self._is_helper(name):
            return self._get(_HELPER, name, evidence)
        if self._service is not None:
            row = self._rows.rename(self._service, name)
            if row is not self._service:
                for alias, service in self._service_names.items():
                    if service is self._service:
                        self._service_names[alias] = row
                self._service = row
            return row
        # Before 15.11 a configured helper is pulled without being announced as one.
        return self._find(name) or self._get(_HELPER if self._job else _JOB, name, evidence)

    def _is_helper(self, name: str) -> bool:
        """Whether a line naming this image speaks of the helper.

        The executor's own sentence makes an image the job's, also one that is a helper's by its
        name or by an announcement; then only what follows such an announcement is the helper's.
        """
        announced = self._helper is not None and self._rows.find(_HELPER, name) is self._helper
        if self._job is not None and self._rows.find(_JOB, name) is self._job:
            return announced and self._helper_next
        return announced or _HELPER_NAME in name

    def _find(self, name: str) -> Row | None:
        """Return a row of this image in any role of the runner's."""
        find = self._rows.find
        return find(_JOB, name) or find(_HELPER, name) or find(_SERVICE, name)

    def _get(self, role: Role, name: str, evidence: Evidence) -> Row:
        return self._rows.get(role, _RUNNER, name, evidence)

    # -- docker family -------------------------------------------------------------------------

    def _policy(self, match: Match, evidence: Evidence) -> Row | None:
        """Take the policies; on Kubernetes the name is a container's, an ID always a helper's."""
        policies = _words(match["policies"])
        if self.kubernetes:
            return self._container_policy(text(match["image"], _MAX_POLICY), policies)
        self._apply_local()
        self._credentials = None
        name = text(match["image"])
        if name.startswith("sha256:") and not image_id(name):
            return None  # an ID that somebody made unreadable
        row = self._current = self._row_of(name, evidence)
        row.policy = policies or row.policy
        if row.image == row.id:
            # An ID names what is in the local store already: the container is made from it.
            row.reach(_PRESENT, evidence)
        return row

    def _container_policy(self, container: str, policies: str | None) -> Row | None:
        """Remember a container's policies until a pod event tells its image."""
        if policies and len(self._container_policies) < _MAX_NAMES:
            self._container_policies[container] = policies
        if _container_role(container) is not _JOB or self._job is None:
            return None
        self._job.policy = policies or self._job.policy
        return self._job

    def _found_locally(self, match: Match, evidence: Evidence) -> Row | None:
        """Hold it for the "Using docker image" that follows."""
        self._apply_local()
        self._local = (text(match["policy"], _MAX_POLICY), evidence)
        return self._current

    def _authenticate(self, match: Match, _evidence: Evidence) -> Row | None:
        """Hold it for the pull that follows."""
        self._credentials = text(match["source"])
        return self._current

    def _pull(self, match: Match, evidence: Evidence) -> Row:
        """Count an attempt; the retry that was announced before it is this one."""
        self._apply_local()
        row = self._current = self._row_of(text(match["image"]), evidence)
        if self._retried is not row:
            self._apply_retry()
        self._retried = None
        row.ask(evidence)
        if match["platform"] is not None:
            row.platform = text(match["platform"], _MAX_POLICY)
        self._take_credentials(row)
        return row

    def _using(self, match: Match, evidence: Evidence) -> Row:
        row = self._row_of(text(match["image"]), evidence)
        return self._use(row, match["id"], match["digest"], evidence)

    def _using_with_id(self, match: Match, evidence: Evidence) -> Row:
        """Read "for X": a role word or a service's name, never an image."""
        target = match["target"]
        if target == b"predefined container":
            row = self._get(_HELPER, text(match["image"]), evidence)
        elif target == b"build container":
            name = text(match["image"])
            row = self._job or self._get(_JOB, name, evidence)
            row = self._job = self._rows.rename(row, name)
        else:
            row = self._row_of(text(match["image"]), evidence)
        return self._use(row, match["id"], None, evidence)

    def _using_bundled(self, match: Match, evidence: Evidence) -> Row:
        row = self._get(_HELPER, text(match["id"]), evidence)
        return self._use(row, match["id"], None, evidence)

    def _use(self, row: Row, id_: bytes, repo_digest: bytes | None, evidence: Evidence) -> Row:
        """Take it that the container is made from this image."""
        self._helper_next = False
        self._apply_retry()
        self._current = row
        row.id = image_id(text(id_)) or row.id
        digest = text(repo_digest or b"").rpartition("@")[2]
        if image_id(digest) and digest.startswith("sha256:"):
            # The repository before the @ may be another one: the same image tagged elsewhere.
            row.digest = digest
        if self._local is not None:
            row.policy = row.policy or self._local[0]
            row.asked = False
            self._local = None
        self._take_credentials(row)
        row.obtain(evidence)
        return row

    def _take_credentials(self, row: Row) -> None:
        row.credentials = self._credentials or row.credentials
        self._credentials = None

    def _apply_local(self) -> None:
        """Give "found locally" to the image in hand, when no "Using docker image" came for it."""
        if self._local is None:
            return
        policy, evidence = self._local
        self._local = None
        if self._current is not None:
            self._current.policy = self._current.policy or policy
            self._current.asked = False
            self._current.reach(_PRESENT, evidence)

    def _local_instead(self, match: Match, evidence: Evidence) -> Row:
        """Take the local copy: asked, not answered, and there all the same."""
        row = self._current = self._row_of(text(match["image"]), evidence)
        row.fail(match["error"], evidence)
        row.reach(_PRESENT, evidence)
        return row

    def _reject(self, match: Match, evidence: Evidence) -> Row:
        """Mark what is not allowed: never pulled, so no attempt."""
        name = text(match["image"])
        only_service = self._rows.find(_SERVICE, name) and not self._rows.find(_JOB, name)
        service = match["list"] == b"services" or only_service
        row = self._get(_SERVICE if service else _JOB, name, evidence)
        row.reach(_REJECTED, evidence)
        return row

    # -- failures ------------------------------------------------------------------------------

    def _fail_attempt(self, match: Match, evidence: Evidence) -> Row | None:
        """Record one policy's failed attempt; before 17.3 only its error may name the image."""
        self._apply_retry()
        error = match["error"]
        row = self._failing_row(match["image"], match["container"], error, evidence)
        if row is None:
            return None
        container = text(match["container"]) if match["container"] else None
        row.policy = row.policy or self._policy_of(container) or _words(match["policy"])
        self._take_credentials(row)
        row.fail(error, evidence, asked=match["policy"].lower() != b"never")
        self._current = row
        return row

    def _name_as_written(self, row: Row, name: str) -> None:
        """Take the runner's name of an image that an error before named in the daemon's words."""
        if self._rows.find(row.role, name) is row:
            self._rows.rename(row, name)

    def _retry(self, match: Match, evidence: Evidence) -> Row:
        """Record a passing error: another attempt is announced."""
        self._apply_retry()
        row = self._current = self._row_of(text(match["image"]), evidence)
        row.fail(match["error"], evidence)
        self._retried = row
        return row

    def _apply_retry(self) -> None:
        """Count an announced attempt that printed no line of its own."""
        if self._retried is not None:
            self._retried.ask(self._retried.evidence)
            self._retried = None

    def _next_policy(self, match: Match, _evidence: Evidence) -> Row | None:
        """Take the policy that is tried next, where no list of them was printed."""
        row = self._current
        if match["image"] is not None:
            row = self._known(text(match["image"])) or row
            if row is not None:
                self._name_as_written(row, text(match["image"]))
        if row is not None and " " not in (row.policy or ""):
            row.policy = _words(match["policy"]) or row.policy
        return row

    def _fail(self, match: Match, evidence: Evidence) -> Row | None:
        """Read the end of a preparation or of the job, where it is about an image."""
        self._apply_local()
        error = match["error"]
        row = self._current
        named = _ERROR_IMAGE.match(error)
        if named is not None:
            error = named["error"]
            row = self._failing_row(named["image"] or None, named["container"], error, evidence)
            policies = _words(named["policies"] or b"")
            if row is not None:
                self._name_as_written(row, text(named["image"]))
                row.policy = row.policy or policies
                self._apply_retry()
                row.fail(error, evidence, summary=True, asked=policies != "never")
        elif row is not None and row.asked and _is_of_pull(match["what"], error):
            # Before 13.8 this is the only trace of a failed pull: begun and never answered.
            self._apply_retry()
            row.fail(error, evidence, summary=True)
        elif _PULL_ERROR.search(error):
            row = self._failing_row(None, None, error, evidence)
            if row is not None:
                row.fail(error, evidence, summary=True)
        else:
            row = None
        return row

    def _failing_row(
        self, image: bytes | None, container: bytes | None, error: bytes, evidence: Evidence
    ) -> Row | None:
        """Find the row that a failure is about: by container, name, error, or what is in hand."""
        if self.kubernetes and container is not None and image is not None:
            return self._row_in(_container_role(text(container)), text(image), evidence)
        if image is None and not self.kubernetes and self._current is not None:
            return self._current
        image = image or image_in(error)
        if image is None:
            return self._current
        # A name nobody heard of, beside a request whose image has a row: the request is right.
        requested = image_in_url(error) or image
        name = text(image)
        known = self._known(name) or self._known(text(requested))
        return known or self._new_failing_row(name, evidence)

    def _known(self, name: str) -> Row | None:
        """Return a row of this image, of the service in hand before any other."""
        if self._service is not None and self._rows.find(_SERVICE, name) is self._service:
            return self._service
        return self._find(name)

    def _new_failing_row(self, name: str, evidence: Evidence) -> Row:
        """Make a row for an image that only its failure names."""
        if _HELPER_NAME in name:
            role = _HELPER
        elif self._job is None:
            role = _JOB
        else:
            role = _SERVICE if self.kubernetes or self._service else _HELPER
        return self._get(role, name, evidence)

    # -- Kubernetes ----------------------------------------------------------------------------

    def _observe(self, match: Match, evidence: Evidence) -> Row | None:
        """Read a row of the pod events' table: whose image it is, the next "Created" tells."""
        event = _EVENT.search(match["message"])
        if event is None:
            return None
        if event["container"] is not None:
            return self._apply_events(text(event["container"]))
        if self._events:
            last = self._events[-1][0]
            if _event_image(last) != _event_image(event):
                self._apply_events(None)
            elif last["backoff"] and event["backoff"]:
                return None
        if len(self._events) < _MAX_EVENTS:
            self._events.append((event, evidence))
        return None

    def _apply_events(self, container: str | None) -> Row | None:
        """Fold the events held for one container; without one, its image's name decides."""
        events, self._events = self._events, []
        role = _container_role(container) if container is not None else None
        row = None
        for event, evidence in events:
            row = self._apply_event(event, role, evidence)
            row.policy = row.policy or self._policy_of(container)
        return row

    def _policy_of(self, container: str | None) -> str | None:
        """Return the policies announced for a container; of an unknown one, if all are the same."""
        if container is not None:
            return self._container_policies.get(container)
        announced = set(self._container_policies.values())
        return announced.pop() if len(announced) == 1 else None

    def _apply_event(self, event: Match, role: Role | None, evidence: Evidence) -> Row:
        """Fold what a kubelet says of one image."""
        name = _event_image(event)
        if role is not None:
            row = self._row_in(role, name, evidence)
        else:
            row = self._known(name) or self._new_failing_row(name, evidence)
        if event["pulling"]:
            row.ask(evidence)
        elif event["pulled"]:
            row.answer(evidence)
        elif event["present"]:
            row.asked = False
            row.obtain(evidence)
        else:
            asked = event["never"] is None
            error = event.string[event.start() :]
            row.fail(error, evidence, summary=event["backoff"] is not None, asked=asked)
        return row

    def _row_in(self, role: Role, name: str, evidence: Evidence) -> Row:
        """Return the row of this image in a role that is known."""
        if role is _JOB and self._job is not None and self._job.reference is None:
            # Up to 13.10 the declaration shows variables; here they have their values.
            self._job = self._rows.rename(self._job, name)
            return self._job
        return self._get(role, name, evidence)

    def _warn(self, match: Match, evidence: Evidence) -> Row | None:
        """Read an event that is reported as a warning."""
        event = _EVENT.search(match["message"])
        if event is None or event["container"] is not None:
            return None
        return self._apply_event(event, None, evidence)

    def _wait(self, match: Match, evidence: Evidence) -> Row | None:
        """Read why a container of the pod is still waiting; the same is said again and again."""
        event = _EVENT.search(_GO_ESCAPE.sub(rb"\1", match["quoted"]))
        if event is None or event["container"] is not None:
            return None
        name = _event_image(event)
        row = self._known(name) or self._new_failing_row(name, evidence)
        row.fail(event.string[event.start() :], evidence, summary=True)
        return row


HANDLERS: Final[Mapping[str, Callable[[RunnerLines, Match, Evidence], Row | None]]] = {
    "docker.job": RunnerLines._declare_job,
    "docker.service": RunnerLines._start_service,
    "docker.services_up": RunnerLines._services_up,
    "runner.pull_policy": RunnerLines._policy,
    "docker.local": RunnerLines._found_locally,
    "docker.credentials": RunnerLines._authenticate,
    "docker.pulling": RunnerLines._pull,
    "docker.using_for": RunnerLines._using,
    "docker.using_id": RunnerLines._using_with_id,
    "docker.using_helper": RunnerLines._using_bundled,
    "docker.helper": RunnerLines._name_helper,
    "docker.local_instead": RunnerLines._local_instead,
    "runner.not_allowed": RunnerLines._reject,
    "runner.pull_failed": RunnerLines._fail_attempt,
    "runner.pull_retried": RunnerLines._retry,
    "runner.next_policy": RunnerLines._next_policy,
    "runner.failed": RunnerLines._fail,
    "kubernetes.job": RunnerLines._declare_job,
    "kubernetes.event": RunnerLines._observe,
    "kubernetes.warning": RunnerLines._warn,
    "kubernetes.waiting": RunnerLines._wait,
}
"""Each folds the line of one rule, and returns the row that it touched."""


def _words(policies: bytes) -> str | None:
    """Return pull policies as listed, joined by a space; None for an empty list."""
    return " ".join(text(policies).split())[:_MAX_POLICY] or None


def _is_of_pull(what: bytes, error: bytes) -> bool:
    """Whether the end of a preparation, or of a job, is the end of the pull that was under way."""
    if what == b"Preparation failed":
        return True
    return b"Error response from daemon" in error or _PULL_ERROR.search(error) is not None


def _container_role(container: str) -> Role:
    """Say what a container of the job's pod is for."""
    if container == "build":
        return _JOB
    return _HELPER if container in _HELPERS else _SERVICE


def _event_image(event: Match) -> str:
    """Return the image that a pod event names."""
    return text(event["a"] or event["b"] or event["c"] or event["d"] or event["never"])
