"""What a job's script prints when it uses other tools than Docker's: podman, compose, crane, ….

Where such a tool names an image and says that it has it, an image use is planted. Some never name
one (compose 2, `skopeo copy`), and what helm pulls is a chart: they are told without any truth.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from logminer.simulator.catalogue import (
    HUB,
    Image,
    canonical,
    digest_on,
    hosted,
    image_id_on,
    own,
    tagged,
)
from logminer.simulator.dice import chance, hex64
from logminer.simulator.failures import PODMAN_KINDS, podman_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from logminer.simulator.plan import Plan
    from logminer.simulator.planted import Truth, Use
    from logminer.simulator.writer import Writer

_SIGNATURES = "Getting image source signatures"
_MANIFEST = "Writing manifest to image destination"
_BAR = "|++++++++++++++++++++++++++++++++++++++|"


class ToolFailedError(Exception):
    """The tool could not get the image; its exit code is not 0."""


class ToolNarrator:
    """Writes the commands of one job's script that use these tools."""

    def __init__(
        self,
        plan: Plan,
        writer: Writer,
        truth: Truth,
        fetch: Callable[[Use, Image], None],
    ) -> None:
        """Narrate into this writer and this truth; `fetch` writes the block of a docker pull."""
        self._plan = plan
        self._writer = writer
        self._truth = truth
        self._fetch = fetch
        self._rng = plan.rng

    # -- podman -----------------------------------------------------------------------------

    def podman(self, images: list[Image], *, failing: bool) -> None:
        """Write a `podman pull`."""
        image = images[-1]
        self._writer.echo(f"podman pull {image.written}")
        use = self._truth.see("script", canonical(image), origin="script")
        self._pull(use, image, failing=failing)
        image_id = image_id_on(image, self._plan.day).removeprefix("sha256:")
        self._writer.work(f"{image_id}\n")

    def podman_build(self, images: list[Image], *, failing: bool) -> None:
        """Write a `podman build` of two stages; a base that is pulled gets the pull's full name."""
        writer, base = self._writer, images[0]
        name = f"localhost/ci-{self._plan.job.pipeline.iid}"
        layer = [hex64(name, self._plan.job.id, number) for number in range(4)]
        writer.echo('podman build -t "ci-$CI_PIPELINE_IID" .')
        writer.work_errors(f"[1/2] STEP 1/3: FROM {base.written} AS builder\n")
        if failing or chance(self._rng, 0.6):
            use = self._truth.see("build", canonical(base), origin="script")
            self._pull(use, base, failing=failing)
        else:
            self._truth.see("build", base, origin="script").reach("used")
        writer.work_errors("[1/2] STEP 2/3: COPY . /src\n")
        writer.work(f"--> Using cache {layer[0]}\n--> {layer[0][:12]}\n")
        writer.work_errors("[1/2] STEP 3/3: RUN make -C /src\n")
        writer.work(f"make: nothing to be done for 'image'\n--> {layer[1][:12]}\n")
        writer.work_errors("[2/2] STEP 1/3: FROM scratch\n")
        writer.work_errors("[2/2] STEP 2/3: COPY --from=builder /src/out /\n")
        writer.work(f"--> {layer[2][:12]}\n")
        writer.work_errors('[2/2] STEP 3/3: CMD ["/out/tool"]\n')
        writer.work_errors(f"[2/2] COMMIT {name.removeprefix('localhost/')}\n")
        writer.work(f"--> {layer[3][:12]}\nSuccessfully tagged {name}:latest\n{layer[3]}\n")

    def _pull(self, use: Use, image: Image, *, failing: bool) -> None:
        """Write how podman gets an image it has not; raises if it does not."""
        writer, named = self._writer, canonical(image)
        if image.registry == HUB and "/" not in image.name:
            writer.work_errors(
                f'Resolved "{image.name}" as an alias '
                "(/etc/containers/registries.conf.d/000-shortnames.conf)\n"
            )
        writer.work_errors(f"Trying to pull {named.written}...\n")
        use.pull_attempts += 1
        writer.wait(2)
        if failing:
            kind = self._plan.job.failure_kind
            kind = kind if kind in PODMAN_KINDS else "denied"
            writer.work_errors(podman_error(kind, named))
            use.fail(kind)
            raise ToolFailedError
        self._copy(named)
        use.reach("pulled")

    def _copy(self, image: Image) -> None:
        """Write what containers/image prints while it copies an image, whoever asked for it."""
        digest = digest_on(image, self._plan.day)
        blobs = [hex64(digest, number) for number in range(3)]
        lines = [_SIGNATURES, *(f"Copying blob sha256:{blob}" for blob in blobs)]
        lines += [f"Copying config sha256:{hex64(digest, 'config')}", _MANIFEST]
        self._writer.work_errors("".join(f"{line}\n" for line in lines))

    # -- compose ----------------------------------------------------------------------------

    def compose(self, images: list[Image]) -> None:
        """Write a `docker compose pull`, by one of the three generations of compose."""
        image = images[-1]
        self._rng.choice((self._compose_1, self._compose_2, self._compose_5))(image)

    def _compose_1(self, image: Image) -> None:
        self._writer.echo("docker-compose pull")
        named = tagged(image)
        self._writer.work_errors(f"Pulling db ({named.written})...\n")
        self._fetch(self._truth.see("script", named, origin="script"), named)
        self._writer.work_errors("web uses an image, skipping\n")

    def _compose_2(self, image: Image) -> None:
        """Name services and layers: which image it is, nobody says."""
        self._writer.echo("docker compose pull")
        lines = [" db Pulling ", *self._layers(image), " db Pulled "]
        self._writer.work_errors("".join(f"{line}\n" for line in lines))

    def _compose_5(self, image: Image) -> None:
        self._writer.echo("docker compose up --wait")
        lines = [f" Image {image.written} Pulling ", *self._layers(image)]
        lines += [f" Image {image.written} Pulled ", " Image acme-shop-web Built "]
        self._writer.work_errors("".join(f"{line}\n" for line in lines))
        use = self._truth.see("script", image, origin="script")
        use.pull_attempts += 1
        use.reach("pulled")

    def _layers(self, image: Image) -> list[str]:
        layers = [hex64(image.identity, number)[:12] for number in range(2)]
        return [
            f" {layer} {state} "
            for state in ("Pulling fs layer", "Download complete", "Pull complete")
            for layer in layers
        ]

    # -- copies from registry to registry ---------------------------------------------------

    def crane(self, images: list[Image]) -> None:
        """Write a `crane copy`: its source is an image use, its target an output."""
        image, target = images[-1], self._target()
        digest = digest_on(image, self._plan.day)
        self._writer.echo(f'crane copy {image.written} "$CI_REGISTRY_IMAGE/mirror"')
        self._log(f"Copying from {image.written} to {target}")
        use = self._truth.see("script", image, origin="script")
        use.pull_attempts += 1
        self._writer.wait(1)
        self._log(f"existing blob: sha256:{hex64(digest, 0)}")
        self._log(f"pushed blob: sha256:{hex64(digest, 1)}")
        self._log(f"{target}: digest: {digest} size: 1362")
        use.reach("pulled")

    def skopeo(self, images: list[Image]) -> None:
        """Write a `skopeo copy`, which names nothing, then a `skopeo sync`, which does."""
        first, image = images[0], images[-1]
        self._writer.echo('skopeo copy "docker://$BASE_IMAGE" "docker://$CI_REGISTRY_IMAGE/base"')
        self._copy(canonical(first))
        self._writer.echo("skopeo sync --src yaml --dest docker images.yml mirror")
        named = canonical(image)
        stamp = self._writer.stamp
        self._writer.work_errors(
            f'time="{stamp}" level=info msg="Copying image ref 1/1" '
            f'from="docker://{named.written}" to="docker://{self._target()}"\n'
        )
        use = self._truth.see("script", named, origin="script")
        use.pull_attempts += 1
        self._copy(named)
        use.reach("pulled")
        self._writer.work_errors(
            f'time="{stamp}" level=info msg="Synced 1 images from 1 sources"\n'
        )

    def _target(self) -> str:
        return own(f"{self._plan.job.project.path}/mirror", "1").written

    def _log(self, text: str) -> None:
        """Write a line with the time as Go's standard logger prints it."""
        moment = dt.datetime.fromisoformat(self._writer.stamp)
        self._writer.work_errors(f"{moment:%Y/%m/%d %H:%M:%S} {text}\n")

    # -- others -----------------------------------------------------------------------------

    def nerdctl(self, images: list[Image]) -> None:
        """Write a `nerdctl pull`: a table of what it fetches, the reference first."""
        image = images[-1]
        named = canonical(image)
        digest = digest_on(image, self._plan.day)
        self._writer.echo(f"nerdctl pull {image.written}")
        rows = [
            (f"{named.written}:", "resolved"),
            (f"index-{digest}:", "done"),
            (f"manifest-sha256:{hex64(digest, 'manifest')}:", "done"),
            (f"config-sha256:{hex64(digest, 'config')}:", "done"),
            (f"layer-sha256:{hex64(digest, 0)}:", "done"),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}    {state:<15}{_BAR}" for name, state in rows]
        lines.append(f"elapsed: 2.4 s{'':<60}total:  28.2 M (11.7 MiB/s)")
        self._writer.wait(2)
        self._writer.work("".join(f"{line}\n" for line in lines))
        use = self._truth.see("script", named, origin="script")
        use.pull_attempts += 1
        use.reach("pulled")

    def helm(self, images: list[Image]) -> None:
        """Write a `helm pull`: what it names is a chart."""
        chart = hosted(images[-1].registry or HUB, "acme/charts/web", "1.4.2").written
        self._writer.echo('helm pull "oci://$CHARTS/web" --version 1.4.2')
        self._writer.work(f"Pulled: {chart}\nDigest: sha256:{hex64(chart)}\n")
