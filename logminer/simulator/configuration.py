"""The CI configuration of a project: the file in the repository, and what GitLab merges it to.

Its jobs are those of the project's recipe, under the names their images have on that day, spelled
as people spell them: behind a variable of the file, behind one that GitLab predefines, behind one
that only GitLab's settings know. A few jobs come on top that nobody ever runs.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from logminer.simulator.catalogue import ECR, MIRROR, OWN_REGISTRY, PROXY, Image, own
from logminer.simulator.declared import Declared, Sheet, Spelling, literal
from logminer.simulator.recipes import STAGES, as_of, job_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from logminer.simulator.organisation import Project
    from logminer.simulator.recipes import Adoption, Template

PATH = ".gitlab-ci.yml"
SCANS = "ci/scan.yml"
"""An included file of the same repository."""
SETTINGS = {"DEPLOY_REGISTRY": ECR, "MONGO_VERSION": "7"}
"""CI/CD variables of the company's groups: no file says them, the logs show what they were."""

AUDIT = "ghcr.io/acme-audits/audit:1.4"
"""Declared by a job that nobody ever runs."""
COMPLIANCE = "registry.gitlab.com/security-products/compliance:2"
"""Declared by a job that comes from another project's template, and that nobody ever runs."""

_BROKEN, _TEMPLATED, _AUDITED_TWICE, _MATRIX, _SIGNED = 8, 2, 3, 5, 6
"""The first project of each kind, by number, as in `organisation`."""
_INVALID = "jobs:release notes:needs config should be an array of strings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a repository and the lint endpoint say of a project's pipelines."""

    sheets: tuple[Sheet, ...]
    merged: str | None
    """None where the server finds the configuration invalid."""
    errors: tuple[str, ...]
    elsewhere: tuple[Declared, ...]
    """What the merged configuration declares and no file of the repository does."""


@dataclass(slots=True, kw_only=True)
class _Job:
    name: str
    stage: str
    image: Spelling | None = None
    meanings: tuple[tuple[str, Spelling], ...] = ()
    """Where a matrix or rules decide what the image is: the name and the image of each job."""
    platform: str | None = None
    services: tuple[Spelling, ...] = ()
    path: str = PATH
    base: bool = False
    """Whether the image stands in the hidden job that it extends."""
    body: dict[str, Any] = field(default_factory=dict)
    """Keys that have nothing to do with images."""


def configuration(
    project: Project, templates: Sequence[Template], habits: Adoption, day: int
) -> Configuration:
    """Return the project's configuration of that day."""
    return _Writer(project, templates, habits, day).write()


def spelled(image: Image, project: Project) -> Spelling:
    """Return how the project's files write an image."""
    if image.registry is None:
        meant = own(f"{project.path}/deployer", "1")
        return Spelling(
            text=image.name,
            resolved=meant.written,
            resolution="resolved",
            variables=("CI_REGISTRY_IMAGE",),
        )
    written = image.written
    if image.registry == ECR:
        text = written.replace(ECR, "$DEPLOY_REGISTRY")
        return Spelling(
            text=text, resolved=None, resolution="unresolved", variables=("DEPLOY_REGISTRY",)
        )
    if image.registry == MIRROR and image.tag:
        text = f"{image.name}:${{MONGO_VERSION}}"
        return Spelling(
            text=text, resolved=None, resolution="unresolved", variables=("MONGO_VERSION",)
        )
    if image.registry == OWN_REGISTRY:
        text = written.replace(OWN_REGISTRY, "$CI_REGISTRY")
        return Spelling(
            text=text, resolved=written, resolution="resolved", variables=("CI_REGISTRY",)
        )
    if image.registry == PROXY and _uses_prefix(project):
        text = written.replace(_prefix(project), "${PROXY}")
        return Spelling(text=text, resolved=written, resolution="resolved", variables=("PROXY",))
    return literal(written)


def _uses_prefix(project: Project) -> bool:
    return project.number % 3 == 0


def _prefix(project: Project) -> str:
    return f"{PROXY}/{project.top_group}/dependency_proxy/containers"


class _Writer:
    """Writes one configuration."""

    def __init__(
        self, project: Project, templates: Sequence[Template], habits: Adoption, day: int
    ) -> None:
        self._project = project
        self._number = project.number
        self._day = day
        self._habits = habits
        self._templates = templates
        self._variables = {"GIT_DEPTH": "20"}
        if _uses_prefix(project):
            self._variables["PROXY"] = _prefix(project)

    def write(self) -> Configuration:
        jobs = [*map(self._job, self._templates), *self._idle()]
        shared = next((job.image for job in jobs if job.base), None)
        included = [job for job in jobs if job.path == SCANS]
        main, scans = Sheet(PATH, "ci"), Sheet(SCANS, "ci")
        self._head(main, has_scans=bool(included))
        base = self._base(main, shared)
        for job in jobs:
            _write_job(scans if job.path == SCANS else main, job, base=base)
        invalid = self._number % 19 == _BROKEN
        return Configuration(
            sheets=(main, scans) if included else (main,),
            merged=None if invalid else self._merged(jobs, shared),
            errors=(_INVALID,) if invalid else (),
            elsewhere=self._elsewhere() if self._has_template else (),
        )

    @property
    def _has_template(self) -> bool:
        return self._number % 5 == _TEMPLATED

    def _job(self, template: Template) -> _Job:
        group = self._project.top_group
        image = job_image(template, self._habits, self._day, group)
        services = [as_of(each, self._habits, self._day, group) for each in template.services]
        return _Job(
            name=template.name,
            stage=template.stage,
            image=spelled(image, self._project) if image else None,
            platform=template.platform,
            services=tuple(spelled(each, self._project) for each in services),
            path=SCANS if template.name == "scan" and self._number % 4 == 1 else PATH,
            base=template.name in {"unit", "lint"} and not template.platform and self._extends,
            body={"tags": [template.tag], "script": ["make ci"]},
        )

    @property
    def _extends(self) -> bool:
        return self._number % 2 == 0

    def _idle(self) -> list[_Job]:
        """Return the jobs that nobody ever runs."""
        never = {"when": "manual", "script": ["make audit"]}
        jobs = [_Job(name="audit", stage="scan", image=literal(AUDIT), body=never)]
        if self._number % 7 == _AUDITED_TWICE:
            image = Spelling(
                text="$AUDITOR:latest", resolved=None, resolution="unresolved",
                variables=("AUDITOR",),
            )  # fmt: skip
            jobs.append(_Job(name="second audit", stage="scan", image=image, body=never))
        if self._number % 6 == _MATRIX:
            jobs.append(_matrix(never))
        if self._number % 8 == _SIGNED:
            jobs.append(_signing())
        return jobs

    def _head(self, sheet: Sheet, *, has_scans: bool) -> None:
        sheet.add(f"# The pipelines of {self._project.path}", f"stages: [{', '.join(STAGES)}]", "")
        includes = [f"  - local: /{SCANS}"] if has_scans else []
        if self._has_template:
            includes += ["  - project: acme/platform/ci", "    file: /templates/compliance.yml"]
        if includes:
            sheet.add("include:", *includes, "")
        sheet.add("variables:", *(f"  {k}: {_scalar(v)}" for k, v in self._variables.items()), "")

    def _base(self, sheet: Sheet, shared: Spelling | None) -> int | None:
        """Write the hidden jobs; return the line of their image."""
        sheet.add(".base:", "  interruptible: true")
        if shared is None:
            return None
        sheet.add("", ".tested:", "  extends: .base", f"  image: {_scalar(shared.text)}")
        return len(sheet.lines)

    def _elsewhere(self) -> tuple[Declared, ...]:
        return (
            Declared(
                path=PATH,
                line=None,
                kind="ci",
                name="compliance",
                role="job",
                image=COMPLIANCE,
                resolved=COMPLIANCE,
                resolution="literal",
            ),
        )

    def _merged(self, jobs: Sequence[_Job], shared: Spelling | None) -> str:
        """Return the configuration as GitLab writes it: everything included and extended."""
        whole: dict[str, Any] = {
            "stages": list(STAGES),
            "variables": self._variables,
            ".base": {"interruptible": True},
        }
        if shared is not None:
            whole[".tested"] = {"interruptible": True, "extends": ".base", "image": shared.text}
        for job in jobs:
            whole[job.name] = {"interruptible": True, **_merged_job(job)}
        if self._has_template:
            whole["compliance"] = {
                "stage": "scan",
                "image": {"name": COMPLIANCE, "entrypoint": [""]},
                "when": "manual",
                "script": ["comply"],
            }
        return "---\n" + "\n".join(_yaml(whole)) + "\n"


def _matrix(never: dict[str, Any]) -> _Job:
    """Return a job that is several: a matrix gives each its image."""
    text, versions = "$RUNTIME:$EDITION", ("3.12", "3.13")
    meanings = (
        (f"compatibility: [python, {version}]", _meant(text, f"python:{version}", "resolved"))
        for version in versions
    )
    matrix = [{"RUNTIME": "python", "EDITION": list(versions)}]
    return _Job(
        name="compatibility",
        stage="test",
        image=literal(text),
        meanings=tuple(meanings),
        body={"parallel": {"matrix": matrix}, **never},
    )


def _signing() -> _Job:
    """Return a job whose image its rules decide: one for tags, and the usual."""
    text = "ghcr.io/acme-audits/$SIGNER:2"
    meanings = (
        ("sign", _meant(text, f"ghcr.io/acme-audits/{signer}:2", "alternative"))
        for signer in ("cosign", "notation")
    )
    rules = [
        {"if": "$CI_COMMIT_TAG", "when": "manual", "variables": {"SIGNER": "notation"}},
        {"when": "manual"},
    ]
    return _Job(
        name="sign",
        stage="scan",
        image=literal(text),
        meanings=tuple(meanings),
        body={"variables": {"SIGNER": "cosign"}, "rules": rules, "script": ["make sign"]},
    )


def _meant(text: str, resolved: str, resolution: str) -> Spelling:
    names = re.findall(r"\$([A-Z]+)", text)
    return Spelling(
        text=text, resolved=resolved, resolution=resolution, variables=tuple(sorted(names))
    )


def _write_job(sheet: Sheet, job: _Job, *, base: int | None) -> None:
    """Write a job as people do, and plant its images."""
    hidden = ".tested" if job.base else ".base"
    sheet.add("", f"{_scalar(job.name)}:", f"  extends: {hidden}", f"  stage: {job.stage}")
    if job.image is not None and job.base:
        sheet.also(job.image, name=job.name, role="job", line=base)
    elif job.image is not None and job.meanings:
        sheet.add(f"  image: {_around(job.image.text)}".format(job.image.text))
        for name, meant in job.meanings:
            sheet.also(meant, name=name, role="job")
    elif job.image is not None and job.platform:
        sheet.add("  image:")
        sheet.declare(f"    name: {_around(job.image.text)}", job.image, name=job.name, role="job")
        sheet.add("    docker:", f"      platform: {job.platform}")
    elif job.image is not None:
        sheet.declare(f"  image: {_around(job.image.text)}", job.image, name=job.name, role="job")
    if job.services:
        sheet.add("  services:")
    for number, service in enumerate(job.services):
        text = _around(service.text)
        if number == 0:
            sheet.declare(f"    - {text}", service, name=job.name, role="service")
        else:
            sheet.declare(f"    - name: {text}", service, name=job.name, role="service")
            sheet.add(f"      alias: helper-{number}")
    for key, value in job.body.items():
        sheet.add(*(f"  {line}" for line in _yaml({key: value})))


def _merged_job(job: _Job) -> dict[str, Any]:
    """Return a job with all that it extends."""
    merged: dict[str, Any] = {"extends": ".tested" if job.base else ".base", "stage": job.stage}
    if job.image is not None:
        image = job.image.text
        merged["image"] = (
            {"name": image, "docker": {"platform": job.platform}} if job.platform else image
        )
    if job.services:
        merged["services"] = [
            {"name": service.text, "alias": f"helper-{number}"} if number else service.text
            for number, service in enumerate(job.services)
        ]
    return merged | job.body


def _around(text: str) -> str:
    """Return the place of an image, quoted where YAML asks for it."""
    return "{}" if _scalar(text) == text else '"{}"'


def _scalar(value: object) -> str:
    """Return a scalar as YAML; quoted unless it is plainly a word."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    plain = text and (text[0].isalpha() or text[0] in "$./") and not set(text) & set(" []{}#\"'")
    return text if plain else json.dumps(text)


def _yaml(value: dict[str, Any]) -> list[str]:
    """Return the lines of a mapping in block style."""
    lines: list[str] = []
    for key, inner in value.items():
        head = f"{_scalar(key)}:"
        if isinstance(inner, dict):
            lines += [head, *(f"  {line}" for line in _yaml(inner))]
        elif isinstance(inner, list):
            lines.append(head)
            for item in inner:
                if isinstance(item, dict):
                    first, *rest = _yaml(item)
                    lines += [f"- {first}", *(f"  {line}" for line in rest)]
                else:
                    lines.append(f"- {_scalar(item)}")
        else:
            lines.append(f"{head} {_scalar(inner)}")
    return lines
