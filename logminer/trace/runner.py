"""What the runner's own lines mean: docker family and Kubernetes (grammar, sections 2 and 3).

A line often names no image and speaks of the one in hand: a service until the next service or until
"Waiting for services", otherwise what was named last. The state here is just that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from logminer.model import Origin, Outcome, Role
from logminer.reference import image_id
from logminer.trace.failures import image_in, image_in_url
from logminer.trace.fold import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.trace.fold import Evidence, Row, Rows

    Match = re.Match[bytes]

_EVENT = re.compile(
    rb'(?P<pulling>(?i:Pulling image)) "(?P<a>[^"]+)"'
    rb'|(?P<pulled>Successfully pulled image) "(?P<b>[^"]+)"'
    rb'|(?P<present>Container image) "(?P<c>[^"]+)" already present on machine'
    rb'|(?:(?P<backoff>Back-off pulling image)|Failed to pull image|Failed to apply default image tag)'
    rb' "(?P<d>[^"]+)"'
    rb'|Container image "(?P<never>[^"]+)" is not present with pull policy of Never'
    rb"|Created container:? (?P<container>[\w.-]{1,253})$"
)
_ERROR_IMAGE = re.compile(
    rb'^(?:prepare environment: )?(?:waiting for pod running: )?'
    rb'(?:failed to pull image|pulling image) "(?P<image>[^"]*)"'
    rb"(?: with specified policies \[(?P<policies>[^\]]*)\]| for container (?P<container>[\w.-]+))?"
    rb"(?:: image pull failed)?: (?P<error>.*)$"
)
_PULL_ERROR = re.compile(
    rb"image pull failed|pull access denied|/manifests/|manifest unknown|toomanyrequests|image \S+ not found"
    rb"|No such image"
)
_GO_ESCAPE = re.compile(rb"\\(.)")
_HELPERS = frozenset({"helper", "init-permissions", "init-logs"})
_HELPER_NAME = "gitlab-runner-helper"
_MAX_CONTAINERS = 256
"""Containers of one pod whose policies are remembered; Kubernetes' own limits are lower in practice."""
_MAX_EVENTS = 16
"""Events of one image that are held for one container; a kubelet repeats a back-off without end."""


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
        self._ran = False
        self.handlers: dict[str, Callable[[Match, Evidence], None]] = {
            "docker.job": self._declare_job,
            "docker.service": self._start_service,
            "docker.services_up": self._services_up,
            "runner.pull_policy": self._policy,
            "docker.local": self._found_locally,
            "docker.credentials": self._authenticate,
            "docker.pulling": self._pull,
            "docker.using_for": self._using,
            "docker.using_id": self._using_with_id,
            "docker.using_helper": self._using_bundled,
            "docker.helper": self._name_helper,
            "docker.local_instead": self._local_instead,
            "runner.not_allowed": self._reject,
            "runner.pull_failed": self._fail_attempt,
            "runner.pull_retried": self._retry,
            "runner.next_policy": self._next_policy,
            "runner.failed": self._fail,
            "kubernetes.job": self._declare_job,
            "kubernetes.event": self._observe,
            "kubernetes.warning": self._warn,
            "kubernetes.waiting": self._wait,
        }
        self.kubernetes = False

    def ran(self) -> None:
        """The job's containers run: what was declared was there."""
        if self._ran:
            return
        self._ran = True
        self.settle()
        for row in self._rows:
            if row.origin is Origin.RUNNER:
                row.run()

    def settle(self) -> None:
        """Apply what was held back for a line that did not come."""
        self._apply_local()
        self._apply_events(None)
        self._apply_retry()

    def strengthen(self, rule: str, match: Match, evidence: Evidence) -> None:
        """Let a line that a script may have forged raise the outcome of a row that exists; no more.

        Where the image had vanished, the runner pulls it again in the script's section.
        """
        if rule == "docker.pulling":
            self._repulled = self._known(match["image"])
        elif rule == "docker.using_for":
            row = self._known(match["image"])
            if row is not None:
                row.reach(
                    Outcome.PULLED if row is self._repulled else Outcome.PRESENT, evidence
                )
                self._repulled = None

    # -- the image in hand ---------------------------------------------------------------------

    def _declare_job(self, match: Match, evidence: Evidence) -> None:
        """Take the job's image; the preparation may be a repeated one."""
        self.settle()
        self._service = None
        self._job = self._current = self._get(Role.JOB, match["image"], evidence)

    def _start_service(self, match: Match, evidence: Evidence) -> None:
        """Begin a service under its lossy name."""
        self.settle()
        name = text(match["image"])
        row = self._service_names.get(name)
        if row is None:
            row = self._service_names[name] = self._get(Role.SERVICE, match["image"], evidence)
        self._service = self._current = row

    def _services_up(self, _match: Match, _evidence: Evidence) -> None:
        """End the service part: what follows is the helper's or the job's."""
        self.settle()
        self._service = None
        self._current = self._job

    def _name_helper(self, match: Match, evidence: Evidence) -> None:
        """Take the helper's image; the default it overrides is not used."""
        self._apply_local()
        self._helper = self._current = self._get(Role.HELPER, match["image"], evidence)

    def _row_of(self, image: bytes, evidence: Evidence) -> Row:
        """Return the row that a line naming this image speaks of, by what is in hand."""
        name = text(image)
        if image_id(name) or _HELPER_NAME in name:
            return self._get(Role.HELPER, image, evidence)
        known = self._rows.find(Role.HELPER, name)
        if known is not None and known is self._helper:
            return known
        if self._service is not None:
            row = self._rows.rename(self._service, name)
            for alias, service in self._service_names.items():
                if service is self._service:
                    self._service_names[alias] = row
            self._service = row
            return row
        for role in (Role.JOB, Role.HELPER, Role.SERVICE):
            known = self._rows.find(role, name)
            if known is not None:
                return known
        # Before 15.11 a configured helper is pulled without being announced as one.
        return self._get(Role.HELPER if self._job else Role.JOB, image, evidence)

    def _get(self, role: Role, image: bytes, evidence: Evidence) -> Row:
        return self._rows.get(role, Origin.RUNNER, text(image), evidence)

    # -- docker family -------------------------------------------------------------------------

    def _policy(self, match: Match, evidence: Evidence) -> None:
        """Take the policies; on Kubernetes the name is a container's, an ID is always a helper's."""
        policies = " ".join(text(match["policies"]).split()) or None
        if self.kubernetes:
            if policies and len(self._container_policies) < _MAX_CONTAINERS:
                self._container_policies[text(match["image"])] = policies
            if match["image"] == b"build" and self._job is not None:
                self._job.policy = policies or self._job.policy
            return
        self._apply_local()
        if match["image"].startswith(b"sha256:") and not image_id(text(match["image"])):
            return  # an ID that somebody made unreadable
        row = self._current = self._row_of(match["image"], evidence)
        row.policy = policies or row.policy
        if row.id is not None:
            # An ID names what is in the local store already: the container is made from it.
            row.reach(Outcome.PRESENT, evidence)

    def _found_locally(self, match: Match, evidence: Evidence) -> None:
        self._apply_local()
        self._local = (text(match["policy"]), evidence)

    def _authenticate(self, match: Match, _evidence: Evidence) -> None:
        self._credentials = text(match["source"])

    def _pull(self, match: Match, evidence: Evidence) -> None:
        """Count an attempt; the retry that was announced before it is this one."""
        self._apply_local()
        row = self._current = self._row_of(match["image"], evidence)
        if self._retried is not row:
            self._apply_retry()
        self._retried = None
        row.ask(evidence)
        if match["platform"] is not None:
            row.platform = text(match["platform"])
        self._take_credentials(row)

    def _using(self, match: Match, evidence: Evidence) -> None:
        self._use(self._row_of(match["image"], evidence), match["id"], match["digest"], evidence)

    def _using_with_id(self, match: Match, evidence: Evidence) -> None:
        """Read "for X": a role word or a service's name, never an image."""
        target = text(match["target"])
        if target == "predefined container":
            row = self._get(Role.HELPER, match["image"], evidence)
        elif target == "build container":
            row = self._job or self._get(Role.JOB, match["image"], evidence)
            row = self._rows.rename(row, text(match["image"]))
        else:
            row = self._row_of(match["image"], evidence)
        self._use(row, match["id"], None, evidence)

    def _using_bundled(self, match: Match, evidence: Evidence) -> None:
        self._use(self._get(Role.HELPER, match["id"], evidence), match["id"], None, evidence)

    def _use(self, row: Row, id_: bytes, repo_digest: bytes | None, evidence: Evidence) -> None:
        """The container is made from this image: pulled if the registry was asked, else present."""
        self._apply_retry()
        self._current = row
        row.id = image_id(text(id_)) or row.id
        digest = text(repo_digest or b"").rpartition("@")[2]
        if image_id(digest) and digest.startswith("sha256:"):
            # The repository before the @ may be another one: the same image tagged elsewhere.
            row.digest = digest
        if self._local is not None:
            policy, _ = self._local
            self._local = None
            row.policy = row.policy or policy
            row.asked = False
        self._take_credentials(row)
        row.obtain(evidence)

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
            self._current.reach(Outcome.PRESENT, evidence)

    def _local_instead(self, match: Match, evidence: Evidence) -> None:
        row = self._current = self._row_of(match["image"], evidence)
        row.fail(match["error"], evidence)
        row.reach(Outcome.PRESENT, evidence)

    def _reject(self, match: Match, evidence: Evidence) -> None:
        """Mark what is not allowed: never pulled, so no attempt."""
        name = text(match["image"])
        service = match["list"] == b"services"
        role = Role.SERVICE if service or self._rows.find(Role.SERVICE, name) else Role.JOB
        if not service and self._rows.find(Role.JOB, name):
            role = Role.JOB
        self._get(role, match["image"], evidence).reach(Outcome.REJECTED, evidence)

    # -- failures ------------------------------------------------------------------------------

    def _fail_attempt(self, match: Match, evidence: Evidence) -> None:
        """One policy's attempt failed; before 17.3 only its error names the image, if anything does."""
        self._apply_retry()
        error = match["error"]
        row = self._failing_row(match["image"], match["container"], error, evidence)
        if row is None:
            return
        if not row.policy and match["policy"]:
            row.policy = text(match["policy"])
        self._take_credentials(row)
        row.fail(error, evidence, asked=match["policy"] != b"never")
        self._current = row

    def _retry(self, match: Match, evidence: Evidence) -> None:
        """A passing error: another attempt is announced."""
        self._apply_retry()
        row = self._current = self._row_of(match["image"], evidence)
        row.fail(match["error"], evidence)
        self._retried = row

    def _apply_retry(self) -> None:
        """Count an announced attempt that printed no line of its own."""
        if self._retried is not None:
            self._retried.ask(self._retried.evidence)
            self._retried = None

    def _next_policy(self, match: Match, _evidence: Evidence) -> None:
        row = self._current
        if match["image"] is not None:
            row = self._rows.find(Role.JOB, text(match["image"])) or row
        if row is not None and " " not in (row.policy or "") and match["policy"]:
            row.policy = text(match["policy"])

    def _fail(self, match: Match, evidence: Evidence) -> None:
        """Read the end of a preparation or of the job, where it is about an image."""
        self._apply_local()
        error = match["error"]
        named = _ERROR_IMAGE.match(error)
        if named is not None:
            row = self._failing_row(
                named["image"] or None, named["container"], named["error"], evidence
            )
            if row is not None:
                policies = " ".join(text(named["policies"] or b"").split())
                row.policy = row.policy or policies or None
                self._apply_retry()
                never = policies == "never"
                row.fail(named["error"], evidence, summary=True, asked=not never)
            return
        row = self._current
        if row is not None and row.asked and _is_of_pull(match["what"], error):
            # Before 13.8 this is the only trace of a failed pull: one was begun and never answered.
            self._apply_retry()
            row.fail(error, evidence, summary=True)
        elif _PULL_ERROR.search(error):
            row = self._failing_row(None, None, error, evidence)
            if row is not None:
                row.fail(error, evidence, summary=True)

    def _failing_row(
        self, image: bytes | None, container: bytes | None, error: bytes, evidence: Evidence
    ) -> Row | None:
        """Find the row that a failure is about: by container, by name, by the error, by what is in hand."""
        if self.kubernetes and container is not None and image is not None:
            return self._row_in(_container_role(text(container)), image, evidence)
        by_url = image_in_url(error)
        if image is not None and by_url is not None and not self._known(image):
            # A name nobody heard of before, beside a request whose image has a row: the request is right.
            known = self._known(by_url.image)
            if known is not None:
                return known
        if image is None:
            if not self.kubernetes and self._current is not None:
                return self._current
            named = image_in(error)
            if named is None:
                return self._current
            image = named.image
        return self._known(image) or self._new_failing_row(image, evidence)

    def _known(self, image: bytes) -> Row | None:
        """Return a row of this image in any role of the runner's."""
        name = text(image)
        if self._service is not None and self._rows.find(Role.SERVICE, name) is self._service:
            return self._service
        for role in (Role.JOB, Role.HELPER, Role.SERVICE):
            row = self._rows.find(role, name)
            if row is not None:
                return row
        return None

    def _new_failing_row(self, image: bytes, evidence: Evidence) -> Row:
        """Make a row for an image that only its failure names."""
        if _HELPER_NAME in text(image):
            role = Role.HELPER
        elif self._job is None:
            role = Role.JOB
        else:
            role = Role.SERVICE if self.kubernetes or self._service else Role.HELPER
        return self._get(role, image, evidence)

    # -- Kubernetes ----------------------------------------------------------------------------

    def _observe(self, match: Match, evidence: Evidence) -> None:
        """Read a row of the pod events' table: whose image it is, the next "Created" tells."""
        event = _EVENT.search(match["message"])
        if event is None:
            return
        if event["container"] is not None:
            self._apply_events(text(event["container"]))
            return
        if self._events and _event_image(self._events[0][0]) != _event_image(event):
            self._apply_events(None)
        self._events.append((event, evidence))
        del self._events[:-_MAX_EVENTS]

    def _apply_events(self, container: str | None) -> None:
        """Fold the events held for one container; without one, its image's name decides."""
        events, self._events = self._events, []
        role = _container_role(container) if container is not None else None
        for event, evidence in events:
            row = self._apply_event(event, role, evidence)
            if container is not None:
                row.policy = row.policy or self._container_policies.get(container)

    def _apply_event(self, event: Match, role: Role | None, evidence: Evidence) -> Row:
        """Fold what a kubelet says of one image."""
        image = _event_image(event)
        row = self._row_in(role, image, evidence) if role else self._row_by_name(image, evidence)
        if event["pulling"]:
            row.ask(evidence)
        elif event["pulled"]:
            row.answer(evidence)
        elif event["present"]:
            row.asked = False
            row.obtain(evidence)
        else:
            row.fail(event.string[event.start() :], evidence, summary=event["backoff"] is not None)
        return row

    def _row_in(self, role: Role, image: bytes, evidence: Evidence) -> Row:
        """Return the row of this image in a role that is known."""
        if role is Role.JOB and self._job is not None and self._job.reference is None:
            # Up to 13.10 the declaration shows variables; here they have their values.
            self._job = self._rows.rename(self._job, text(image))
            return self._job
        return self._get(role, image, evidence)

    def _row_by_name(self, image: bytes, evidence: Evidence) -> Row:
        """Return the row of an image whose container is not known."""
        return self._known(image) or self._new_failing_row(image, evidence)

    def _warn(self, match: Match, evidence: Evidence) -> None:
        """Read an event that is reported as a warning."""
        event = _EVENT.search(match["message"])
        if event is not None and event["container"] is None:
            self._apply_event(event, None, evidence)

    def _wait(self, match: Match, evidence: Evidence) -> None:
        """Read why a container of the pod is still waiting; the same is said again and again."""
        event = _EVENT.search(_GO_ESCAPE.sub(rb"\1", match["quoted"]))
        if event is not None and event["container"] is None:
            row = self._row_by_name(_event_image(event), evidence)
            row.fail(event.string[event.start() :], evidence, summary=True)


def _is_of_pull(what: bytes, error: bytes) -> bool:
    """Whether the end of a preparation, or of a job, is the end of the pull that was under way."""
    if what == b"Preparation failed":
        return True
    return b"Error response from daemon" in error or _PULL_ERROR.search(error) is not None


def _container_role(container: str) -> Role:
    """Say what a container of the job's pod is for."""
    if container == "build":
        return Role.JOB
    return Role.HELPER if container in _HELPERS else Role.SERVICE


def _event_image(event: Match) -> bytes:
    """Return the image that a pod event names."""
    return next(event[name] for name in ("a", "b", "c", "d", "never") if event[name] is not None)
