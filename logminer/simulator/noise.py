"""The rest of a log: what compilers, package managers and tests print.

Blocks of lines are made once and then put together, so that a large log costs little. They hold
what tempts a careless reader: the words image, docker and pulling in prose, `Step 1` of a recipe,
progress bars of bare carriage returns, CRLF, replacement characters, and outputs of builds.
None of it is an image use.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from logminer.simulator.dice import dice, hex64

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from logminer.simulator.writer import Writer

_BLOCKS_OF_A_THEME = 12
_LINES_OF_A_BLOCK = 24
_PACKAGES = (
    "lodash",
    "react-dom",
    "requests",
    "numpy",
    "jackson-core",
    "logback",
    "serde",
    "tokio",
    "express",
    "webpack",
    "pytest",
    "jinja2",
    "commons-io",
    "guava",
    "netty-all",
    "protobuf",
    "docker-py",
    "testcontainers",
    "image-size",
    "sharp",
    "pillow",
    "imagemin",
)
_FILES = (
    "main",
    "server",
    "image_store",
    "docker_client",
    "pull_request",
    "registry",
    "session",
    "handlers",
    "reader",
    "writer",
    "step_runner",
    "parser",
)
_PROSE = (
    "The image was rendered in 3 passes and compared with the reference image.",
    "Pulling changes from upstream branch main",
    "Step 1: collect sources. Step 2: build the docker image from them.",
    "Using docker image layers as cache is not configured, continuing",
    "Successfully tagged release candidate as rc-7",
    "pushing manifest for registry.gitlab.example:5050/acme/shop/web:latest",
    "Using default tag for the release: nightly",
    "From the docs: pull images before the tests, not in them.",
    "Status: everything is up to date",
    "Digest of the bundle written to dist/checksums.txt",
    "Grüße vom Übersetzer — 漢字 und \ufffd\ufffd kommen heil an",
    "naming to registry.gitlab.example:5050/acme/tools/release:4 done",
    "---> Package openssl-libs.x86_64 1:3.0.7-27.el9 will be installed",
    "see https://docs.docker.com/go/pull-images for pulling images by digest",
    "warning: FROM is a reserved word, quoted in the query",
    "[MASKED] was accepted by the registry service",
)
_OWN_SECTION = (
    "\x1b[0Ksection_start:1700000000:own_checks[collapsed=true]\r\x1b[0KChecks of our own",
    "0 problems in 12 images",
    "\x1b[0Ksection_end:1700000000:own_checks\r\x1b[0K",
)
"""Scripts may print section markers too."""
_REPRINT = (
    "\x1b[0KUsing Docker executor with image registry.example.com/reprint/job:1 ...\x1b[0;m\n"
    "\x1b[0KPulling docker image registry.example.com/reprint/job:1 ...\x1b[0;m\n"
    "\x1b[0KUsing docker image sha256:{id} for registry.example.com/reprint/job:1 with digest "
    "registry.example.com/reprint/job@sha256:{id} ...\x1b[0;m\n"
)
"""A perfect copy of the runner's sentences; only the place where it stands says it is none."""


def reprint(writer: Writer) -> None:
    """Let the script print another job's log: an image use of that job, not of this one."""
    writer.echo("cat other-job.log")
    writer.work(_REPRINT.format(id=hex64("reprint")))


def fill(writer: Writer, rng: random.Random, theme: str, size: int) -> None:
    """Write about `size` characters of output; at least nothing, at most one block too much."""
    goal = writer.size + size
    blocks = _blocks(theme)
    while writer.size < goal:
        writer.work(rng.choice(blocks))


@cache
def _blocks(theme: str) -> tuple[str, ...]:
    line = _THEMES.get(theme, _plain)
    blocks = []
    for number in range(_BLOCKS_OF_A_THEME):
        rng = dice("noise", theme, number)
        lines = [line(rng, n) for n in range(_LINES_OF_A_BLOCK)]
        if number % 3 == 0:
            lines.insert(rng.randrange(len(lines)), _progress(rng))
        lines.insert(rng.randrange(len(lines)), rng.choice(_PROSE))
        if number % 4 == 1:
            lines[4:4] = _OWN_SECTION
        ending = "\r\n" if number == _BLOCKS_OF_A_THEME - 1 else "\n"
        blocks.append("".join(f"{text}{ending}" for text in lines))
    return tuple(blocks)


def _progress(rng: random.Random) -> str:
    steps = range(0, 101, rng.choice((2, 5)))
    return "".join(f"\rDownloading {step:3d}% [{'=' * (step // 5):<20}]" for step in steps)


def _node(rng: random.Random, number: int) -> str:
    package, name = rng.choice(_PACKAGES), rng.choice(_FILES)
    major, count = rng.randint(1, 9), rng.randint(3, 1_200)
    return rng.choice(
        (
            f"npm warn deprecated {package}@{major}.{number}.0: use {package}@latest",
            f"  \x1b[32m✓\x1b[0m src/{name}.test.ts ({major} tests) {count}ms",
            f"added {count} packages, and audited {count + number} packages in {major}s",
            f"dist/assets/{name}-{hex64(count)[:8]}.js  {count}.31 kB │ gzip: {number}.20 kB",
        )
    )


def _python(rng: random.Random, number: int) -> str:
    package, name = rng.choice(_PACKAGES), rng.choice(_FILES)
    version = f"{rng.randint(1, 9)}.{number}"
    green = "\x1b[32m"
    return rng.choice(
        (
            f"Collecting {package}=={version}",
            f"  Downloading {package}-{version}-py3-none-any.whl ({rng.randint(9, 900)} kB)",
            f"tests/test_{name}.py::test_case[{number}] {green}PASSED\x1b[0m{green} [{number}%]",
            f"Requirement already satisfied: {package} in /usr/local/lib/python3.12 ({version})",
        )
    )


def _java(rng: random.Random, number: int) -> str:
    package, name = rng.choice(_PACKAGES), rng.choice(_FILES)
    path = f"com/example/{package}/{number}/{package}-{rng.randint(1, 9)}.{number}.jar"
    url = f"https://repo.example.com/maven2/{path}"
    return rng.choice(
        (
            f"[INFO] Downloading from central: {url}",
            f"[INFO] Downloaded from central: {url} ({rng.randint(2, 900)} kB at 2.1 MB/s)",
            f"[INFO] Tests run: {rng.randint(1, 80)}, Failures: 0, Errors: 0, Skipped: 0",
            f"[WARNING] {name}.java:[{rng.randint(1, 400)},{number}] uses unchecked operations.",
        )
    )


def _go(rng: random.Random, number: int) -> str:
    package, name = rng.choice(_PACKAGES), rng.choice(_FILES)
    share = rng.randint(10, 99)
    return rng.choice(
        (
            f"go: downloading github.com/example/{package} v1.{share}.{number}",
            f"=== RUN   TestStore/{name}/{number}",
            f"    --- PASS: TestStore/{name}/{number} (0.{share}s)",
            f"ok  \texample.com/acme/{package}\t{number}.3s\tcoverage: {share}.1% of statements",
        )
    )


def _gcc(rng: random.Random, number: int) -> str:
    name = rng.choice(_FILES)
    return rng.choice(
        (
            f"[{number * 4:3d}%] \x1b[32mBuilding C object src/core.dir/{name}.c.o\x1b[0m",
            f"gcc -O2 -Wall -Iinclude -DVERSION=4.{number} -c -o build/{name}.o src/{name}.c",
            f"src/{name}.c:{rng.randint(1, 900)}:{number}: warning: unused variable `image`",
            f"   Compiling {rng.choice(_PACKAGES)} v0.{rng.randint(1, 30)}.{number}",
        )
    )


def _deploy(rng: random.Random, number: int) -> str:
    name = rng.choice(_FILES)
    return rng.choice(
        (
            f"deployment.apps/{name.replace('_', '-')} configured",
            f"Waiting for rollout to finish: {number} of {number + 1} replicas are available...",
            f"aws_ecs_task.{name}: Refreshing state... [id=task-{hex64(name, number)[:12]}]",
            f'  + image_pull_policy = "IfNotPresent"  # module.{name}',
        )
    )


def _plain(rng: random.Random, number: int) -> str:
    package, name = rng.choice(_PACKAGES), rng.choice(_FILES)
    return rng.choice(
        (
            f"Get:{number + 1} http://deb.example.com/debian bookworm/main {package} {number}.2-1",
            f"Unpacking {package} ({rng.randint(1, 9)}.{number}) ...",
            f"{name}.txt: {rng.randint(1, 9999)} words, 0 problems",
            f"\x1b[0;34mINFO\x1b[0m {name}: finished part {number}",
        )
    )


_THEMES: dict[str, Callable[[random.Random, int], str]] = {
    "node": _node,
    "python": _python,
    "java": _java,
    "go": _go,
    "gcc": _gcc,
    "deploy": _deploy,
}
