"""The stacks of the company's projects: which jobs, images, services and steps each kind has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.catalogue import ECR, MIRROR, Image, hosted, hub, local, own, unresolved
from logminer.simulator.dice import chance, dice
from logminer.simulator.recipes import STAGES, Step, Template

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from logminer.simulator.organisation import Project


def recipe(seed: int, project: Project) -> tuple[Template, ...]:
    """Return the jobs of the project's CI configuration, in stage order."""
    rng = dice(seed, "recipe", project.id)
    templates = _STACKS[project.stack](rng)
    return tuple(sorted(templates, key=lambda template: STAGES.index(template.stage)))


_DATABASES = (
    (hub("postgres", "15"),),
    (hub("postgres"),),
    (hub("postgres", "16-alpine"), hub("redis", "7-alpine")),
    (hub("mysql", "8.0"),),
    (hub("redis"),),
    (hub("rabbitmq", "3-management"), hub("postgres", "14")),
    (hub("bitnami/postgresql", "15"),),
    (hub("bitnami/redis", "7.2"), hub("postgres", "15")),
    (hub("bitnami/kafka", "3.6"),),
    (own("acme/platform/test-database", "12"),),
    (own("acme/platform/test-database"), hub("redis", "7")),
    (hosted("docker.elastic.co", "elasticsearch/elasticsearch", "8.13.4"),),
    (hub("selenium/standalone-chrome", "125.0"),),
    (hosted(MIRROR, "dockerhub/library/mongo", "7"),),
)
_SCANNERS = (
    hub("aquasec/trivy", "0.53.0"),
    hosted("ghcr.io", "google/osv-scanner", "v1.8.2"),
    hosted("registry.gitlab.com", "security-products/semgrep", "5"),
    hosted("quay.io", "centos/centos", "stream9"),
    own("acme/platform/security/audit"),
)
_DEPLOYERS = (
    hub("bitnami/kubectl", "1.29"),
    hub("alpine/helm", "3.15.2"),
    hub("alpine/k8s", "1.29.2"),
    hosted(ECR, "deploy/rollout", "2.4"),
    hosted("gcr.io", "google.com/cloudsdktool/google-cloud-cli", "slim"),
    unresolved("$CI_REGISTRY_IMAGE/deployer:1"),
)
_DOCKER = (hub("docker", "24"), hub("docker", "27"), hub("docker"), hub("docker", "26.1.4"))
_TOOLS = (
    hub("alpine", "3.19"),
    hub("curlimages/curl"),
    hub("hadolint/hadolint", "v2.12.0"),
    hosted("quay.io", "skopeo/stable", "v1.15"),
    own("acme/tools/release", "4"),
    hosted("ghcr.io", "orhun/git-cliff/git-cliff", "2.3.0"),
    hub("busybox"),
)


def _common(rng: random.Random, runtime: Image) -> list[Template]:
    """Return the jobs nearly every project has: packaging, a scan, a deployment."""
    return [
        *_packaging(rng, runtime),
        *_other_tools(rng),
        Template(
            name="scan",
            stage="scan",
            image=rng.choice(_SCANNERS),
            share=0.4,
            theme="plain",
            tag=rng.choice(("linux", "kubernetes")),
        ),
        Template(
            name="deploy: [staging]",
            stage="deploy",
            image=rng.choice(_DEPLOYERS),
            share=0.3,
            theme="deploy",
            tag=rng.choice(("linux", "kubernetes", "kubernetes")),
        ),
        Template(
            name="deploy: [production]",
            stage="deploy",
            image=rng.choice(_DEPLOYERS),
            share=0.25,
            when="manual",
            theme="deploy",
            tag="kubernetes",
        ),
        *(
            [Template(name="announce", stage="deploy", image=None, share=0.3, when="delayed")]
            if chance(rng, 0.5)
            else []
        ),
    ]


def _packaging(rng: random.Random, runtime: Image) -> list[Template]:
    way = rng.choice(("classic", "buildkit", "buildkit", "kaniko", "pull", "podman", "none"))
    if way == "none":
        return []
    if way == "podman":
        tool = rng.choice(_TOOLS)
        return [
            Template(
                name="container",
                stage="package",
                share=0.7,
                tag=rng.choice(("linux", "kubernetes")),
                image=hosted("quay.io", "podman/stable", "v5.1"),
                steps=(
                    Step(kind="podman", images=(tool,)),
                    Step(kind="podman_build", images=(runtime, rng.choice(_TOOLS))),
                ),
            )
        ]
    if way == "kaniko":
        return [
            Template(
                name="container",
                stage="package",
                share=0.7,
                tag="kubernetes",
                image=hosted(
                    "gcr.io", "kaniko-project/executor", rng.choice(("v1.23.2-debug", "debug"))
                ),
                steps=(Step(kind="kaniko", images=(runtime,)),),
            )
        ]
    steps = [Step(kind=way, images=(runtime, rng.choice(_TOOLS)))]
    if chance(rng, 0.4):
        steps.append(Step(kind="run", images=(rng.choice(_TOOLS),)))
    if way != "pull" and chance(rng, 0.4):
        steps.insert(0, Step(kind="pull", images=(rng.choice(_TOOLS),)))
    client = rng.choice(_DOCKER)
    return [
        Template(
            name="container",
            stage="package",
            image=client,
            share=0.7,
            steps=tuple(steps),
            services=(hub("docker", rng.choice(("dind", "24-dind", "27-dind"))),),
            tag=rng.choice(("linux", "linux", "kubernetes")),
        )
    ]


def _other_tools(rng: random.Random) -> list[Template]:
    """Return the jobs of the few projects that use other tools than Docker's."""
    use = rng.choice(("compose", "crane", "skopeo", "helm", *["none"] * 8))
    tool = rng.choice(_TOOLS)
    if use == "compose":
        databases = tuple(image for images in _DATABASES for image in images)
        return [
            Template(
                name="end to end",
                stage="test",
                share=0.5,
                image=rng.choice(_DOCKER),
                services=(hub("docker", "27-dind"),),
                steps=(Step(kind="compose", images=(rng.choice(databases),)),),
            )
        ]
    clients = {
        "crane": hosted("gcr.io", "go-containerregistry/crane", "debug"),
        "skopeo": hosted("quay.io", "skopeo/stable", "v1.15"),
        "helm": hub("alpine/helm", "3.15.2"),
    }
    if use not in clients:
        return []
    return [
        Template(
            name="promote",
            stage="deploy",
            share=0.5,
            image=clients[use],
            steps=(Step(kind=use, images=(rng.choice(_TOOLS), tool)),),
        )
    ]


def _tests(rng: random.Random, image: Image, theme: str) -> list[Template]:
    tag = rng.choice(("linux", "linux", "linux", "kubernetes"))
    platform = "linux/amd64" if chance(rng, 0.06) else None
    return [
        Template(name="unit", stage="test", image=image, theme=theme, tag=tag, platform=platform),
        Template(name="lint", stage="test", image=image, theme="plain", share=0.8, tag=tag),
        Template(
            name="integration",
            stage="test",
            image=image,
            theme=theme,
            share=0.7,
            services=rng.choice(_DATABASES),
            tag=tag,
        ),
        *(
            [
                Template(
                    name="unit: [arm64]",
                    stage="test",
                    image=image,
                    theme=theme,
                    share=0.5,
                    tag="arm64",
                )
            ]
            if chance(rng, 0.2)
            else []
        ),
    ]


def _python(rng: random.Random) -> list[Template]:
    version = rng.choice(("3.9", "3.10", "3.11", "3.12", "3.12.7", "3.13"))
    image = rng.choice(
        (
            hub("python", version),
            hub("python", f"{version}-slim"),
            hub("python"),
            own("acme/platform/ci/python", version),
        )
    )
    return [*_tests(rng, image, "python"), *_common(rng, hub("python", f"{version}-slim"))]


def _node(rng: random.Random) -> list[Template]:
    version = rng.choice(("18", "20", "22", "20.15.1"))
    image = rng.choice((hub("node", f"{version}-alpine"), hub("node", version), hub("node")))
    build = Template(name="bundle", stage="build", image=image, theme="node", share=0.9)
    extra = Template(
        name="browser",
        stage="test",
        theme="node",
        share=0.3,
        image=hosted("mcr.microsoft.com", "playwright", "v1.45.1-jammy"),
    )
    return [
        build,
        extra,
        *_tests(rng, image, "node"),
        *_common(rng, hub("node", f"{version}-slim")),
    ]


def _java(rng: random.Random) -> list[Template]:
    image = rng.choice(
        (
            hub("maven", "3.9-eclipse-temurin-21"),
            hub("gradle", "8.9-jdk21"),
            hub("eclipse-temurin", "17"),
            own("acme/platform/ci/java-builder"),
        )
    )
    build = Template(name="compile", stage="build", image=image, theme="java")
    return [build, *_tests(rng, image, "java"), *_common(rng, hub("eclipse-temurin", "21-jre"))]


def _go(rng: random.Random) -> list[Template]:
    image = hub("golang", rng.choice(("1.21", "1.22", "1.22.5", "1.23", "1.23-alpine")))
    lint = Template(
        name="golangci",
        stage="test",
        image=hub("golangci/golangci-lint", "v1.59.1"),
        share=0.5,
        theme="plain",
    )
    return [
        lint,
        *_tests(rng, image, "go"),
        *_common(rng, hosted("gcr.io", "distroless/static-debian12", "nonroot")),
    ]


def _php(rng: random.Random) -> list[Template]:
    image = hub("php", rng.choice(("8.1-cli", "8.2-cli", "8.3-fpm-alpine")))
    install = Template(name="install", stage="build", image=hub("composer", "2"), theme="plain")
    return [install, *_tests(rng, image, "plain"), *_common(rng, hub("bitnami/nginx", "1.25"))]


def _rust(rng: random.Random) -> list[Template]:
    image = hub("rust", rng.choice(("1.78", "1.79-slim", "latest")))
    return [
        Template(name="compile", stage="build", image=image, theme="gcc"),
        *_tests(rng, image, "gcc"),
        *_common(rng, hub("debian", "bookworm-slim")),
    ]


def _dotnet(rng: random.Random) -> list[Template]:
    image = hosted("mcr.microsoft.com", "dotnet/sdk", rng.choice(("6.0", "8.0", "8.0.303")))
    return [
        *_tests(rng, image, "java"),
        Template(
            name="unit: [windows]",
            stage="test",
            theme="java",
            share=0.4,
            tag="windows",
            image=hosted("mcr.microsoft.com", "dotnet/sdk", "8.0-windowsservercore-ltsc2022"),
        ),
        *_common(rng, hosted("mcr.microsoft.com", "dotnet/aspnet", "8.0")),
    ]


def _ruby(rng: random.Random) -> list[Template]:
    image = rng.choice((hub("ruby", "3.2"), hub("ruby", "3.3-slim"), hub("bitnami/ruby", "3.2")))
    return [*_tests(rng, image, "plain"), *_common(rng, hub("ruby", "3.3-slim"))]


def _infra(rng: random.Random) -> list[Template]:
    image = rng.choice(
        (
            hub("hashicorp/terraform", "1.9"),
            hub("hashicorp/terraform"),
            hosted("quay.io", "ansible/creator-ee", "v24.2.0"),
            hosted("ghcr.io", "opentofu/opentofu", "1.7.3"),
        )
    )
    return [
        Template(name="validate", stage="test", image=image, theme="deploy"),
        Template(name="plan", stage="test", image=image, theme="deploy"),
        Template(
            name="housekeeping", stage="scan", image=local("build-host/cleanup", "3"), share=0.2
        ),
        *_common(rng, hub("alpine", "3.20")),
    ]


def _docs(rng: random.Random) -> list[Template]:
    image = rng.choice(
        (
            hosted("ghcr.io", "squidfunk/mkdocs-material", "9"),
            hub("alpine"),
            hub("pandoc/core", "3.2"),
        )
    )
    return [
        Template(name="pages", stage="build", image=image, theme="plain"),
        Template(name="links", stage="test", image=None, theme="plain"),
    ]


def _metal(rng: random.Random) -> list[Template]:
    tools = rng.sample(_TOOLS, 3)
    return [
        Template(name="firmware", stage="build", image=None, tag="metal", theme="gcc"),
        Template(
            name="bench",
            stage="test",
            image=None,
            tag="metal",
            theme="gcc",
            steps=(
                Step(kind="pull", images=(tools[0], tools[1])),
                Step(kind="run", images=(tools[2],)),
            ),
        ),
        Template(
            name="rootless",
            stage="test",
            image=None,
            tag="metal",
            share=0.5,
            steps=(Step(kind="nerdctl", images=(tools[1],)),),
        ),
        Template(
            name="container",
            stage="package",
            image=None,
            tag="metal",
            steps=(Step(kind="classic", images=(hub("debian", "bookworm-slim"), tools[0])),),
        ),
    ]


_STACKS: dict[str, Callable[[random.Random], list[Template]]] = {
    "python": _python,
    "node": _node,
    "java": _java,
    "go": _go,
    "php": _php,
    "rust": _rust,
    "dotnet": _dotnet,
    "ruby": _ruby,
    "infra": _infra,
    "docs": _docs,
    "metal": _metal,
}
