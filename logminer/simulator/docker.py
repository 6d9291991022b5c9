"""What the docker executors print about images: preparation, helper, and the job's container.

Line numbers such as D7 are those of the project's grammar of job logs; version bounds stand where
a wording changed. Every line that says something about an image is accompanied by the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.catalogue import HUB, Image, digest_on, image_id_on
from logminer.simulator.dice import chance, hex64
from logminer.simulator.failures import docker_error
from logminer.simulator.writer import RESET, Writer

if TYPE_CHECKING:
    from logminer.simulator.plan import Need, Plan
    from logminer.simulator.planted import Truth, Use

_ALLOWED = ("ruby:*", "registry.gitlab.example:5050/*/*:*", "acme-base/*:v[0-9]*")

_REJECTS_AT_ONCE = (14, 2)
"""Before, an image that is not allowed broke the preparation, which was tried again."""


class PreparationFailedError(Exception):
    """The job ends before its script; the message is what `Job failed` says."""

    def __init__(self, message: str, *, system: bool = False) -> None:
        """Keep the message and whether the runner calls it a system failure."""
        super().__init__(message)
        self.system = system


class DockerNarrator:
    """Writes the runner's part of one docker job."""

    def __init__(self, plan: Plan, writer: Writer, truth: Truth) -> None:
        """Narrate this plan into this writer and this truth."""
        self._plan = plan
        self._writer = writer
        self._truth = truth
        self._version = plan.version
        self._helper_id = f"sha256:{hex64('bundled helper', *plan.version)}"
        self._prints_policies = plan.version >= (18, 0)  # D4
        self._has_policies = plan.version >= (13, 8)  # D9, D10 and the quotes of D5

    def prepare(self) -> None:
        """Write the content of `prepare_executor`; raises when the job cannot start."""
        plan = self._plan
        if plan.job.runner.executor == "docker-autoscaler":
            self._acquire_instance()
        for _ in range(plan.preparation_retries):
            self._declare()
            self._preparation_failed(
                "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
                "Is the docker daemon running? (docker.go:859:0s)"
            )
        if plan.job.mishap == "system":
            self._break_down()
        rejected = plan.job.mishap in {"rejected", "service_rejected"}
        if self._version < (13, 8) or (rejected and self._version < _REJECTS_AT_ONCE):
            self._look_up_with_retries()
        else:
            self._look_up_everything()

    def begin_helper_section(self) -> None:
        """Write what the runner prints when it starts its helper container after preparation."""
        plan, writer = self._plan, self._writer
        if plan.helper is not None:
            if self._version >= (15, 11):
                use = self._name_helper(plan.helper)
                self._name_policies(use, plan.helper)
                self._use(use, plan.helper)
        elif self._prints_policies:
            policies = plan.job.runner.policies
            writer.println(
                f"Using effective pull policy of [{' '.join(policies)}] "
                f"for container {self._helper_id}"
            )
            self._truth.see_id(self._helper_id, " ".join(policies))

    def begin_script(self) -> None:
        """Write what the runner prints when it starts the job's container again (13.9)."""
        if self._version < (13, 9):
            return
        need = self._plan.main
        use = self._truth.see("job", need.image)
        self._name_default()
        self._name_policies(use, need)
        self._use(use, need)
        if self._plan.loses_container:
            self._start_again(use, need)
        if self._version >= (15, 6) and self._plan.services and chance(self._plan.rng, 0.04):
            alias = self._plan.services[0].image.name.replace("/", "-").partition(":")[0]
            for text in ("LOG:  starting up", "LOG:  ready, waiting for the image import"):
                self._writer.service_log(alias, text)

    def _start_again(self, use: Use, need: Need) -> None:
        """Lose the container and the image, as EXECUTOR_JOB_SECTION_ATTEMPTS allows: pull again."""
        container = hex64("container", self._plan.job.id)
        self._writer.errorln(f'Container "{container}" not found or removed. Will retry...')
        self._writer.println("Retrying step_script")
        self._name_default()
        self._name_policies(use, need)
        self._pull(use, need)

    # -- preparation ------------------------------------------------------------------------

    def _acquire_instance(self) -> None:
        name = f"i-{hex64('instance', self._plan.job.id)[:17]}"
        self._writer.println(f"Dialing instance {name}...")
        self._writer.wait(2)
        self._writer.println(f"Instance {name} connected")

    def _look_up_everything(self) -> None:
        plan = self._plan
        if plan.job.mishap == "rejected":
            self._reject(plan.main, "images")
        self._declare()
        if plan.job.mishap == "service_rejected":
            self._reject(plan.services[0], "services")
        if plan.services:
            for service in plan.services:
                self._start_service(service)
            self._wait_for_services()
        if plan.helper is not None:
            self._look_up_helper(plan.helper)
        self._name_default()
        self._look_up(self._truth.see("job", plan.main.image), plan.main)

    def _look_up_with_retries(self) -> None:
        """Let a failure break the preparation, as old runners did: it is tried three times."""
        for last in (False, False, True):
            try:
                self._look_up_everything()
            except PreparationFailedError as problem:
                self._preparation_failed(str(problem))
                if last:
                    raise PreparationFailedError(str(problem), system=True) from problem
            else:
                return

    def _declare(self) -> None:
        """D1: the job's image, before anything is looked up."""
        self._name_default()
        image = self._plan.main.image
        self._writer.println(f"Using Docker executor with image {image.written} ...")
        self._truth.see("job", image)

    def _name_default(self) -> None:
        """D2: the job names no image."""
        if self._plan.names_no_image and self._version >= (18, 2):
            self._writer.infoln("Using default image")

    def _preparation_failed(self, reason: str) -> None:
        """D13."""
        self._writer.errorln(f"Preparation failed: {reason}")
        self._writer.infoln("Will be retried in 3s ...")
        self._writer.wait(3)

    def _break_down(self) -> None:
        reason = "Error response from daemon: No such network: runner-net (docker.go:312:0s)"
        for _ in range(3):
            self._declare()
            self._preparation_failed(reason)
        raise PreparationFailedError(reason, system=True)

    def _start_service(self, need: Need) -> None:
        """D3: a lossy name (no port, a tag filled in); the lookup that follows names it better."""
        image = need.image
        host, slash, path = image.name.partition("/")
        name = f"{host.partition(':')[0]}{slash}{path}" if slash else host
        dots = "..." if self._version >= (17, 1) else " ..."
        self._writer.println(f"Starting service {name}:{image.tag or 'latest'}{dots}")
        self._look_up(self._truth.see("service", image), need)

    def _wait_for_services(self) -> None:
        """D22, and now and then the complaint of a service that is slow to answer (D20)."""
        timeout = " (timeout 30 seconds)" if self._version >= (15, 0) else ""
        self._writer.println(f"Waiting for services to be up and running{timeout}...")
        if chance(self._plan.rng, 0.08):
            self._complain_about_service()
        self._writer.wait(2)

    def _complain_about_service(self) -> None:
        writer, job = self._writer, self._plan.job
        image = self._plan.services[0].image
        slug = image.name.replace("/", "__").replace(":", "-")
        container = (
            f"runner-{job.runner.token.lower()}-project-{job.project.id}-concurrent-0-"
            f"{hex64(job.id)[:16]}-{slug}-0"
        )
        stamp = writer.stamp.replace("Z", ".164250393Z")
        lines = (
            "",
            f"\x1b[0;33m*** WARNING:{RESET} Service {container} probably didn't start properly.",
            "",
            "Health check error:",
            f'service "{container}-wait-for-service" timeout',
            "",
            "Health check container logs:",
            f"{stamp} waiting for TCP connection to 172.17.0.2 on [5432]...",
            "",
            "Service container logs:",
            f"{stamp} LOG:  starting, pulling settings from the image's defaults",
            "",
            f"\x1b[0;33m*********{RESET}",
            "",
        )
        writer.raw("\n".join(lines))

    # -- helper -----------------------------------------------------------------------------

    def _look_up_helper(self, need: Need) -> None:
        if self._version >= (15, 11):
            self._name_helper(need)
        elif need.image.registry == HUB and self._version >= (13, 7):
            self._writer.warningln(  # D17
                "Pulling GitLab Runner helper image from Docker Hub. Helper image is migrating to "
                "registry.gitlab.com, for more information see "
                "https://docs.gitlab.com/runner/configuration/advanced-configuration.html"
            )
        self._look_up(self._truth.see("helper", need.image), need)

    def _name_helper(self, need: Need) -> Use:
        """D15 and D16: two blanks, because the runner joins arguments with one more."""
        default = self._plan.default_helper
        suffix = f"  (overridden, default would be  {default} )" if default else ""
        self._writer.println(f"Using helper image:  {need.image.written}{suffix}")
        return self._truth.see("helper", need.image)

    # -- one image --------------------------------------------------------------------------

    def _look_up(self, use: Use, need: Need) -> None:
        """Try the pull policies in order; raises when the last one fails too."""
        self._name_policies(use, need)
        error = ""
        for number, policy in enumerate(need.policies, 1):
            if number > 1:
                self._writer.infoln(f'Attempt #{number}: Trying "{policy}" pull policy')  # D10
                self._note_policy(use, policy)
            if policy == "never" or (policy == "if-not-present" and need.cached):
                self._take_local(use, need, policy)
                return
            error = self._pull(use, need)
            if not error:
                return
            if self._has_policies:
                self._writer.warningln(
                    f'Failed to pull image with policy "{policy}": {error}'
                )  # D9
                self._note_policy(use, policy)
        if not self._has_policies:
            raise PreparationFailedError(error)
        raise PreparationFailedError(
            f'failed to pull image "{need.image.written}" with specified policies '
            f"[{' '.join(need.policies)}]: {error}"  # D12
        )

    def _name_policies(self, use: Use, need: Need) -> None:
        """D4."""
        if not self._prints_policies:
            return
        policies = " ".join(need.policies)
        self._writer.println(
            f"Using effective pull policy of [{policies}] for container {need.image.written}"
        )
        use.pull_policy = policies

    def _note_policy(self, use: Use, policy: str) -> None:
        """Without D4 the last policy a line names is the use's policy."""
        if not self._prints_policies:
            use.pull_policy = policy

    def _take_local(self, use: Use, need: Need, policy: str) -> None:
        if policy == "if-not-present":
            quote = '"' if self._has_policies else ""
            self._writer.println(  # D5
                f"Using locally found image version due to {quote}if-not-present{quote} pull policy"
            )
            self._note_policy(use, policy)
        self._use(use, need)

    def _pull(self, use: Use, need: Need) -> str:
        """D6, D7 and the answer; return the error, empty if the image came."""
        writer, plan = self._writer, self._plan
        if need.credentials is not None:
            writer.println(f"Authenticating with credentials from {need.credentials}")
            use.credentials = need.credentials
        platform = f" for platform {need.platform}" if need.platform else ""
        writer.println(f"Pulling docker image {need.image.written}{platform} ...")
        use.pull_attempts += 1
        use.platform = need.platform
        writer.wait(plan.rng.randint(1, 4))
        if need.failure is not None:
            use.fail(need.failure)
            return self._error(need.failure, need.image)
        if need.hiccup is not None:
            writer.warningln(  # D11: it announces a further try, which prints nothing of its own
                f'Failed to pull image "{need.image.written}" (attempt #1), retrying: '
                f"{self._error(need.hiccup, need.image)}"
            )
            use.fail(need.hiccup)
            use.pull_attempts += 1
        use.reach("pulled")
        self._use(use, need)
        return ""

    def _error(self, kind: str, image: Image) -> str:
        text = docker_error(kind, image, quoted_urls=self._version >= (13, 9))
        return f"{text} (manager.go:{237 + self._version[1]}:{self._plan.rng.randint(0, 2)}s)"

    def _use(self, use: Use, need: Need) -> None:
        """D8: the ID, and from 13.4 the digest where the registry gave one."""
        image, day = need.image, self._plan.day
        digest = digest_on(image, day)
        image_id = digest if self._plan.job.runner.containerd else image_id_on(image, day)
        with_digest = ""
        known = self._version >= (13, 4) and not image.local
        if known:
            with_digest = f" with digest {self._digest_name(image)}@{digest}"
        self._writer.println(f"Using docker image {image_id} for {image.written}{with_digest} ...")
        use.reach("present")
        use.image_id = image_id
        if known:
            use.digest = digest

    def _digest_name(self, image: Image) -> str:
        """Return the repository of the first digest Docker knows: sometimes another name of it."""
        if image.via and self._plan.job.id % 5 == 0 and image.upstream_repository is not None:
            return image.upstream_repository.removeprefix("library/")
        return image.name

    def _reject(self, need: Need, option: str) -> None:
        """D18: the image is not on the runner's list."""
        writer, image = self._writer, need.image
        role = "job" if option == "images" else "service"
        self._truth.see(role, image).reach("rejected")
        modern = self._version >= _REJECTS_AT_ONCE
        writer.println("")
        if self._version >= (13, 10):
            writer.errorln(
                f'The "{image.written}" image is not present on list of allowed {option}:'
            )
        else:
            writer.errorln(f"The {image.written} is not present on list of allowed {option}")
        for pattern in _ALLOWED:
            (writer.println if modern else writer.errorln)(f"- {pattern}")
        writer.println("")
        gap = "\n\t" if modern else " "
        writer.println(
            f"Please check runner's configuration:{gap}http://doc.gitlab.com/ci/docker/"
            "using_docker_images.html#overwrite-image-and-services"
        )
        raise PreparationFailedError("disallowed image" if modern else "invalid image")
