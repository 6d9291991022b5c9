"""What else a repository holds: builds, stacks of containers, and files that declare nothing.

A build's images are those that the project's jobs build from; what is deployed is never pulled by
a job. The noise has the words of the others in the wrong places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from logminer.simulator.catalogue import OWN_REGISTRY
from logminer.simulator.declared import Sheet, Spelling, literal
from logminer.simulator.dice import dice, hex64
from logminer.simulator.recipes import as_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logminer.simulator.catalogue import Image
    from logminer.simulator.organisation import Project
    from logminer.simulator.recipes import Adoption, Template

BUILDS = frozenset({"classic", "buildkit", "kaniko", "podman_build"})
_WORDS = ("adapter", "cache", "client", "form", "index", "model", "queue", "route", "table", "view")
_COPIED_FROM = frozenset({"classic", "buildkit"})
"""Builds whose second image is copied from."""


def manifests(
    project: Project, templates: Sequence[Template], habits: Adoption, day: int
) -> list[Sheet]:
    """Return the files of a project, beside its CI configuration, that declare images."""
    sheets = _builds(project, templates, habits, day)
    number = project.number
    if (number + 1) % 3:
        sheets.append(_compose(project))
    if (number + 1) % 4:
        sheets.append(_kubernetes(project))
    if number % 5 == 0:
        sheets += _kustomize(project)
    if number % 6 == 1:
        sheets += _chart(project)
    if number % 4 == 0:
        sheets.append(_tools())
    return sheets


def _builds(
    project: Project, templates: Sequence[Template], habits: Adoption, day: int
) -> list[Sheet]:
    """Return the Dockerfile of the project's build, if it has one."""
    for step in (step for template in templates for step in template.steps):
        if step.kind in BUILDS:
            images = [as_of(image, habits, day, project.top_group) for image in step.images]
            return [_dockerfile(step.kind, images)]
    return []


def _dockerfile(kind: str, images: list[Image]) -> Sheet:
    sheet = Sheet("Dockerfile", "dockerfile")
    if kind == "buildkit":
        sheet.declare("# syntax={}", literal("docker/dockerfile:1"), name=None, role="build")
    sheet.declare("FROM {} AS builder", literal(images[0].written), name="builder", role="build")
    sheet.add("COPY . /src", "RUN make -C /src  # FROM here on nothing is pulled", "")
    if kind != "kaniko":
        sheet.add("FROM scratch", "COPY --from=builder /src/out /")
    if kind in _COPIED_FROM:
        tool = literal(images[-1].written)
        sheet.declare("COPY --from={} /bin/tool /bin/", tool, name="1", role="build")
    sheet.add('CMD ["/tool"]')
    return sheet


def _tools() -> Sheet:
    sheet = Sheet("containers/tools/Containerfile", "dockerfile")
    sheet.add("ARG BASE=registry.access.redhat.com/ubi9/ubi", "ARG VERSION=9.4")
    image = Spelling(
        text="${BASE}:${VERSION}",
        resolved="registry.access.redhat.com/ubi9/ubi:9.4",
        resolution="default",
        variables=("BASE", "VERSION"),
    )
    sheet.declare("FROM --platform=linux/amd64 {} AS tools", image, name="tools", role="build")
    sheet.add("RUN dnf install -y make")
    return sheet


def _compose(project: Project) -> Sheet:
    sheet = Sheet("compose.yaml", "compose")
    web = Spelling(
        text="${REGISTRY:-docker.io}/acme/web:${TAG:-latest}",
        resolved="docker.io/acme/web:latest",
        resolution="default",
        variables=("REGISTRY", "TAG"),
    )
    sheet.add("services:", "  web:")
    sheet.declare("    image: {}", web, name="web", role="workload")
    sheet.add("    depends_on: [db]", "  db:")
    tag = 13 + project.number % 4
    sheet.declare("    image: {}", literal(f"postgres:{tag}"), name="db", role="workload")
    sheet.add("  built:", "    build: .")
    return sheet


def _kubernetes(project: Project) -> Sheet:
    sheet = Sheet("deploy/app.yaml", "kubernetes")
    web = literal(f"{OWN_REGISTRY}/{project.path}:1.{project.number}")
    sheet.add("apiVersion: apps/v1", "kind: Deployment", "metadata:", "  name: web", "spec:")
    sheet.add("  template:", "    spec:", "      initContainers:", "        - name: migrate")
    sheet.declare("          image: {}", web, name="Deployment/web/migrate", role="workload")
    sheet.add("      containers:", "        - name: web")
    proxy = literal("envoyproxy/envoy:v1.30.4")
    sheet.declare("          image: {}", proxy, name="Deployment/web/web", role="workload")
    sheet.add("---", "apiVersion: batch/v1", "kind: CronJob", "metadata:", "  name: sweep")
    sheet.add("spec:", "  jobTemplate:", "    spec:", "      template:", "        spec:")
    sheet.add("          containers:", "            - name: sweep")
    sweep = literal("bitnami/kubectl:1.29")
    sheet.declare("              image: {}", sweep, name="CronJob/sweep/sweep", role="workload")
    return sheet


def _kustomize(project: Project) -> list[Sheet]:
    sheet = Sheet("deploy/overlays/live/kustomization.yaml", "kustomize")
    sheet.add("apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization")
    sheet.add("resources:", "  - ../../app.yaml", "images:")
    image = literal(f"{OWN_REGISTRY}/acme/edge:2.{project.number}")
    sheet.add("  - name: envoyproxy/envoy")
    sheet.add(f"    newName: {OWN_REGISTRY}/acme/edge")
    sheet.add(f'    newTag: "2.{project.number}"')
    sheet.also(image, name="envoyproxy/envoy", role="workload")
    return [sheet]


def _chart(project: Project) -> list[Sheet]:
    chart = Sheet("charts/web/Chart.yaml", "helm")
    chart.add("apiVersion: v2", "name: web", "version: 0.1.0")
    values = Sheet("charts/web/values.yaml", "helm")
    values.add("replicas: 2", "image:", f"  repository: {OWN_REGISTRY}/{project.path}")
    values.add('  tag: "3.1"')
    image = literal(f"{OWN_REGISTRY}/{project.path}:3.1").by_default()
    values.also(image, name="image", role="workload", line=len(values.lines) - 1)
    template = Sheet("charts/web/templates/deployment.yaml", "helm")
    template.add("apiVersion: apps/v1", "kind: Deployment", "metadata:", "  name: web")
    template.add("spec:", "  template:", "    spec:", "      containers:", "        - name: web")
    rendered = Spelling(
        text="{{ .Values.image.repository }}:{{ .Values.image.tag }}",
        resolved=None,
        resolution="unrendered",
        variables=(".Values.image.repository", ".Values.image.tag"),
    )
    template.declare('          image: "{}"', rendered, name=None, role="workload")
    return [chart, values, template]


def noise(project: Project, count: int, edition: int) -> dict[str, bytes]:
    """Return `count` files that declare nothing; another edition is another commit."""
    fixed = {
        "README.md": f"# {project.path}\n\n    FROM ubuntu:22.04\n    image: nginx\n",
        "CHANGES": f"edition {edition}\n",
        "mkdocs.yml": "site_name: Docs\ntheme:\n  logo: logo.png\n  image: banner.png\n",
        "src/docker.py": 'IMAGE = "python:2.7"\nFROM = "FROM alpine"\n',
        "data/pictures.yaml": "pictures:\n  - image: holiday.jpeg\n    name: beach\n",
    }
    files = {path: text.encode() for path, text in list(fixed.items())[:count]}
    rng = dice("noise", project.id)
    for number in range(count - len(files)):
        word = rng.choice(_WORDS)
        body = "\n".join(f"def {word}_{n}():\n    return {n}" for n in range(number % 9))
        files[f"src/{word}/part_{number}.py"] = f"# {hex64(number)}\n{body}\n".encode()
    return files
