"""What a job's own script prints when it pulls, runs or builds: docker, BuildKit and kaniko.

The truth follows the tools' sentences: `Status:` names a pulled image, `FROM` a base image,
`load metadata` what BuildKit asked a registry for. Outputs (tags given, manifests pushed, caches
read) are printed too and are no image uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.catalogue import (
    HUB,
    Image,
    canonical,
    digest_on,
    hosted,
    own,
    tagged,
)
from logminer.simulator.dice import chance, hex64
from logminer.simulator.failures import BUILDKIT_KINDS, buildkit_error, docker_error
from logminer.simulator.recipes import as_of
from logminer.simulator.tools import ToolFailedError, ToolNarrator

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from logminer.simulator.plan import Plan
    from logminer.simulator.planted import Truth, Use
    from logminer.simulator.writer import Writer

_FRONTEND = hosted(HUB, "docker/dockerfile", "1")
_LAYERS = 4


class ScriptFailedError(Exception):
    """A command of the script failed: the job ends with `exit code 1`."""


class ScriptNarrator:
    """Writes the image-related commands of one job's script."""

    def __init__(self, plan: Plan, writer: Writer, truth: Truth) -> None:
        """Narrate this plan into this writer and this truth."""
        self._plan = plan
        self._writer = writer
        self._truth = truth
        self._rng: random.Random = plan.rng
        self._day = plan.day
        self._failing = False

    def run(self) -> None:
        """Write all steps; raises when the plan lets the last one fail."""
        tools = ToolNarrator(self._plan, self._writer, self._truth, self._fetch)
        write: dict[str, Callable[[list[Image]], None]] = {
            "pull": self._pull,
            "run": self._run,
            "classic": self._classic,
            "buildkit": self._buildkit,
            "kaniko": self._kaniko,
            "podman": lambda images: tools.podman(images, failing=self._failing),
            "podman_build": lambda images: tools.podman_build(images, failing=self._failing),
            "compose": tools.compose,
            "crane": tools.crane,
            "skopeo": tools.skopeo,
            "nerdctl": tools.nerdctl,
            "helm": tools.helm,
        }
        steps = self._plan.job.template.steps
        for number, step in enumerate(steps, 1):
            self._writer.wait(2)
            self._failing = self._plan.job.mishap == "script_pull" and number == len(steps)
            try:
                write[step.kind]([self._configured(image) for image in step.images])
            except ToolFailedError as problem:
                raise ScriptFailedError from problem

    def _configured(self, image: Image) -> Image:
        plan = self._plan
        return as_of(image, plan.habits, self._day, plan.job.project.top_group)

    def _see(self, role: str, image: Image) -> Use:
        return self._truth.see(role, image, origin="script")

    # -- docker pull and docker run ---------------------------------------------------------

    def _pull(self, images: list[Image]) -> None:
        image = images[-1]
        argument = image.written
        if chance(self._rng, 0.3) and not self._failing:
            argument = '"$BASE_IMAGE"'
        self._writer.echo(f"docker pull {argument}")
        named = tagged(image)
        if named is not image:
            self._writer.work("Using default tag: latest\n")
        if self._failing:  # `pull access denied` does not say the tag the client filled in
            self._refuse(image if self._plan.job.failure_kind == "denied" else named)
        self._fetch(self._see("script", named), named)
        self._writer.work(f"{canonical(image).written}\n")

    def _run(self, images: list[Image]) -> None:
        image = images[-1]
        self._writer.echo(f"docker run --rm {image.written} --version")
        named = tagged(image)
        if ("script", named.identity) not in self._truth.uses:  # else it is there already
            self._writer.work_errors(f"Unable to find image '{named.written}' locally\n")
            if self._failing:
                self._refuse(named, suffix="\nSee 'docker run --help'.")
            self._fetch(self._see("script", named), named)
        self._writer.work("4.2.0\n")

    def _fetch(self, use: Use, image: Image) -> None:
        """Write the block of a pull that succeeds."""
        writer, rng = self._writer, self._rng
        digest = digest_on(image, self._day)
        newer = chance(rng, 0.7)
        lines = [f"{image.tag or 'latest'}: Pulling from {image.repository}"]
        if newer:
            layers = [hex64(digest, n)[:12] for n in range(_LAYERS)]
            lines += [f"{layer}: Pulling fs layer" for layer in layers]
            for layer in layers:
                lines += [f"{layer}: Verifying Checksum", f"{layer}: Download complete"]
            lines += [f"{layer}: Pull complete" for layer in layers]
        status = "Downloaded newer image" if newer else "Image is up to date"
        lines += [f"Digest: {digest}", f"Status: {status} for {tagged(image).written}", ""]
        writer.wait(rng.randint(1, 6))
        writer.work("\n".join(lines))
        use.reach("pulled")
        use.pull_attempts += 1
        use.digest = digest
        use.downloaded = newer

    def _refuse(self, image: Image, suffix: str = "") -> None:
        kind = self._plan.job.failure_kind
        error = docker_error(kind, image, quoted_urls=True)
        self._writer.work_errors(f"{error}{suffix}\n")
        use = self._see("script", image)
        use.fail(kind)
        use.pull_attempts += 1
        raise ScriptFailedError

    # -- docker build -----------------------------------------------------------------------

    def _classic(self, images: list[Image]) -> None:
        writer, rng = self._writer, self._rng
        base, tool = images[0], images[-1]
        target = own(self._plan.job.project.path, f"ci-{self._plan.job.pipeline.iid}")
        writer.echo('docker build -t "$CI_REGISTRY_IMAGE:$CI_PIPELINE_IID" .')
        writer.work("Sending build context to Docker daemon  2.82MB\r\r\n")
        writer.work(f"Step 1/7 : FROM {base.written} as build\n")
        use = self._see("build", base)
        if self._failing:
            kind = self._plan.job.failure_kind
            writer.work_errors(docker_error(kind, base, quoted_urls=True).split(": ", 1)[1] + "\n")
            use.fail(kind)
            use.pull_attempts += 1
            raise ScriptFailedError
        if chance(rng, 0.6):
            self._pull_in_build(use, base)
        else:
            use.reach("used")
        self._layer(f"Step 2/7 : COPY . /src\n ---> {hex64(target.written, 1)[:12]}\n")
        self._layer("Step 3/7 : RUN make -C /src\n ---> Running in 5be2c0ffee01\n")
        writer.work("make: nothing to be done for 'image'\n")
        self._layer(
            f"Removing intermediate container 5be2c0ffee01\n ---> {hex64(target.written, 2)[:12]}\n"
        )
        self._layer("Step 4/7 : FROM scratch\n ---> \n")
        self._layer("Step 5/7 : COPY --from=build /src/out /\n")
        self._layer(f" ---> {hex64(target.written, 3)[:12]}\n")
        writer.work(f"Step 6/7 : COPY --from={tool.written} /usr/bin/tool /\n")
        other = self._see("build", tool)
        if chance(rng, 0.5):
            self._pull_in_build(other, tool)
        else:
            other.reach("used")
            self._layer(f" ---> Using cache\n ---> {hex64(target.written, 4)[:12]}\n")
        self._layer(
            f'Step 7/7 : CMD ["/tool"]\n ---> Using cache\n ---> {hex64(target.written, 5)[:12]}\n'
        )
        writer.work(f"Successfully built {hex64(target.written, 5)[:12]}\n")
        writer.work(f"Successfully tagged {target.written}\n")

    def _pull_in_build(self, use: Use, image: Image) -> None:
        self._fetch(use, image)
        self._layer(f" ---> {hex64(use.digest, 'layer')[:12]}\n")

    def _layer(self, text: str) -> None:
        self._writer.wait(1)
        self._writer.work(text)

    # -- BuildKit ---------------------------------------------------------------------------

    def _buildkit(self, images: list[Image]) -> None:
        writer, rng = self._writer, self._rng
        base, tool = canonical(images[0]), canonical(images[-1])
        target = own(self._plan.job.project.path, "latest").written
        writer.echo('docker buildx build --pull --push -t "$CI_REGISTRY_IMAGE:latest" .')
        step = self._build_step
        step('#0 building with "default" instance using docker driver', "")
        step(
            "#1 [internal] load build definition from Dockerfile",
            "#1 transferring dockerfile: 1.66kB done",
            "#1 DONE 0.0s",
        )
        if chance(rng, 0.5):
            self._frontend()
        step(f"#4 [internal] load metadata for {base.written}")
        use = self._see("build", base)
        use.pull_attempts += 1
        if self._failing:
            self._fail_metadata(use, images[0], base)
        step("#4 DONE 0.8s")
        if base.registry == HUB:
            step(f"#5 [auth] {base.repository}:pull token for registry-1.docker.io", "#5 DONE 0.0s")
        step(f"#6 [internal] load metadata for {tool.written}", "#6 DONE 0.4s")
        other = self._see("build", tool)
        other.pull_attempts += 1
        step(
            "#7 [internal] load .dockerignore", "#7 transferring context: 352B done", "#7 DONE 0.0s"
        )
        step(f"#8 importing cache manifest from {target}", "#8 DONE 0.3s")
        self._from(9, "[builder 1/4] ", use, base)
        self._from(10, "", other, tool)
        step(
            "#11 [builder 2/4] COPY . .",
            "#11 DONE 0.1s",
            "#12 [builder 3/4] RUN make image",
            "#12 0.571 FROM is only a word here, pulling nothing",
            "#12 1.204 wrote image 3 of 3",
            "#12 DONE 1.9s",
            f"#13 [builder 4/4] COPY --from={images[-1].written} /bin/tool /bin/",
            "#13 DONE 0.1s",
            "#14 exporting to image",
            "#14 exporting layers 0.4s done",
            f"#14 naming to {target} done",
            f"#14 pushing manifest for {target}@sha256:{hex64(target)}",
            "#14 DONE 1.1s",
        )

    def _build_step(self, *lines: str) -> None:
        self._writer.wait(1)
        self._writer.work_errors("".join(f"{line}\n" for line in lines))

    def _frontend(self) -> None:
        digest = digest_on(_FRONTEND, self._day)
        use = self._see("build", _FRONTEND)
        use.reach("pulled")
        use.pull_attempts += 1
        use.digest = digest
        use.downloaded = False
        self._build_step(
            f"#2 resolve image config for docker-image://{_FRONTEND.written}",
            "#2 DONE 0.9s",
            f"#3 docker-image://{_FRONTEND.written}@{digest}",
            "#3 CACHED",
        )

    def _fail_metadata(self, use: Use, written: Image, base: Image) -> None:
        kind = self._plan.job.failure_kind
        kind = kind if kind in BUILDKIT_KINDS else "server"
        error = buildkit_error(kind, base)
        use.fail(kind)
        self._build_step(
            f"#4 ERROR: {error}",
            "------",
            f" > [internal] load metadata for {base.written}:",
            "------",
            "Dockerfile:1",
            "--------------------",
            f"   1 | >>> FROM {written.written} AS builder",
            "   2 |     COPY . .",
            "--------------------",
            f"ERROR: failed to solve: {written.written}: failed to resolve source metadata for "
            f"{base.written}: {error}",
        )
        raise ScriptFailedError

    def _from(self, number: int, stage: str, use: Use, image: Image) -> None:
        """Write a base image's vertex: its layers are fetched, or cached, or nothing is said."""
        digest = digest_on(image, self._day)
        use.reach("pulled")
        use.digest = digest
        pinned = f"{image.written.partition('@')[0]}@{digest}"
        way = self._rng.choice(("fetched", "cached", "silent"))
        lines = [f"#{number} {stage}FROM {pinned}"]
        if way == "fetched":
            layer = f"sha256:{hex64(digest, 'layer')}"
            lines += [
                f"#{number} resolve {pinned} 0.1s done",
                f"#{number} {layer} 0B / 29.12MB 0.2s",
                f"#{number} {layer} 29.12MB / 29.12MB 1.3s done",
                f"#{number} extracting {layer} 0.9s done",
            ]
            use.downloaded = True
        elif way == "cached":
            use.downloaded = False
        lines.append(f"#{number} CACHED" if way == "cached" else f"#{number} DONE 2.4s")
        self._build_step(*lines)

    # -- kaniko -----------------------------------------------------------------------------

    def _kaniko(self, images: list[Image]) -> None:
        writer, base = self._writer, images[0]
        target = own(self._plan.job.project.path, f"ci-{self._plan.job.pipeline.iid}").written
        writer.echo('/kaniko/executor --context "$CI_PROJECT_DIR" --destination "$IMAGE"')
        say = self._log
        say(0, f"Retrieving image manifest {base.written}")
        use = self._see("build", base)
        use.pull_attempts += 1
        if self._failing:
            kind = self._plan.job.failure_kind
            kind = kind if kind in BUILDKIT_KINDS else "server"
            use.fail(kind)
            error = docker_error(kind, base, quoted_urls=True).split(": ", 1)[1]
            writer.work_errors(
                "error building image: error building stage: "
                f"failed to get filesystem from image: {error}\n"
            )
            raise ScriptFailedError
        host = "index.docker.io" if base.registry == HUB else base.registry
        say(0, f"Retrieving image {base.written} from registry {host}")
        use.reach("pulled")
        say(1, "Built cross stage deps: map[]")
        say(1, f"Retrieving image manifest {base.written}")
        say(1, "Returning cached image manifest")
        say(1, "Executing 0 build triggers")
        say(1, f"Building stage '{base.written}' [idx: '0', base-idx: '-1']")
        say(2, "Checking for cached layer registry.gitlab.example:5050/acme/cache:9f86d081884c...")
        say(2, "Unpacking rootfs as cmd RUN make requires it.")
        say(6, "Taking snapshot of full filesystem...")
        say(7, "RUN make")
        say(9, f"Pushing image to {target}")
        say(12, f"Pushed {target}@sha256:{hex64(target)}")

    def _log(self, second: int, text: str) -> None:
        """Write a line of logrus, padded as it pads."""
        self._writer.work_errors(f"\x1b[36mINFO\x1b[0m[{second:04d}] {text:<40} \n")
