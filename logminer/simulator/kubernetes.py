"""What the Kubernetes executor prints about images: little, unless pod events are shown.

The job's image is named once (K2). Services and helpers are named only by pod events (K6) and by
failures; without either the log cannot show them, and no truth is planted for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.catalogue import canonical
from logminer.simulator.dice import hex64
from logminer.simulator.docker import PreparationFailedError
from logminer.simulator.failures import kubelet_error

if TYPE_CHECKING:
    from logminer.simulator.catalogue import Image
    from logminer.simulator.plan import Need, Plan
    from logminer.simulator.planted import Truth, Use
    from logminer.simulator.writer import Writer

_HELP = (
    ". Check https://docs.gitlab.com/runner/shells/index.html#shell-profile-loading "
    "for more information"
)


class KubernetesNarrator:
    """Writes the runner's part of one job that runs as a pod."""

    def __init__(self, plan: Plan, writer: Writer, truth: Truth) -> None:
        """Narrate this plan into this writer and this truth."""
        self._plan = plan
        self._writer = writer
        self._truth = truth
        self._version = plan.version
        self._namespace = f"ci-{plan.job.runner.description}"
        self._pod = (
            f"runner-{plan.job.runner.token.lower()}-project-{plan.job.project.id}-concurrent-"
            f"{plan.rng.randrange(8)}-{hex64('pod', plan.job.id)[:8]}"
        )
        self._events = "FF_PRINT_POD_EVENTS" in plan.job.runner.feature_flags(plan.version)
        self._policies = plan.job.runner.policies

    @property
    def pod(self) -> str:
        """The name of the job's pod."""
        return self._pod

    def prepare(self) -> None:
        """Write the content of `prepare_executor`; raises when the job cannot start."""
        plan, writer = self._plan, self._writer
        writer.println(f"Using Kubernetes namespace: {self._namespace}")
        writer.println(f"Using Kubernetes executor with image {plan.main.image.written} ...")
        main = self._truth.see("job", plan.main.image)
        writer.println("Using attach strategy to execute scripts...")
        if self._version >= (18, 0):  # K4: names of containers, in no order
            policies = " ".join(self._policies)
            names = list(self._containers())
            plan.rng.shuffle(names)
            for name in names:
                writer.println(f"Using effective pull policy of [{policies}] for container {name}")
            main.pull_policy = policies or None

    def begin_helper_section(self) -> None:
        """Write what stands before `Running on`: the executor waits for its pod."""
        if self._plan.job.mishap == "rejected":
            self._reject()
        if self._plan.job.mishap == "system":
            self._wait_for_pod()
            self._writer.wait(12)
            raise PreparationFailedError(
                "prepare environment: waiting for pod running: "
                f"timed out waiting for pod to start{_HELP}",
                system=True,
            )
        if self._events:
            self._show_events()
        else:
            self._wait_for_pod()
            self._pull_silently()

    def begin_script(self) -> None:
        """Write nothing: the containers of a pod are all there from the start."""

    # -- waiting ----------------------------------------------------------------------------

    def _containers(self) -> tuple[str, ...]:
        services = (f"svc-{number}" for number in range(len(self._plan.services)))
        return ("build", "helper", "init-permissions", *services)

    def _wait_for_pod(self) -> None:
        """K5."""
        where = " on the node ip-10-20-3-14" if self._version >= (18, 11) else ""
        containers = [name for name in self._containers() if name != "init-permissions"]
        if (16, 2) <= self._version < (16, 3):  # K7: for this version only, without being asked
            self._writer.warningln(
                "Event retrieved from the cluster: 0/5 nodes are available: 2 Insufficient cpu."
            )
        for _ in range(self._plan.rng.randint(1, 3)):
            self._writer.plain(
                f"Waiting for pod {self._namespace}/{self._pod} to be running{where}, "
                "status is Pending"
            )
            if self._version >= (13, 5):
                names = " ".join(containers)
                self._writer.plain(
                    f'\tContainersNotReady: "containers with unready status: [{names}]"'
                )
            self._writer.wait(3)

    def _pull_silently(self) -> None:
        """Without events only a failure speaks: K8, K9 and K10."""
        for name, role, need in self._needs():
            rescued = need.cached  # by `IfNotPresent`, the second policy
            if need.failure is not None and (role == "job" or not rescued):
                self._fail(name, self._truth.see(role, self._as_named(need)), need)

    def _as_named(self, need: Need) -> Image:
        """Return the image as its failure names it: before 13.11 only the kubelet does."""
        if self._version >= (13, 11) or need.failure == "other":
            return need.image
        return canonical(need.image)

    def _needs(self) -> list[tuple[str, str, Need]]:
        """Return container name, role and need of each container that pulls."""
        plan = self._plan
        needs = [("build", "job", plan.main)]
        if plan.helper is not None:
            needs.append(("helper", "helper", plan.helper))
        needs += [(f"svc-{number}", "service", need) for number, need in enumerate(plan.services)]
        return needs

    def _fail(self, name: str, use: Use, need: Need) -> None:
        """Print a failing image; return if a later policy rescues it, else raise."""
        kind = need.failure or "other"
        cause = kubelet_error(kind, need.image)
        if self._version < (13, 11):
            use.fail(kind)
            use.pull_attempts += 1
            raise PreparationFailedError(
                f"prepare environment: image pull failed: {cause}{_HELP}", system=True
            )
        policies = self._policies or ("",)
        for number, policy in enumerate(policies, 1):
            if number > 1:
                self._writer.infoln(  # K9
                    f'Attempt #{number}: Trying "{policy}" pull policy for '
                    f'"{need.image.written}" image{self._for_container(name)}'
                )
                self._note_policy(use, policy)
                if need.cached:
                    return  # whether it really ran, only the job's start will show
            self._writer.warningln(self._warning(name, need, policy, cause))
            self._note_policy(use, policy)
            use.fail(kind)
            use.pull_attempts += 1
            self._writer.wait(3)
        where = f" for container {name}" if self._version >= (17, 5) else ""
        raise PreparationFailedError(  # K10
            f'prepare environment: waiting for pod running: pulling image "{need.image.written}"'
            f"{where}: image pull failed: {cause}{_HELP}",
            system=True,
        )

    def _note_policy(self, use: Use, policy: str) -> None:
        if self._version < (18, 0):
            use.pull_policy = policy or None
        else:
            use.pull_policy = " ".join(self._policies) or None

    def _for_container(self, name: str) -> str:
        return f' for container "{name}"' if self._version >= (17, 5) else ""

    def _warning(self, name: str, need: Need, policy: str, cause: str) -> str:
        """K8: the image is named since 17.3, the container since 17.5."""
        image = f' "{need.image.written}"' if self._version >= (17, 3) else ""
        return (
            f"Failed to pull image{image}{self._for_container(name)} with policy "
            f'"{policy}": image pull failed: {cause}'
        )

    # -- events -----------------------------------------------------------------------------

    def _show_events(self) -> None:
        """K6: the kubelet's rows, each flushed on its own; the first is aligned to the header."""
        writer, plan = self._writer, self._plan
        writer.println("Subscribing to Kubernetes Pod events...")
        writer.plain("Type     Reason      Message")
        writer.plain(
            f"Normal   Scheduled   Successfully assigned {self._namespace}/{self._pod} to node-3"
        )
        order = self._needs()
        if plan.helper is not None:
            order.insert(0, ("init-permissions", "helper", plan.helper))
        seen: set[str] = set()
        for name, role, need in order:
            use = self._truth.see(role, need.image)
            if self._version >= (18, 0):
                use.pull_policy = " ".join(self._policies) or None
            self._obtain(use, need, again=need.image.identity in seen)
            seen.add(need.image.identity)
            writer.plain(f"Normal   Created   Created container {name}")
            writer.plain(f"Normal   Started   Started container {name}")

    def _obtain(self, use: Use, need: Need, *, again: bool) -> None:
        writer, image = self._writer, need.image
        if again or (need.cached and "Always" not in self._policies):
            writer.plain(
                f'Normal   Pulled   Container image "{image.written}" already present on machine'
            )
            use.reach("present")
            return
        writer.plain(f'Normal   Pulling   Pulling image "{image.written}"')
        use.pull_attempts += 1
        writer.wait(2)
        if need.failure is not None:
            self._fail_with_event(use, need)
        took = f"{self._plan.rng.randint(300, 9_000)}ms"
        size = ""
        if self._version >= (17, 0):
            megabytes = self._plan.rng.randint(3, 900)
            size = f" ({took} including waiting). Image size: {megabytes}000123 bytes."
        writer.plain(
            f'Normal   Pulled   Successfully pulled image "{image.written}" in {took}{size}'
        )
        use.reach("pulled")

    def _fail_with_event(self, use: Use, need: Need) -> None:
        kind = "server" if need.failure in {None, "other"} else str(need.failure)
        self._writer.plain(
            f'Warning   Failed   Failed to pull image "{need.image.written}": '
            f"{kubelet_error(kind, need.image)}"
        )
        use.fail(kind)
        self._writer.plain("Warning   Failed   Error: ErrImagePull")
        self._writer.wait(12)
        raise PreparationFailedError(
            "prepare environment: waiting for pod running: "
            f"timed out waiting for pod to start{_HELP}",
            system=True,
        )

    def _reject(self) -> None:
        """D18, which this executor prints since 14.2; before, nothing tells of the image."""
        writer, image = self._writer, self._plan.main.image
        if self._version < (14, 2):
            raise PreparationFailedError("prepare environment: pods is forbidden", system=True)
        self._truth.see("job", image).reach("rejected")
        writer.println("")
        writer.errorln(f'The "{image.written}" image is not present on list of allowed images:')
        writer.println("- acme-base/*:v[0-9]*")
        writer.println("")
        raise PreparationFailedError("prepare environment: disallowed image", system=True)
